"""Sets of numbers as half-open ranges: what is held, what is missing.

A plain class over one sorted list of [start, stop) pairs that never touch: cheap as long as there are few holes.
"""


class Ranges:
    """Numbers >= 0 as sorted, disjoint, non-touching (start, stop) pairs; stop is not included."""

    __slots__ = ("pairs",)

    def __init__(self, pairs=()):
        self.pairs = []
        for start, stop in pairs:
            self.add(start, stop)

    def add(self, start: int, stop: int) -> None:
        """Add start .. stop - 1. An empty range changes nothing."""
        if stop <= start:
            return
        kept = []
        for low, high in self.pairs:
            if high < start or stop < low:
                kept.append((low, high))
            else:
                start = min(start, low)
                stop = max(stop, high)
        kept.append((start, stop))
        kept.sort()
        self.pairs = kept

    def remove(self, start: int, stop: int) -> None:
        """Remove start .. stop - 1. An empty range changes nothing."""
        if stop <= start:
            return
        kept = []
        for low, high in self.pairs:
            if low < min(high, start):
                kept.append((low, min(high, start)))
            if max(low, stop) < high:
                kept.append((max(low, stop), high))
        self.pairs = kept

    def __contains__(self, number: int) -> bool:
        return any([low <= number < high for low, high in self.pairs])

    def watermark(self, start: int = 0) -> int:
        """Return the first number at or above start that is not in the set."""
        for low, high in self.pairs:
            if low <= start < high:
                return high
        return start

    def missing(self, start: int, stop: int) -> list:
        """Return the (start, stop) pairs of start .. stop - 1 that are not in the set, lowest first."""
        holes = Ranges([(start, stop)])
        for low, high in self.pairs:
            holes.remove(low, high)
        return holes.pairs

    def count(self) -> int:
        """Return how many numbers are in the set."""
        return sum([high - low for low, high in self.pairs])
