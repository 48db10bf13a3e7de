"""Where a lane stands, and its open run: events recorded and not yet sealed, and when they fill one segment.

What a sample costs in the columns is only known after encoding, and encoding again for each sample is too slow. So the run is
encoded at a few sizes on the way: after each time it waits for three quarters of the samples that the average so far
would still allow. A row takes the same bytes whatever comes before it, so they are added to a size that is known. When the
run no longer fits, the longest prefix that does is found by bisection; the rest stays open.

What was found out about the first events stays true until they are sealed or thinned, and is kept: a run that nothing can seal,
because nothing may be pruned for it, must not be encoded again for each event that still comes.
"""

from protocol._const import const
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.event import SAMPLE, encode_events, row_bytes
from protocol.limits import events_bytes_max, segment_events_max
from protocol.segment import genesis

_FIRST_CHECK = const(8)
# Fewer bytes left than one more sample of several channels is likely to take: the segment is full.
_LEFT_BYTES = const(6)
# So many rows, and one more makes the head of their array a byte longer.
_ROWS_OF_HEADS = (23, 255)
# Events that may wait in memory while nothing can be sealed; the caller thins long before.
OPEN_EVENTS_MAX = 2 * segment_events_max


class RunFull(Exception):
    """More events wait than may: the caller did not thin after NoRoom. Nothing was added."""


class Run:
    """Open events of one lane, in order, all of one boot. A plain list with a memory of what fits.

    _fits: how many of the first are known to fit, in _size bytes, which are _plaintext unless that is empty. _over: how many
    are known not to, or 0. _is_full: nothing that comes is worth another look. _check_at: how many a sample must make for one.
    """

    __slots__ = ("_check_at", "_fits", "_is_full", "_over", "_plaintext", "_samples", "_size", "events")

    def __init__(self):
        self.events = []
        self._samples = 0
        self._restart()

    def _restart(self) -> None:
        self._fits = self._size = self._over = 0
        self._plaintext = b""
        self._is_full = False
        self._check_at = _FIRST_CHECK

    def add(self, event: tuple, boot: int) -> bool:
        """Add an event of a higher order; return True when the run fills a segment. Raises RunFull."""
        before = len(self.events)
        assert not before or event[0] > self.events[-1][0], "order {} does not rise".format(event[0])
        if before >= OPEN_EVENTS_MAX:
            raise RunFull("{} events wait in one lane".format(before))
        self.events.append(event)
        is_sample = event[2] == SAMPLE
        self._samples += is_sample
        if self._is_full:
            return True
        if is_sample and before + 1 < self._check_at:
            return False
        if before and before == self._fits and not is_sample:
            self._fit_row(event, before)
        else:
            self._fit(before + 1, boot)
        if not self._over:
            self._look_ahead()
        return self._is_full

    def _fit(self, count: int, boot: int) -> None:
        """Find out whether the first events fit."""
        if count == self._fits and self._plaintext:
            return
        plaintext = _encode(boot, self.events[:count])
        if plaintext is None:
            self._over = count
            self._is_full = True
        else:
            self._plaintext = plaintext
            self._fits = count
            self._size = len(plaintext)

    def _fit_row(self, event: tuple, before: int) -> None:
        """Find out whether a row fits behind events that do."""
        size = self._size + row_bytes(event, self.events[0]) + (before - self._samples in _ROWS_OF_HEADS)
        if size > events_bytes_max:
            self._over = before + 1
            self._is_full = True
        else:
            self._plaintext = b""
            self._fits = before + 1
            self._size = size

    def _look_ahead(self) -> None:
        left = events_bytes_max - self._size
        count = self._fits
        self._check_at = min(segment_events_max, count + max(1, left * count * 3 // (self._size * 4)))
        self._is_full = left < _LEFT_BYTES or count == segment_events_max

    def longest(self, boot: int) -> tuple:
        """Return (count, plaintext) of the longest prefix that fits one segment.

        Raises ProtocolError(TOO_LARGE) if the first event alone does not.
        """
        if not self._over:
            self._fit(min(len(self.events), segment_events_max), boot)
        low = max(1, self._fits)
        while self._over - low > 1:
            self._fit((low + self._over) // 2, boot)
            low = max(1, self._fits)
        if not self._plaintext:
            self._plaintext = encode_events(boot, self.events[:low])
            self._fits = low
        return low, self._plaintext

    def drop_first(self, count: int) -> None:
        """Forget the first events: they are sealed."""
        self.events = self.events[count:]
        self._samples = sum([event[2] == SAMPLE for event in self.events])
        self._restart()

    def thin(self) -> int:
        """Drop every second sample; return how many."""
        number = self._samples
        dropped = number // 2
        at = len(self.events)
        # From the newest on: where that one is all that can go, the others are not looked at.
        while number > 1:
            at -= 1
            if self.events[at][2] == SAMPLE:
                if not number & 1:
                    del self.events[at]
                number -= 1
        self._samples -= dropped
        if at < max(self._fits, self._over):
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
