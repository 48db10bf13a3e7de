"""DS18B20: temperature over 1-Wire, one or many on a line, externally powered.

Source: Maxim Integrated, datasheet DS18B20 "Programmable Resolution 1-Wire Digital Thermometer", sections "Operation - Measuring
Temperature" (table 1, temperature/data relationship), "Memory" (scratchpad), "Configuration Register" (thermometer resolution), "CRC
Generation", "ROM Commands", "DS18B20 Function Commands". Checked against a model written from it, not against silicon.

Worked example, table 1: 07D0 is +125, 0191 +25.0625, 00A2 +10.125, 0008 +0.5, FFF8 -0.5, FF5E -10.125, FE6F -25.0625, FC90 -55 degC.
A sixteenth of a degree has four decimals, so scale -4 is exact: 0191 gives [250625].
"""

from agent.sensors import SensorFault
from agent.sensors.checksum import crc8_maxim
from agent.sensors.driver import CHECKSUM, IDENTITY, NO_ANSWER, NO_READING, Driver
from protocol._const import const

_FAMILY = const(0x28)
_MATCH_ROM = const(0x55)
_SKIP_ROM = const(0xCC)
_CONVERT = const(0x44)
_READ_SCRATCHPAD = const(0xBE)
_WRITE_SCRATCHPAD = const(0x4E)
_SCRATCHPAD_BYTES = const(9)
# Alarm limits, which nobody reads here: the widest.
_ALARMS = b"\x7d\xc9"
# +85 degC, which the temperature register holds from power-up to the first conversion.
_POWER_ON = const(0x0550)
# 750 ms at 12 bits, half of it a bit less.
_CONVERSION_MS = {9: 94, 10: 188, 11: 375, 12: 750}


def temperature(raw: int, bits: int) -> int:
    """Return ten thousandths of a degree Celsius of the temperature register; bits below the resolution are undefined."""
    signed = raw - 0x10000 if raw & 0x8000 else raw
    return (signed >> 12 - bits << 12 - bits) * 625


class Ds18b20(Driver):
    """Channel: temperature (Cel, scale -4). Outside -55..125 degC: None.

    wire: an onewire.OneWire. rom: the 8 bytes of its ROM code, or None where it is alone on the line. bits: 9..12.
    Exactly +85 degC is never given: it cannot be told from a sensor that lost its supply. A sixteenth beside it is a reading.
    The resolution is written to the scratchpad only: the EEPROM behind it wears.

    Raises ValueError if rom is no ROM code of this family.
    """

    def __init__(self, wire, rom=None, bits: int = 12):
        super().__init__(1, _CONVERSION_MS[bits])
        if rom is not None and (len(rom) != 8 or rom[0] != _FAMILY or crc8_maxim(rom)):
            raise ValueError("a ROM code of a DS18B20 is 28, six bytes and their CRC")
        self._wire = wire
        self._rom = rom
        self._bits = bits
        self._config = (bits - 9) << 5 | 0x1F
        self._is_ready = False

    def _begin(self) -> None:
        if not self._is_ready:
            self._select()
            self._wire.writebyte(_WRITE_SCRATCHPAD)
            self._wire.write(_ALARMS + bytes([self._config]))
            self._is_ready = True
        self._select()
        self._wire.writebyte(_CONVERT)

    def _fetch(self) -> list:
        data = self._scratchpad()
        raw = data[1] << 8 | data[0]
        if data[4] != self._config or raw == _POWER_ON:
            # The supply was away: the configuration is the EEPROM's again, or the register holds its first value.
            raise SensorFault(NO_READING)
        return [self.within(temperature(raw, self._bits), -550000, 1250000)]

    def _scratchpad(self) -> bytearray:
        self._select()
        self._wire.writebyte(_READ_SCRATCHPAD)
        data = bytearray(_SCRATCHPAD_BYTES)
        self._wire.readinto(data)
        if crc8_maxim(data):
            raise SensorFault(CHECKSUM)
        # A line held low reads as nine zeros, whose CRC is right. The register's low five bits are always ones.
        if data[4] & 0x9F != 0x1F:
            raise SensorFault(IDENTITY)
        return data

    def _select(self) -> None:
        # Not reset(True): that raises an exception of the onewire module, which nobody else could name.
        if not self._wire.reset():
            raise SensorFault(NO_ANSWER)
        if self._rom is None:
            self._wire.writebyte(_SKIP_ROM)
        else:
            self._wire.writebyte(_MATCH_ROM)
            self._wire.write(self._rom)

    def _lost(self) -> None:
        self._is_ready = False
