"""What of the journal is still to be sent, and in which order. Plans only: sends nothing, reads no flash.

It holds numbers, never segments: the backlog itself lies in flash, so that a long outage costs no memory.

Three sources, in this order: the critical lane; ranges that the gateway wants again; the routine lane. Within each the lowest
number first. A number sent once is not offered again by itself: if it was lost, custody stays below it and the next
heartbeat's answer wants it.

Source: SPEC.md section 6.
"""

from protocol.keys import CRITICAL, LANES, ROUTINE
from protocol.ranges import Ranges


class _Lane:
    __slots__ = ("custody", "next", "not_before_ms", "wanted")

    def __init__(self):
        self.next = 0
        self.custody = 0
        self.wanted = Ranges()
        self.not_before_ms = 0


class Backlog:
    """One lane's state is a number each: what comes next, and below which number all is in custody."""

    def __init__(self):
        self._lanes = [_Lane() for _ in LANES]

    def restart(self) -> None:
        """Forget everything: a new epoch begins at number 0."""
        self._lanes = [_Lane() for _ in LANES]

    def custody(self, lane: int) -> int:
        """Return the watermark of custody that the gateway named last."""
        return self._lanes[lane].custody

    def take_custody(self, lane: int, watermark: int) -> None:
        """The gateway has everything below the watermark. It goes back only when a gateway was replaced."""
        state = self._lanes[lane]
        state.custody = watermark
        state.next = max(state.next, watermark)
        state.wanted.remove(0, watermark)

    def take_offer_answer(self, lane: int, wants: list) -> None:
        """Replace what is wanted of a lane by what the answer to a heartbeat, which offered all we have, asks for.

        wants: (start, stop) pairs. Custody of this answer has been taken before. A gateway that lacks what was sent once says so here.
        """
        state = self._lanes[lane]
        state.wanted = Ranges()
        self.want(lane, wants)
        if not wants and state.custody < state.next:
            state.next = state.custody

    def want(self, lane: int, wants: list) -> None:
        """Add ranges that the gateway asked for; what has not been sent yet comes by itself."""
        state = self._lanes[lane]
        for start, stop in wants:
            state.wanted.add(start, min(stop, state.next))

    def refuse(self, lane: int, until_ms: int) -> None:
        """Custody was refused until then. Refused routine leaves critical alone; refused critical stops both."""
        self._lanes[ROUTINE].not_before_ms = until_ms
        if lane == CRITICAL:
            self._lanes[CRITICAL].not_before_ms = until_ms

    def is_open(self, lane: int, now_ms: int) -> bool:
        """Say whether custody of a lane may be asked for now."""
        return now_ms >= self._lanes[lane].not_before_ms

    def choose(self, heads: list, now_ms: int):
        """Return (lane, number) of the segment to send next, or None.

        heads: per lane (kept_from, newest number, digest), or None for an empty one; what is below kept_from is gone.
        """
        for lane in LANES:
            self._forget_pruned(lane, heads[lane])
        for lane, take in (
            (CRITICAL, self._new),
            (CRITICAL, self._again),
            (ROUTINE, self._again),
            (ROUTINE, self._new),
        ):
            if heads[lane] is not None and self.is_open(lane, now_ms):
                number = take(lane, heads[lane][1])
                if number is not None:
                    return lane, number
        return None

    def _forget_pruned(self, lane: int, head) -> None:
        if head is not None:
            state = self._lanes[lane]
            state.next = max(state.next, head[0])
            state.wanted.remove(0, head[0])

    def _new(self, lane: int, newest: int):
        return self._lanes[lane].next if self._lanes[lane].next <= newest else None

    def _again(self, lane: int, newest: int):
        pairs = self._lanes[lane].wanted.pairs
        return pairs[0][0] if pairs and pairs[0][0] <= newest else None

    def note_sent(self, lane: int, number: int) -> None:
        """The gateway answered for this number, or it cannot be sent: it is not offered again unless wanted."""
        state = self._lanes[lane]
        state.wanted.remove(number, number + 1)
        if number == state.next:
            state.next = number + 1

    def waiting(self, lane: int, head) -> int:
        """Return how many segments of a lane are not in custody."""
        if head is None:
            return 0
        return max(0, head[1] + 1 - max(self._lanes[lane].custody, head[0]))
