"""How often strangers are answered: each address so often, and all together so often, whoever they say they are."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

# RFC 8516: what one address that asks too often is answered; all together are left without an answer.
TOO_MANY_REQUESTS = 0x9D
# Addresses whose rate is known. One that is pushed out begins anew, within what all may have.
PEERS_MAX = 1024


class Rate:
    """Tokens of one or of all: at_once of them, and one more each interval_s seconds."""

    __slots__ = ("_at_once", "_interval_s", "_left", "_then")

    def __init__(self, at_once: int, interval_s: float, now: float):
        self._at_once = at_once
        self._interval_s = interval_s
        self._left = float(at_once)
        self._then = now

    def take(self, now: float) -> bool:
        """Take one; return whether there was one."""
        self._left = min(self._at_once, self._left + (now - self._then) / self._interval_s)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Rates:
    """peer, everybody: (at once, seconds to one more) of one address, and of all. clock: monotonic()."""

    def __init__(self, clock: Any, *, peer: tuple[int, float], everybody: tuple[int, float]):
        self._clock = clock
        self._peer = peer
        self._all = Rate(*everybody, clock.monotonic())
        self._peers: OrderedDict[Hashable, Rate] = OrderedDict()

    def may(self, host: Hashable) -> bool | None:
        """Return whether one more request of an address may be answered; None: all together had theirs."""
        now = self._clock.monotonic()
        rate = self._peers.get(host)
        if rate is None:
            rate = self._peers[host] = Rate(*self._peer, now)
            if len(self._peers) > PEERS_MAX:
                self._peers.popitem(last=False)
        else:
            self._peers.move_to_end(host)
        if not rate.take(now):
            return False
        return True if self._all.take(now) else None
