"""A model, not silicon: the registers of a BME280 as its data sheet BST-BME280-DS002 describes them (section 5)."""

from tests.agent.sensors.models.i2c_bus import ENODEV

# The BMP280 data sheet's example (its section 3.12), registers 0x88..0x9F; then 0xA0, H1 and 0xE1..0xE7 of a part in use.
EXAMPLE_LOW = bytes.fromhex("706b4367 18fc7d8e 43d6d00b 270b8c00 f9ff8c3c f8c67017 004b".replace(" ", ""))
EXAMPLE_HIGH = bytes.fromhex("65010014 0b001e".replace(" ", ""))
EXAMPLE_DATA = (415148, 519888, 30995)

# A part in use: a reading that a user put into the maker's forum (2019), with 24.44 degC and 54.17 %RH as the result. The pressure
# given there was in doubt and is not used.
FORUM_LOW = bytes.fromhex("6c6e7766 3200a892 27d5d00b 6f18caff f9ffac26 0ad8bd10 004b".replace(" ", ""))
FORUM_HIGH = EXAMPLE_HIGH
FORUM_DATA = (0x55338, 0x817FB, 0x7913)

_MEASURING_MS = 9


class ModelBme280:
    """data: raw pressure, temperature, humidity that the next measurement gives. clock: ModelClock."""

    def __init__(self, clock, data=EXAMPLE_DATA, low=EXAMPLE_LOW, high=EXAMPLE_HIGH):
        self._clock = clock
        self.data = data
        self.low = low
        self.high = high
        self.identity = 0x60
        self.is_copying = False
        self.reads = []
        self._pointer = 0
        self._done_at = 0
        self.power_cycle()

    def power_cycle(self):
        self._control = {0xF2: 0, 0xF4: 0, 0xF5: 0}
        self._humidity_taken = 0
        self._results = bytes.fromhex("8000008000008000")

    def write(self, data):
        self._pointer = data[0]
        for value in data[1:]:
            self._set(self._pointer, value)

    def _set(self, register, value):
        if register not in self._control:
            raise OSError(ENODEV)
        self._control[register] = value
        if register == 0xF4:
            # "Changes to this register only become effective after a write operation to ctrl_meas."
            self._humidity_taken = self._control[0xF2]
            if value & 3 in (1, 2):
                self._measure(value)

    def _measure(self, control):
        pressure, temperature, humidity = self.data
        if not control >> 5:
            temperature = 0x80000
        if not control >> 2 & 7:
            pressure = 0x80000
        if not self._humidity_taken & 7:
            humidity = 0x8000
        self._done_at = self._clock.now_us + 1000 * _MEASURING_MS
        self._results = (
            (pressure << 4).to_bytes(3, "big")
            + (temperature << 4).to_bytes(3, "big")
            + humidity.to_bytes(2, "big")
        )

    def read(self, count):
        self.reads.append((self._pointer, count))
        blocks = {
            0xD0: bytes([self.identity]),
            0xF3: bytes([8 * (self._clock.now_us < self._done_at) | self.is_copying]),
            0x88: self.low,
            0xE1: self.high,
            0xF7: self._results,
        }
        return blocks[self._pointer][:count]
