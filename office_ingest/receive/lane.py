"""What the office holds of one (device, lane, epoch), kept in memory beside the database: ranges, never segments.

Everything here follows from the set of what was stored, whatever the order of its arrival: gaps, coverage by tombstones and
how far a receipt may reach are computed, not collected. So the office forgets it at will and reads it again.
"""

from office_ingest.storage.interface import GapRow, Held, HeldLane, Place
from protocol.limits import generation_segments
from protocol.ranges import Ranges
from protocol.segment import Tombstone, genesis, parse_segment

Pairs = list[tuple[int, int]]


class Lane:
    """One lane and epoch of a device.

    held: numbers whose verified segment is stored. settled: held, or covered by a good tombstone.
    accepted: missing and passed over, because a person said so; receipts go on above them, and in all else they are a gap.
    contested: lowest number in doubt because of a fork, or None; no receipt reaches it.
    """

    def __init__(self, place: Place, row: HeldLane):
        self.place = place
        self.base = row.base
        self.generation = row.generation
        self.held = Ranges()
        self.held.pairs = [tuple(pair) for pair in row.ranges]
        self.contested = row.contested
        self.head = row.head
        self.gaps = set(row.gaps)
        self.filled = Ranges(row.filled)
        self.receipt = row.receipt
        self.accepted = Ranges(row.accepted)
        self.tombstones: dict[int, Tombstone] = {}
        self.contradicted: set[int] = set()
        self._touching: dict[int, list[int]] = {}
        self.covered = Ranges()
        self.settled = Ranges()
        self.settled.pairs = list(self.held.pairs)
        for number, raw in row.tombstones:
            tombstone = parse_segment(raw).tombstone
            assert tombstone is not None
            self.add_tombstone(number, tombstone)

    def add(self, number: int, generation: int) -> None:
        """Take note of a segment that was stored."""
        self.held.add(number, number + 1)
        self.settled.add(number, number + 1)
        if self.base is None:
            self.base = generation - number // generation_segments
        self.generation = max(self.generation, generation)

    def add_tombstone(self, number: int, tombstone: Tombstone) -> None:
        """Take note of a stored tombstone; check it before it is relied on (`touching`, `contradiction`)."""
        self.tombstones[number] = tombstone
        for near in (tombstone.first - 1, tombstone.first, tombstone.last, tombstone.last + 1):
            self._touching.setdefault(near, []).append(number)
        self.covered.add(tombstone.first, tombstone.last + 1)
        self.settled.add(tombstone.first, tombstone.last + 1)

    def touching(self, number: int) -> list[int]:
        """Return the numbers of the tombstones that say something about this segment."""
        return self._touching.get(number, [])

    def contradict(self, number: int) -> None:
        """Rely on a tombstone no longer: what it covered counts as missing again."""
        self.contradicted.add(number)
        self.covered = Ranges()
        self.settled = Ranges()
        self.settled.pairs = list(self.held.pairs)
        for other, tombstone in self.tombstones.items():
            if other not in self.contradicted:
                self.covered.add(tombstone.first, tombstone.last + 1)
                self.settled.add(tombstone.first, tombstone.last + 1)

    def contest(self, number: int) -> None:
        """Put every number from this one on in doubt."""
        self.contested = number if self.contested is None else min(self.contested, number)

    def missing(self) -> Pairs:
        """Return the half-open ranges that are known to exist and not held, lowest first."""
        top = self.held.pairs[-1][1] if self.held.pairs else 0
        if self.head is not None:
            top = max(top, self.head.number + 1)
        return holes(self.held.pairs, top)

    def gap_rows(self) -> set[GapRow]:
        """Return the gaps as they are now, each lost, accepted or open."""
        missing = self.missing()
        top = missing[-1][1] if missing else 0
        rows = {GapRow("lost", start, stop, False) for start, stop in intersect(missing, self.covered.pairs)}
        unsaid = intersect(missing, holes(self.covered.pairs, top))
        rows |= {GapRow("accepted", *pair, True) for pair in intersect(unsaid, self.accepted.pairs)}
        kept_from = self.head.kept_from if self.head else 0
        for start, stop in intersect(unsaid, holes(self.accepted.pairs, top)):
            if start < kept_from:
                rows.add(GapRow("open", start, min(stop, kept_from), True))
            if stop > kept_from:
                rows.add(GapRow("open", max(start, kept_from), stop, False))
        return rows

    def receipt_number(self) -> int:
        """Return the highest number such that all 0..n are settled or accepted and none is in doubt; -1 if there is none."""
        last = self.passed() - 1
        if self.contested is not None:
            last = min(last, self.contested - 1)
        return last

    def passed(self) -> int:
        """Return the lowest number that is neither settled nor accepted."""
        at = self.settled.watermark(0)
        for start, stop in self.accepted.pairs:
            if start <= at < stop:
                at = self.settled.watermark(stop)
        return at

    def known_digest_at_or_below(self, number: int) -> tuple[int, bytes | None]:
        """Return (n, digest): the highest n up to number that is held (digest None: look it up) or a tombstone's last."""
        best: tuple[int, bytes | None] = (-1, None)
        for start, stop in self.held.pairs:
            if start > number:
                break
            best = (min(number, stop - 1), None)
        if best[0] == number:
            return best
        for at, tombstone in self.tombstones.items():
            if at not in self.contradicted and best[0] < tombstone.last <= number:
                best = (tombstone.last, tombstone.last_digest)
        return best


def contradiction(place: Place, tombstone: Tombstone, near: dict[int, Held]) -> str | None:
    """Return what of a tombstone does not agree with the segments held around its range, or None.

    near: those of first - 1, first, last, last + 1 that are held. Source: SPEC.md section 3.5.
    """
    before = near.get(tombstone.first - 1)
    first, last, after = near.get(tombstone.first), near.get(tombstone.last), near.get(tombstone.last + 1)
    known_before = before.digest if before else genesis(*place) if tombstone.first == 0 else None
    if known_before is None and first is not None:
        known_before = first.previous
    if known_before is not None and known_before != tombstone.before:
        return f"names another digest before {tombstone.first}"
    for held in (last.digest if last else None, after.previous if after else None):
        if held is not None and held != tombstone.last_digest:
            return f"names another digest for {tombstone.last}"
    start = before.next_sequence() if before else first.first_sequence if first else None
    if start is None and tombstone.first == 0:
        start = 0
    stop = last.next_sequence() if last else after.first_sequence if after else None
    if start is not None and stop is not None and stop - start != tombstone.event_count:
        return f"counts {tombstone.event_count} events where {stop - start} are missing"
    return None


def holes(pairs: Pairs, stop: int) -> Pairs:
    """Return the ranges of 0 .. stop - 1 that are in none of the sorted, disjoint pairs."""
    found = []
    at = 0
    for low, high in pairs:
        if low >= stop:
            break
        if at < low:
            found.append((at, low))
        at = high
    if at < stop:
        found.append((at, stop))
    return found


def intersect(first: Pairs, second: Pairs) -> Pairs:
    """Return the ranges that are in both of two sorted, disjoint lists."""
    found = []
    i = j = 0
    while i < len(first) and j < len(second):
        low = max(first[i][0], second[j][0])
        high = min(first[i][1], second[j][1])
        if low < high:
            found.append((low, high))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return found
