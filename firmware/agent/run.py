"""Where a lane stands, and its open run: events recorded and not yet sealed, and when they fill one segment.

What a sample costs in the columns is only known after encoding, and encoding again for each sample is too slow. So the run is
encoded at a few sizes on the way: after each time it waits for three quarters of the samples that the average so far
would still allow. When it no longer fits, the longest prefix that does is found by bisection; the rest stays open.
"""

from protocol._const import const
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.event import SAMPLE, encode_events
from protocol.limits import events_bytes_max, segment_events_max
from protocol.segment import genesis

_FIRST_CHECK = const(8)
# Fewer bytes left than one more sample of several channels is likely to take: the segment is full.
_LEFT_BYTES = const(6)
# Events that may wait in memory while nothing can be sealed; the caller thins long before.
OPEN_EVENTS_MAX = 2 * segment_events_max


class RunFull(Exception):
    """More events wait than may: the caller did not thin after NoRoom. Nothing was added."""


class Run:
    """Open events of one lane, in order, all of one boot. A plain list with a memory of what fits."""

    __slots__ = ("_check_at", "_fits", "events")

    def __init__(self):
        self.events = []
        self._restart()

    def _restart(self) -> None:
        self._fits = 0
        self._check_at = _FIRST_CHECK

    def add(self, event: tuple, boot: int) -> bool:
        """Add an event of a higher order; return True when the run fills a segment. Raises RunFull."""
        assert not self.events or event[0] > self.events[-1][0], "order {} does not rise".format(event[0])
        if len(self.events) >= OPEN_EVENTS_MAX:
            raise RunFull("{} events wait in one lane".format(len(self.events)))
        self.events.append(event)
        count = len(self.events)
        if count < self._check_at and event[2] == SAMPLE:
            return False
        return self._is_full(count, boot)

    def _is_full(self, count: int, boot: int) -> bool:
        size = _size(boot, self.events)
        if size > events_bytes_max:
            self._check_at = count
            return True
        self._fits = count
        left = events_bytes_max - size
        self._check_at = min(segment_events_max, count + max(1, left * count * 3 // (size * 4)))
        return left < _LEFT_BYTES or count == segment_events_max

    def longest(self, boot: int) -> tuple:
        """Return (count, plaintext) of the longest prefix that fits one segment.

        Raises ProtocolError(TOO_LARGE) if the first event alone does not.
        """
        count = min(len(self.events), segment_events_max)
        plaintext = _encode(boot, self.events[:count])
        if plaintext is not None:
            return count, plaintext
        low = min(max(1, self._fits), count)
        best = encode_events(boot, self.events[:low])
        high = count
        while high - low > 1:
            middle = (low + high) // 2
            plaintext = _encode(boot, self.events[:middle])
            if plaintext is None:
                high = middle
            else:
                low = middle
                best = plaintext
        return low, best

    def drop_first(self, count: int) -> None:
        """Forget the first events: they are sealed."""
        self.events = self.events[count:]
        self._restart()

    def thin(self) -> int:
        """Drop every second sample; return how many."""
        kept = []
        samples = 0
        for event in self.events:
            samples += event[2] == SAMPLE
            if event[2] != SAMPLE or samples & 1:
                kept.append(event)
        dropped = len(self.events) - len(kept)
        self.events = kept
        self._restart()
        return dropped


class Lane:
    """State of one lane in the current epoch.

    previous: digest of the newest segment, or the genesis. sector: index of the one being filled, or None. tombstone: newest, or
    None. custody: numbers below it are in custody. receipt: highest number receipted, -1 before any.
    """

    def __init__(self, device: bytes, lane: int, epoch: int):
        self.run = Run()
        self.next_number = 0
        self.next_sequence = 0
        self.previous = genesis(device, lane, epoch)
        self.sector = None
        self.tombstone = None
        self.custody = 0
        self.receipt = -1


def _encode(boot: int, events: list):
    try:
        return encode_events(boot, events)
    except ProtocolError as error:
        if error.code != TOO_LARGE:
            raise
        return None


def _size(boot: int, events: list) -> int:
    plaintext = _encode(boot, events)
    return events_bytes_max + 1 if plaintext is None else len(plaintext)
