"""A model, not silicon: an I2C bus with the methods of machine.I2C, and a clock that its parts live by.

A part has write(data) and read(count) -> bytes; either raises OSError where silicon would not acknowledge.
"""

ENODEV = 19
ETIMEDOUT = 110


class ModelClock:
    """Milliseconds and microseconds that pass only when somebody waits; both wrap as MicroPython's do."""

    def __init__(self, now_us=0):
        self.now_us = now_us
        self.waits = []

    def wait_ms(self, count):
        self.waits.append(count)
        self.now_us += 1000 * count

    def now_ms(self):
        return self.now_us // 1000

    def ticks_ms(self):
        return self.now_ms() & 0x3FFFFFFF

    def ticks_us(self):
        return self.now_us & 0x3FFFFFFF

    def ticks_diff(self, new, old):
        return ((new - old + 0x20000000) & 0x3FFFFFFF) - 0x20000000


class ModelBus:
    """parts: address -> part. fails: what every access raises, or None. stuck: the byte that every read gives, or None."""

    def __init__(self, parts):
        self.parts = parts
        self.fails = None
        self.stuck = None
        self.damage = None

    def _part(self, address):
        if self.fails is not None:
            raise OSError(self.fails)
        if address not in self.parts:
            raise OSError(ENODEV)
        return self.parts[address]

    def writeto(self, address, data):
        self._part(address).write(bytes(data))

    def readfrom(self, address, count):
        data = self._part(address).read(count)
        assert len(data) == count
        if self.stuck is not None:
            return bytes([self.stuck]) * count
        if self.damage is not None:
            place, mask = self.damage
            return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]
        return data

    def writeto_mem(self, address, register, data):
        self.writeto(address, bytes([register]) + bytes(data))

    def readfrom_mem(self, address, register, count):
        self.writeto(address, bytes([register]))
        return self.readfrom(address, count)
