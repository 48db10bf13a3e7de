"""What a device tells of itself, within its share of the link: health in heartbeats, health as an event, counts of its inputs.

All of it together may take a hundredth of the bytes that the link has moved since boot, answers included. So a device that has
much to send says often how it is, and an idle one seldom. Each of the three waits for its turn: who is due the longest comes
first, so that the dearest is not starved by the cheapest. What is said at boot and when a level changed is said at once, and
saved afterwards.

Source: SPEC.md sections 4.7 and 5.1.
"""

from protocol._const import const
from protocol.bins import bin_of, encode_bins
from protocol.cbor import dumps
from protocol.event import GOOD, HEALTH, INPUTS
from protocol.limits import bins_count

# One byte of so many: below a hundredth by what framing and repeated datagrams take beside what is counted here.
_SHARE = const(128)
# Framing of one row among others, bytes.
_ROW_BYTES = const(10)
# Between two of a kind at the soonest, real milliseconds.
_SAID_MS = const(30000)
HEALTH_MS = const(60000)

_NOTHING = {}


class Telemetry:
    """channels: of the schema. health(): the map of SPEC.md section 5.1. moved(): bytes of the link since boot. real_ms(): since boot.

    inputs_ms: between two counts of one channel. has_events: whether events of it are recorded now.
    """

    def __init__(self, channels: list, health, moved, real_ms, inputs_ms: int):
        self._channels = channels
        self._health = health
        self._moved = moved
        self._real_ms = real_ms
        self._counts = [[0] * bins_count for _ in channels]
        self._not_good = [0] * len(channels)
        self._channel = 0
        self._spent = 0
        # Nothing is worth encoding until the link has moved so much.
        self._short_until = 0
        # When health in a heartbeat, health as an event, and the next channel's counts are due.
        self._due = [0, HEALTH_MS, inputs_ms]
        self._inputs_ms = inputs_ms
        # Owed until a heartbeat that has it is answered: one that is lost must not leave the office with an old pace.
        self._is_owed = True
        self._is_carried = False
        # What is owed counts once, however often it is said in vain: an outage must not use up the share of weeks to come.
        self._is_counted = False
        self.has_events = True

    def note(self, values: list, qualities: list) -> None:
        """Count one sample, recorded or not."""
        for channel in range(len(self._channels)):
            if qualities[channel] == GOOD:
                of = self._channels[channel]
                self._counts[channel][bin_of(values[channel], of.low, of.high)] += 1
            else:
                self._not_good[channel] += 1

    def owe(self) -> None:
        """Let the heartbeats to come carry health whatever it costs, until one is answered: a level has changed."""
        self._is_owed = True
        self._is_carried = self._is_counted = False

    def heard(self) -> None:
        """The newest heartbeat was answered."""
        if self._is_carried:
            self._is_owed = False

    def said(self) -> dict:
        """Return the health that the next heartbeat carries: an empty map where it is not its turn, or the share is used up."""
        self._is_carried = False
        if not self._is_owed and not self._is_turn(0):
            return _NOTHING
        health = self._health()
        size = len(dumps(health))
        if not self._is_owed and not self._is_within(size):
            return _NOTHING
        self._is_carried = True
        self._spend(0, 0 if self._is_owed and self._is_counted else size, _SAID_MS)
        self._is_counted = True
        return health

    def rows(self) -> list:
        """Return (kind, fields) of the events that are to be recorded now, at most one."""
        if not self.has_events or self._moved() < self._short_until:
            return []
        if self._is_turn(1):
            health = self._health()
            size = len(dumps(health)) + _ROW_BYTES
            if self._is_within(size):
                self._spend(1, size, HEALTH_MS)
                return [(HEALTH, (health,))]
        elif self._is_turn(2):
            fields = self.counted(self._channel)
            size = len(fields[2]) + _ROW_BYTES
            if self._is_within(size):
                self._spend(2, size, self._inputs_ms // len(self._channels))
                self._begin_next()
                return [(INPUTS, fields)]
        return []

    def counted(self, channel: int) -> tuple:
        """Return the fields of the event that tells what a channel has read since the one before."""
        return (channel, self._not_good[channel], encode_bins(self._counts[channel]))

    def _begin_next(self) -> None:
        channel = self._channel
        self._counts[channel] = [0] * bins_count
        self._not_good[channel] = 0
        self._channel = (channel + 1) % len(self._channels)

    def _is_turn(self, which: int) -> bool:
        due = self._due if self.has_events else self._due[:1]
        return due[which] == min(due) and self._real_ms() >= due[which]

    def _is_within(self, size: int) -> bool:
        if self._spent + size <= self._moved() // _SHARE:
            return True
        self._short_until = (self._spent + size) * _SHARE
        return False

    def _spend(self, which: int, size: int, pause_ms: int) -> None:
        self._spent += size
        self._due[which] = self._real_ms() + pause_ms
