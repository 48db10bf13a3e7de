"""ADS1115: voltages over I2C, 16 bits, one conversion after the other in single-shot mode.

Source: Texas Instruments, datasheet SBAS444 (ADS111x): sections "Full-Scale Range (FSR) and LSB Size", "Data Format", "Single-Shot Mode",
"Config Register". Checked against a model written from it, not against silicon.

Worked example: AIN0 against ground at +-4.096 V has an LSB of 125 uV; the config word is C3A3 (start, 100, 001, single shot, 250 SPS,
comparator off), and 0x7D00 (32,000) is 4.000000 V: read() gives [4000000].
"""

from agent.sensors import SensorFault
from agent.sensors.driver import NO_READING, NOT_READY, Driver
from protocol._const import const

_ADDRESS = const(0x48)
_CONVERSION = const(0)
_CONFIG = const(1)
_START = const(1 << 15)
_SINGLE_SHOT = const(1 << 8)
# 250 samples a second. Not the 128 of the reset value: a part that lost its supply then shows in its config register.
_RATE = const(5 << 5)
_COMPARATOR_OFF = const(3)
# 4 ms, and the internal oscillator may be slow by a tenth.
_SETTLE_MS = const(5)

# Full scale in microvolts, by the gain's code.
FULL_SCALE_UV = (6144000, 4096000, 2048000, 1024000, 512000, 256000)

SATURATED = "saturated"


class Input:
    """One channel. plus, minus: inputs 0..3, minus None for ground; gain: index of FULL_SCALE_UV.

    Raises ValueError for a pair that the multiplexer has not.
    """

    def __init__(self, plus: int, minus=None, gain: int = 2):
        pairs = [(0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None)]
        if (plus, minus) not in pairs or not 0 <= gain < len(FULL_SCALE_UV):
            raise ValueError("the multiplexer has 01, 03, 13, 23 and each against ground; gains are 0..5")
        self.gain = gain
        self.config = pairs.index((plus, minus)) << 12 | gain << 9 | _SINGLE_SHOT | _RATE | _COMPARATOR_OFF


def microvolts(raw: int, gain: int) -> int:
    """Return microvolts of the conversion register, rounded to the nearest."""
    signed = raw - 0x10000 if raw & 0x8000 else raw
    return (signed * FULL_SCALE_UV[gain] + (1 << 14)) >> 15


class Ads1115(Driver):
    """Channels: one a listed input (V, scale -6). At either end of its range a value is no reading: the voltage may be anything beyond.

    i2c: a machine.I2C. inputs: list of Input. wait_ms(n): returns after so long; called between inputs, for 5 ms.
    address: 0x48..0x4B by pin ADDR.
    """

    def __init__(self, i2c, inputs: list, wait_ms, address: int = _ADDRESS):
        super().__init__(len(inputs), _SETTLE_MS)
        self._i2c = i2c
        self._inputs = inputs
        self._wait_ms = wait_ms
        self._address = address

    def _begin(self) -> None:
        self._convert(self._inputs[0])

    def _convert(self, source: Input) -> None:
        word = _START | source.config
        self._i2c.writeto_mem(self._address, _CONFIG, bytes([word >> 8, word & 0xFF]))

    def _fetch(self) -> list:
        values = [self._collect(self._inputs[0])]
        for source in self._inputs[1:]:
            self._convert(source)
            self._wait_ms(_SETTLE_MS)
            values.append(self._collect(source))
        return values

    def _collect(self, source: Input):
        state = self._word(_CONFIG)
        if state | _START != source.config | _START:
            raise SensorFault(NO_READING)
        if not state & _START:
            raise SensorFault(NOT_READY)
        raw = self._word(_CONVERSION)
        if raw in (0x7FFF, 0x8000):
            self.count(SATURATED)
            return None
        return microvolts(raw, source.gain)

    def _word(self, register: int) -> int:
        data = self._i2c.readfrom_mem(self._address, register, 2)
        return data[0] << 8 | data[1]
