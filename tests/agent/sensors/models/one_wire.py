"""A model, not silicon: a 1-Wire line with the methods of MicroPython's onewire.OneWire, and DS18B20s on it as their datasheet says."""

_TIMES_US = (93750, 187500, 375000, 750000)


def _crc(data):
    """The CRC of 1-Wire as a shift register of eight bits that takes one bit after the other, unlike the driver's."""
    register = [0] * 8
    for byte in data:
        for place in range(8):
            back = register[7] ^ (byte >> place & 1)
            register.pop()
            register.insert(0, back)
            register[4] ^= back
            register[5] ^= back
    value = 0
    for place in range(8):
        value |= register[7 - place] << place
    return value


def make_rom(serial):
    """Return the ROM code of a DS18B20 with this serial number."""
    body = b"\x28" + serial.to_bytes(6, "little")
    return body + bytes([_crc(body)])


class ModelDs18b20:
    """raw: what the next conversion gives, 12 bits and sign. clock: ModelClock."""

    def __init__(self, clock, rom, raw=0x0191):
        self._clock = clock
        self.rom = rom
        self.raw = raw
        self.written = []
        self.power_cycle()

    def power_cycle(self):
        # Scratchpad at power-up: +85 degC, alarms and configuration from the EEPROM (12 bits).
        self._register = 0x0550
        self._alarms = b"\x4b\x46"
        self._config = 0x7F
        self._pending = None

    def convert(self):
        self._settle()
        place = self._config >> 5 & 3
        # Bits below the resolution are undefined: here they are what 12 bits would have given, in full disorder.
        self._pending = (self.raw ^ (1 << 3 - place) - 1) & 0xFFFF
        self._done_at = self._clock.now_us + _TIMES_US[place]

    def _settle(self):
        if self._pending is not None and self._clock.now_us >= self._done_at:
            self._register, self._pending = self._pending, None

    def scratchpad(self):
        self._settle()
        body = bytes([self._register & 0xFF, self._register >> 8])
        body += self._alarms + bytes([self._config, 0xFF, 0x0C, 0x10])
        return body + bytes([_crc(body)])

    def write_scratchpad(self, data):
        self.written.append(data)
        self._alarms = data[:2]
        self._config = data[2] & 0x60 | 0x1F


class ModelWire:
    """parts: those on the line. is_low: shorted to ground, which looks like presence. damage: (byte, mask) of the next reads."""

    def __init__(self, parts):
        self.parts = parts
        self.is_low = False
        self.is_silent = False
        self.damage = None
        self._selected = []
        self._expects = None
        self._output = b""

    def reset(self, required=False):
        assert not required, "raises an exception that a driver cannot name"
        self._selected = []
        self._expects = None
        self._output = b""
        return self.is_low or bool(self.parts)

    def writebyte(self, value):
        if value == 0xCC:
            self._selected = list(self.parts)
        elif value == 0x55:
            self._expects = "rom"
        elif value == 0x4E:
            self._expects = "scratchpad"
        elif value == 0x44:
            for part in self._selected:
                part.convert()
        elif value == 0xBE:
            self._output = self._together([part.scratchpad() for part in self._selected])

    def _together(self, answers):
        # Whoever sends a zero pulls the line low for all.
        if not answers:
            return b"\xff" * 9
        return bytes([_all_of([answer[i] for answer in answers]) for i in range(9)])

    def write(self, data):
        if self._expects == "rom":
            self._selected = [part for part in self.parts if part.rom == bytes(data)]
        elif self._expects == "scratchpad":
            for part in self._selected:
                part.write_scratchpad(bytes(data))

    def readinto(self, buffer):
        for i in range(len(buffer)):
            buffer[i] = 0 if self.is_low else self._output[i]
        if self.is_silent:
            buffer[:] = b"\xff" * len(buffer)
        elif self.damage is not None:
            buffer[self.damage[0]] ^= self.damage[1]


def _all_of(values):
    joined = 0xFF
    for value in values:
        joined &= value
    return joined
