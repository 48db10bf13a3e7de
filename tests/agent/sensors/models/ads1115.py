"""A model, not silicon: an ADS1115 as the datasheet SBAS444 describes it ("Config Register", "Single-Shot Mode", "Data Format")."""

_RATES = (8, 16, 32, 64, 128, 250, 475, 860)
_RESET_CONFIG = 0x8583
_FULL_SCALE_UV = (6144000, 4096000, 2048000, 1024000, 512000, 256000, 256000, 256000)
_PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None))


class ModelAds1115:
    """pins: microvolts at AIN0..AIN3. clock: ModelClock."""

    def __init__(self, clock, pins=(0, 0, 0, 0)):
        self._clock = clock
        self.pins = list(pins)
        self.configs = []
        self.power_cycle()

    def power_cycle(self):
        self._config = _RESET_CONFIG
        self._conversion = 0
        self._pending = None
        self._done_at = 0
        self._pointer = 0

    def write(self, data):
        self._pointer = data[0]
        if len(data) == 3 and self._pointer == 1:
            self._settle()
            self._config = (data[1] << 8 | data[2]) & 0x7FFF
            self.configs.append(data[1] << 8 | data[2])
            if data[1] & 0x80 and self._pending is None:
                self._pending = self._convert()
                rate = _RATES[self._config >> 5 & 7]
                # The oscillator is the slow one that "Data rate variation" allows: ten percent.
                self._done_at = self._clock.now_us + 1100000 // rate

    def _convert(self):
        plus, minus = _PAIRS[self._config >> 12 & 7]
        microvolts = self.pins[plus] - (0 if minus is None else self.pins[minus])
        raw = microvolts * 32768 // _FULL_SCALE_UV[self._config >> 9 & 7]
        return max(-32768, min(32767, raw)) & 0xFFFF

    def _settle(self):
        if self._pending is not None and self._clock.now_us >= self._done_at:
            self._conversion, self._pending = self._pending, None

    def read(self, count):
        self._settle()
        is_idle = self._pending is None
        word = self._conversion if self._pointer == 0 else (self._config & 0x7FFF | is_idle << 15)
        return bytes([word >> 8, word & 0xFF])[:count]
