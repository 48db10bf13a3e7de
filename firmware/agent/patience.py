"""What failed in this boot, and how long no release is asked for because of it: waits that double up to an hour.

The waits are the device's, not one release's. Numbers come from a gateway that nobody verified: if another number could start at
once, who names ever new ones would have the slots erased and programmed without end. So a mended release, too, waits for what the
one before it left behind; only a confirmed release ends the waits.

Source: SPEC.md section 12.6.
"""

from protocol._const import const

_WAIT_MS_MAX = const(3600000)
# Numbers kept of each kind; who brings more of them in one boot waits an hour for each by then.
_NUMBERS_KEPT = const(16)


class Patience:
    """first_ms: real time, the wait after the first failure. failures: since this boot began or a release was confirmed."""

    def __init__(self, first_ms: int):
        self._first_ms = first_ms
        self._until_ms = 0
        self._given_up = []
        self._refused = []
        self.failures = 0

    def is_waiting(self, now_ms: int) -> bool:
        """Say whether nothing is to be asked for yet."""
        return now_ms < self._until_ms

    def lose(self, now_ms: int) -> None:
        """Wait from now on, twice as long as after the failure before."""
        self._until_ms = now_ms + min(_WAIT_MS_MAX, self._first_ms << min(self.failures, 20))
        self.failures += 1

    def give_up(self, number: int) -> None:
        """Note a number that was rolled back: in this boot it is not tried again."""
        self._given_up = self._given_up[1 - _NUMBERS_KEPT :] + [number]

    def has_given_up(self, number: int) -> bool:
        """Say whether a number was rolled back in this boot, and none confirmed since."""
        return number in self._given_up

    def refuse(self, number: int) -> bool:
        """Note that a number was refused; return whether that is news, for an older one may be told again."""
        is_news = number not in self._refused
        if is_news:
            self._refused = self._refused[1 - _NUMBERS_KEPT :] + [number]
        return is_news

    def restore(self) -> None:
        """A release was confirmed: nothing that failed before it counts any more."""
        self.failures = 0
        self._until_ms = 0
        self._given_up = []
