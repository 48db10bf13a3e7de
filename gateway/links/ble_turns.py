"""Whose turn it is: more devices advertise than a radio has connections for. No I/O; seconds of any monotonic clock are handed in.

Of those that wait, the one whose last turn is longest ago is next. An advertisement costs nothing and anybody can send it, so
advertisers that never had a protected answer (strangers) stand in a queue of their own: the two queues take turns, and strangers are the
first to be forgotten. Who connects and is of no use waits, twice as long each time.
"""

from typing import Any

# Advertisers remembered; of what is above, strangers heard longest ago are forgotten.
ADVERTISERS_MAX = 256
_FORGOTTEN_AT_ONCE = 64
# Devices advertise four times a second while they want a connection. Older ones are gone, or somebody else's.
FRESH_S = 10.0
# A turn that brought nothing, doubled for each in a row.
PENALTY_S_MIN = 2.0
PENALTY_S_MAX = 300.0
# Who was of use before has a bad radio, not bad manners.
PENALTY_S_MAX_CREDIBLE = 16.0
_DOUBLINGS_MAX = 8


class Advertiser:
    """One address: what to connect to, when it was heard, when its last turn ended, since when it may have another.

    place: in the queue, from when it was first heard or its last turn ended on.
    """

    __slots__ = (
        "ended_s",
        "failures",
        "handle",
        "heard_s",
        "is_credible",
        "is_served",
        "not_before_s",
        "place",
    )

    def __init__(self, place: int) -> None:
        self.place = place
        self.handle: Any = None
        self.heard_s = 0.0
        self.ended_s = -1.0
        self.not_before_s = 0.0
        self.failures = 0
        self.is_credible = False
        self.is_served = False

    def waits(self, now_s: float) -> bool:
        """Return whether it advertised since its last turn, lately, and may have one."""
        return (
            not self.is_served
            and self.heard_s > self.ended_s
            and now_s - self.heard_s <= FRESH_S
            and now_s >= self.not_before_s
        )


class Turns:
    """All advertisers, by address."""

    def __init__(self) -> None:
        self._known: dict[str, Advertiser] = {}
        self._is_strangers_turn = False
        self._places = 0

    def __len__(self) -> int:
        return len(self._known)

    def hear(self, address: str, handle: Any, now_s: float) -> None:
        """Note an advertisement. handle: what begin() gives back for it."""
        advertiser = self._known.get(address)
        if advertiser is None:
            advertiser = self._known[address] = Advertiser(self._next_place())
            self._forget_some()
        advertiser.handle = handle
        advertiser.heard_s = now_s

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def _forget_some(self) -> None:
        if len(self._known) <= ADVERTISERS_MAX:
            return
        # Many at once: a flood of new addresses must not cost a search each. The newest is not among them.
        idle = [
            (one.is_credible, one.heard_s, address)
            for address, one in self._known.items()
            if not one.is_served
        ]
        for _, _, address in sorted(idle[:-1])[:_FORGOTTEN_AT_ONCE]:
            del self._known[address]

    def waiting(self, now_s: float) -> int:
        """Return how many wait for a turn."""
        return sum(one.waits(now_s) for one in self._known.values())

    def begin(self, now_s: float) -> tuple[str, Any] | None:
        """Return (address, handle) of whose turn begins now, or None where nobody waits."""
        queues: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
        for address, one in self._known.items():
            if one.waits(now_s):
                queues[one.is_credible].append((one.place, address))
        strangers, credible = queues
        if not strangers and not credible:
            return None
        chosen = strangers if not credible or (strangers and self._is_strangers_turn) else credible
        self._is_strangers_turn = chosen is credible
        address = min(chosen)[1]
        self._known[address].is_served = True
        return address, self._known[address].handle

    def trust(self, address: str) -> None:
        """Note that something of this address had a protected answer."""
        self._known[address].is_credible = True

    def end(self, address: str, now_s: float, *, was_useful: bool) -> None:
        """Note the end of a turn. was_useful: it brought at least one request that had a protected answer."""
        one = self._known[address]
        one.is_served = False
        one.ended_s = now_s
        one.place = self._next_place()
        one.failures = 0 if was_useful else one.failures + 1
        if one.failures:
            most_s = PENALTY_S_MAX_CREDIBLE if one.is_credible else PENALTY_S_MAX
            doubled = PENALTY_S_MIN * 2 ** min(one.failures - 1, _DOUBLINGS_MAX)
            one.not_before_s = now_s + min(doubled, most_s)
