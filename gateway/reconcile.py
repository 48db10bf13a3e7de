"""What is held of a lane, and what to do about a device's offer. Pure: reads nothing, sends nothing.

A number of (device, lane, epoch) is *settled* when the device need not send it again to this gateway: it is durable here,
or receipted, or lost (a tombstone covers it), or below what the device still keeps, which it gives up only after a receipt
or a durable tombstone. The custody watermark is the first number that is not settled.

Source: SPEC.md sections 3.5 and 6.
"""

from collections.abc import Iterable
from typing import NamedTuple

from protocol.limits import segment_bytes_max, uint32_max
from protocol.ranges import Ranges


class Fork(NamedTuple):
    """The device's head has another digest than what we hold for that number."""

    number: int
    ours: bytes
    theirs: bytes


class Want(NamedTuple):
    """Numbers start .. stop - 1 that we lack and the device still keeps."""

    start: int
    stop: int


class Lost(NamedTuple):
    """Numbers start .. stop - 1 that we lack and a tombstone covers."""

    start: int
    stop: int


class Custody(NamedTuple):
    """Every number below watermark is settled."""

    watermark: int


Action = Fork | Want | Lost | Custody


class Offer(NamedTuple):
    """What a device says it holds of one lane: kept_from .. number, and the digest of number."""

    kept_from: int
    number: int
    digest: bytes


class Lane:
    """What this gateway knows of one (device, lane, epoch).

    held: numbers that are durable here. lost: numbers that tombstones cover. receipted: first number above the newest
    receipt, 0 without one. kept_from: lowest number that the device said it still keeps.
    """

    def __init__(self, held: Iterable[tuple[int, int]] = (), receipted: int = 0, kept_from: int = 0):
        self.held = Ranges()
        # The rows come sorted and apart: adding them one by one would cost their square.
        self.held.pairs = [(start, stop) for start, stop in held]
        self.lost = Ranges()
        self.receipted = receipted
        self.kept_from = kept_from

    def settled(self) -> Ranges:
        """Return the numbers that the device need not send again."""
        settled = Ranges()
        settled.pairs = list(self.held.pairs)
        for start, stop in self.lost.pairs:
            settled.add(start, stop)
        settled.add(0, max(self.receipted, self.kept_from))
        return settled

    def watermark(self) -> int:
        """Return the custody watermark: the first number that is not settled."""
        if self.lost.pairs:
            return self.settled().watermark(0)
        # As settled() says, without making it: each answer needs it twice.
        mark = max(self.receipted, self.kept_from)
        for start, stop in self.held.pairs:
            if start > mark:
                break
            mark = max(mark, stop)
        return mark

    def top(self) -> int:
        """Return the first number above all that is held."""
        last = self.held.pairs[-1][1] if self.held.pairs else 0
        return max(last, self.receipted)

    def gaps(self) -> list[tuple[int, int]]:
        """Return the (start, stop) pairs below the highest number held that are not settled."""
        return self.settled().missing(0, self.top())


def reconcile(
    lane: Lane,
    offer: Offer | None,
    *,
    digests: frozenset[bytes] = frozenset(),
    tombstone: tuple[int, int] | None = None,
    budget_bytes: int = 64 * segment_bytes_max,
) -> list[Action]:
    """Plan what to do about a device's offer. Reads nothing, sends nothing.

    digests: what is held for the number that the offer names. tombstone: (first, last) of a tombstone that just came.

    Actions come in the order in which they should be carried out:
      Fork(number, ours, theirs)   evidence first, before anything is answered;
      Want(start, stop)            half-open, oldest first, together within budget_bytes; a forked head is wanted too;
      Lost(start, stop)            the device's tombstone covers what we miss;
      Custody(watermark)           exactly one, never above what is settled.

    Promise: carrying out the plan and calling again with the same offer yields no Want, Fork or Lost that was in the
    first plan. (tests/gateway/test_reconcile.py checks it for random inputs.)
    """
    settled = lane.settled()
    actions: list[Action] = []
    room = budget_bytes // segment_bytes_max
    lost: list[Action] = []
    if tombstone is not None:
        first, last = tombstone
        lost = [Lost(start, stop) for start, stop in settled.missing(first, last + 1)]
        settled.add(first, last + 1)
    if offer is not None:
        settled.add(0, offer.kept_from)
        if digests and offer.digest not in digests:
            actions.append(Fork(offer.number, min(digests), offer.digest))
            # Custody of ours would keep the device from ever sending theirs, and both are evidence.
            actions.append(Want(offer.number, offer.number + 1))
            room -= 1
        actions += _wants(settled.missing(offer.kept_from, offer.number + 1), room)
    return [*actions, *lost, Custody(settled.watermark(0))]


def _wants(holes: list[tuple[int, int]], room: int) -> list[Want]:
    wants = []
    for start, stop in holes:
        stop = min(stop, start + room)
        if stop <= start:
            break
        wants.append(Want(start, stop))
        room -= stop - start
    return wants


def fold_wants(wanted: Iterable[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Return wants of several sources as disjoint ranges, oldest first, at most limit of them."""
    ranges = Ranges()
    for start, stop in wanted:
        ranges.add(start, min(stop, uint32_max + 1))
    return ranges.pairs[:limit]
