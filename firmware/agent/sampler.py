"""Samples at fixed instants of the device clock, and says of each value whether it is one.

Sample n belongs to the instant n x sample_ms (until a command changes the pace), and carries it as its tick, so that being late never adds up. Who is late
by a few instants reads them one after the other; beyond catch_up_max the oldest are given up and counted: a device that
cannot keep pace must say so, not fall behind for ever.
"""

from agent.sensors import FAULTY, SensorFault
from protocol._const import const
from protocol.event import FAULT, GOOD, MISSING, OUT_OF_RANGE, STUCK

# A second of samples at the fastest pace a demonstration uses; a board keeps pace by far.
_CATCH_UP_MAX = const(64)


class Quality:
    """Judges the raw values of one channel, one after the other."""

    def __init__(self, channel):
        self._channel = channel
        self._last = None
        self._equal = 0

    def judge(self, raw) -> int:
        """Return the quality of a raw value, None for missing, FAULTY for none because its part failed.

        Source: SPEC.md sections 4.2 and 4.5.
        """
        if raw is None:
            return MISSING
        if raw is FAULTY:
            return FAULT
        self._equal = self._equal + 1 if raw == self._last else 1
        self._last = raw
        if not self._channel.low <= raw <= self._channel.high:
            return OUT_OF_RANGE
        if self._channel.stuck_after and self._equal >= self._channel.stuck_after:
            return STUCK
        return GOOD


class Sampler:
    """Takes the readings of one sensor at their instants. channels: of the schema; sample_ms: device clock.

    not_good: values of any quality but good. faults: for each channel how often its quality was fault. Both since boot.
    """

    def __init__(self, sensor, channels: list, sample_ms: int, catch_up_max: int = _CATCH_UP_MAX):
        self._sensor = sensor
        self._qualities = [Quality(channel) for channel in channels]
        self.sample_ms = sample_ms
        self._catch_up_max = catch_up_max
        self.next_tick_ms = sample_ms
        self.not_good = 0
        self.faults = [0] * len(channels)
        self._skipped = 0

    def take(self, tick_ms: int):
        """Return (tick_ms, values, qualities) of the oldest instant that is due, or None if none is.

        values: one a channel, None unless its quality is good.
        """
        late = (tick_ms - self.next_tick_ms) // self.sample_ms
        if late < 0:
            return None
        if late > self._catch_up_max:
            self._skip(late - self._catch_up_max)
        instant = self.next_tick_ms
        self.next_tick_ms += self.sample_ms
        values, qualities = self._read()
        return instant, values, qualities

    def _skip(self, count: int) -> None:
        self.next_tick_ms += count * self.sample_ms
        self._skipped += count

    def _read(self) -> tuple:
        try:
            raw = self._sensor.read()
        except SensorFault:
            raw = [FAULTY] * len(self._qualities)
        qualities = [self._qualities[i].judge(raw[i]) for i in range(len(raw))]
        values = [raw[i] if qualities[i] == GOOD else None for i in range(len(raw))]
        for i in range(len(qualities)):
            self.not_good += qualities[i] != GOOD
            self.faults[i] += qualities[i] == FAULT
        return values, qualities

    def driver_faults(self) -> int:
        """Return how often drivers failed since boot, all together; 0 where the sensor counts none."""
        counters = getattr(self._sensor, "counters", None)
        return 0 if counters is None else sum(counters().values())

    def set_pace(self, sample_ms: int, tick_ms: int) -> None:
        """Sample at another pace: next so long after the newest sample, but not at an instant that has passed by tick_ms."""
        newest = self.next_tick_ms - self.sample_ms
        self.next_tick_ms = max(newest + sample_ms, min(self.next_tick_ms, tick_ms))
        self.sample_ms = sample_ms

    def take_skipped(self) -> int:
        """Return how many samples were given up since the last call."""
        skipped = self._skipped
        self._skipped = 0
        return skipped
