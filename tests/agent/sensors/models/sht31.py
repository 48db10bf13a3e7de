"""A model, not silicon: an SHT31 as the datasheet SHT3x-DIS version 5 describes it (sections 4.2 to 4.4 and 4.9 to 4.12)."""

from tests.agent.sensors.models.i2c_bus import ENODEV

_MEASURE = b"\x24\x00"
_MEASURING_MS = 15


def _crc(data):
    """The checksum as section 4.12 defines it: written as polynomial division, unlike the driver's."""
    value = 0xFF << 8 * len(data)
    number = int.from_bytes(data, "big") << 8
    number ^= value
    for bit in range(8 * len(data) + 7, 7, -1):
        if number >> bit & 1:
            number ^= 0x131 << bit - 8
    return number & 0xFF


class ModelSht31:
    """temperature, humidity: what S_T and S_RH will be. clock: ModelClock."""

    def __init__(self, clock, temperature=0x6666, humidity=0x6666):
        self._clock = clock
        self.temperature = temperature
        self.humidity = humidity
        self.is_heater_stuck = False
        self.is_heating = False
        self.commands = []
        self._answer = None
        self._ready_at = 0
        self._free_at = 0

    def power_cycle(self):
        self._answer = None
        self.is_heating = False

    def write(self, data):
        if self._clock.now_us < self._free_at:
            # "After sending a command a minimal waiting time of 1 ms is needed before another command can be received."
            raise OSError(ENODEV)
        self.commands.append(data)
        self._free_at = self._clock.now_us + 1000
        if data == _MEASURE:
            self._answer = [self.temperature, self.humidity]
            self._ready_at = self._clock.now_us + 1000 * _MEASURING_MS
        elif data == b"\xf3\x2d":
            heats = self.is_heating or self.is_heater_stuck
            self._answer = [0x8010 | heats << 13]
            self._ready_at = self._clock.now_us
        elif data == b"\x30\x6d":
            self.is_heating = True
        elif data == b"\x30\x66":
            self.is_heating = False
        elif data == b"\x30\xa2":
            self.power_cycle()
            self._free_at = self._clock.now_us + 1500

    def read(self, count):
        if self._answer is None or self._clock.now_us < self._ready_at:
            # Without clock stretching the read header is not acknowledged before the measurement is done.
            raise OSError(ENODEV)
        data = b""
        for word in self._answer:
            pair = bytes([word >> 8, word & 0xFF])
            data += pair + bytes([_crc(pair)])
        self._answer = None
        return (data + b"\xff" * count)[:count]
