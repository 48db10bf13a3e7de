"""SHT31: temperature and humidity over I2C, single shot, high repeatability, without clock stretching.

Source: Sensirion, datasheet SHT3x-DIS, version 5 (May 2018): sections 4.3 and 4.4 (single shot, table 9), 4.9 (reset), 4.10
(heater), 4.11 (status register), 4.12 (checksum), 4.13 (conversion). Checked against a model written from it, not against silicon.

Worked example: CRC(BE EF) = 92 is the datasheet's own. S = 0x6666 is two fifths of 65,535, so the formulas of section 4.13 give
-45 + 175 x 0.4 = 25.00 degC and 100 x 0.4 = 40.00 %RH: read() gives [2500, 4000].
"""

from agent.sensors import SensorFault
from agent.sensors.checksum import crc8_sensirion
from agent.sensors.driver import CHECKSUM, Driver
from protocol._const import const

_ADDRESS = const(0x44)
# Longest measurement at high repeatability is 15 ms (15.5 below 2.4 V).
_SETTLE_MS = const(16)
# A command may follow another after 1 ms; a soft reset takes up to 1.5 ms.
_COMMAND_MS = const(2)

_MEASURE = b"\x24\x00"
_SOFT_RESET = b"\x30\xa2"
_HEATER_OFF = b"\x30\x66"
_READ_STATUS = b"\xf3\x2d"

_HEATER_ON = const(1 << 13)
_FULL = const(65535)

HEATER = "heater on"


def temperature(raw: int) -> int:
    """Return hundredths of a degree Celsius of S_T, rounded to the nearest: -4500 .. 13000."""
    return (17500 * raw + _FULL // 2) // _FULL - 4500


def humidity(raw: int) -> int:
    """Return hundredths of a percent of relative humidity of S_RH, rounded to the nearest: 0 .. 10000."""
    return (10000 * raw + _FULL // 2) // _FULL


class Sht31(Driver):
    """Channels: temperature (Cel, scale -2), relative humidity (%RH, scale -2). Outside -40..125 degC: None.

    i2c: a machine.I2C. wait_ms(n): returns after so long; called only before the first measurement and after a fault, for 4 ms.
    address: 0x44, or 0x45 with pin ADDR high.
    """

    def __init__(self, i2c, wait_ms, address: int = _ADDRESS):
        super().__init__(2, _SETTLE_MS)
        self._i2c = i2c
        self._wait_ms = wait_ms
        self._address = address
        self._is_ready = False

    def _begin(self) -> None:
        if not self._is_ready:
            self._prepare()
        self._command(_MEASURE)

    def _prepare(self) -> None:
        # A heater that was left on makes every value a good-looking lie; nothing but the status tells.
        self._command(_HEATER_OFF)
        self._wait_ms(_COMMAND_MS)
        if self.status() & _HEATER_ON:
            raise SensorFault(HEATER)
        self._wait_ms(_COMMAND_MS)
        self._is_ready = True

    def _fetch(self) -> list:
        words = self._words(2)
        celsius = self.within(temperature(words[0]), -4000, 12500)
        return [celsius, None if celsius is None else humidity(words[1])]

    def _lost(self) -> None:
        self._is_ready = False

    def reset(self) -> bool:
        """Order a soft reset; return whether it was taken. The sensor answers again after 2 ms."""
        self._is_ready = False
        return self._attempt(self._reset) is not None

    def _reset(self) -> bool:
        self._command(_SOFT_RESET)
        return True

    def status(self) -> int:
        """Return the status register: bit 13 heater, bit 4 reset seen, bit 1 command refused, bit 0 wrong checksum written.

        Raises SensorFault and OSError, unlike read().
        """
        self._command(_READ_STATUS)
        return self._words(1)[0]

    def _command(self, words: bytes) -> None:
        self._i2c.writeto(self._address, words)

    def _words(self, count: int) -> list:
        data = self._i2c.readfrom(self._address, 3 * count)
        words = []
        for i in range(0, 3 * count, 3):
            if crc8_sensirion(data[i : i + 2]) != data[i + 2]:
                raise SensorFault(CHECKSUM)
            words.append(data[i] << 8 | data[i + 1])
        return words
