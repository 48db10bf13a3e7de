"""How often somebody may be wrong: a bucket for each address and one for all, on a clock that never goes back."""

from collections import OrderedDict
from collections.abc import Callable

ADDRESSES_MAX = 1024
OF_ONE, ONE_EVERY_S = 5.0, 12.0
OF_ALL, ALL_EVERY_S = 60.0, 1.0


class Attempts:
    """Counts failures. monotonic: seconds that never go back, from an unknown start."""

    def __init__(self, monotonic: Callable[[], float]):
        self._monotonic = monotonic
        self._one: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (0.0, monotonic())

    def wait_s(self, address: str) -> float:
        """Return the seconds until this address may try again; 0: now."""
        now = self._monotonic()
        one = _level(self._one.get(address, (0.0, now)), now, ONE_EVERY_S)
        every = _level(self._all, now, ALL_EVERY_S)
        return max(0.0, (one - OF_ONE + 1) * ONE_EVERY_S, (every - OF_ALL + 1) * ALL_EVERY_S)

    def failed(self, address: str) -> None:
        """Count one failure of an address."""
        now = self._monotonic()
        self._one[address] = (_level(self._one.get(address, (0.0, now)), now, ONE_EVERY_S) + 1, now)
        self._one.move_to_end(address)
        if len(self._one) > ADDRESSES_MAX:
            self._one.popitem(last=False)
        self._all = (_level(self._all, now, ALL_EVERY_S) + 1, now)


def _level(bucket: tuple[float, float], now: float, every_s: float) -> float:
    """Return what is left of a bucket that loses one each every_s seconds."""
    level, since = bucket
    return max(0.0, level - (now - since) / every_s)
