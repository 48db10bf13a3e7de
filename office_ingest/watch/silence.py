"""Notices devices that fell silent: no heartbeat for two intervals and a grace, on a clock that never goes back.

A device that says its heartbeats are further apart, because its battery or its allowance runs short, is given that much longer; after a
restart, by what the database keeps of its heartbeats. It is not given longer than they are seen to be apart: what it said may be of before
what the office knows, where a gateway or a database lost what it said since.

At start every device counts as heard just now: what was before the office ran is not the device's fault. Only those whose
silence an earlier run had found stay silent until they are heard, or that finding would never end.
"""

import math
from collections.abc import Callable, Iterable

from office_ingest.health import Pace
from office_ingest.storage.sqlite import SqliteStore

INTERVALS_MISSED = 2
# Longest distance that a device is believed, seconds: an hour, which is the longest that can be set, six times spaced.
APART_S_MAX = 6 * 3600
_NOTHING_SAID = Pace((0, 0), 0)


class SilenceWatch:
    """Remembers when each device was heard, and which are silent now.

    interval_s: expected between heartbeats; grace_s: what the way may add. monotonic: seconds that never go back.
    silent: those that were found silent before and not heard since. kept_pace: what is kept of a device's word, None for nothing;
    asked once for a device, when it would be silent without. seen_apart_ms: how far apart its newest heartbeats are, None where nobody can tell.
    """

    def __init__(
        self,
        *,
        interval_s: float,
        grace_s: float,
        monotonic: Callable[[], float],
        silent: Iterable[bytes] = (),
        kept_pace: Callable[[bytes], Pace | None] = lambda device: None,
        seen_apart_ms: Callable[[bytes], int | None] = lambda device: None,
    ):
        self.limit_s = INTERVALS_MISSED * interval_s + grace_s
        self._interval_s = interval_s
        self._paces: dict[bytes, Pace] = {}
        self._kept_pace = kept_pace
        self._seen_apart_ms = seen_apart_ms
        # Since it was heard last.
        self._seen_s: dict[bytes, float] = {}
        self._monotonic = monotonic
        self._silent = set(silent)
        self._heard = dict.fromkeys(self._silent, -math.inf)

    def heard(self, device: bytes) -> None:
        """Take note of a fresh heartbeat."""
        self._heard[device] = self._monotonic()
        self._seen_s.pop(device, None)

    def paced(self, device: bytes, pace: Pace) -> None:
        """Take note of a fresh heartbeat's pace (SPEC.md section 5.1, counter 13): where it says nothing, what its boot said before holds."""
        before = self._paces.get(device)
        if pace.apart_ms or before is None or before.life != pace.life:
            self._paces[device] = pace

    def limit_of(self, device: bytes) -> float:
        """Return after how many seconds without a heartbeat a device is silent."""
        said_s = self._said_of(device)
        apart_s = min(said_s, self._seen_of(device, said_s))
        return self.limit_s + INTERVALS_MISSED * max(0.0, apart_s - self._interval_s)

    def _said_of(self, device: bytes) -> float:
        if device not in self._paces:
            self._paces[device] = self._kept_pace(device) or _NOTHING_SAID
        return min(self._paces[device].apart_ms / 1000, APART_S_MAX)

    def _seen_of(self, device: bytes, otherwise: float) -> float:
        """Return how far apart its heartbeats are seen to be, asked once for each silence; otherwise: where nobody can tell."""
        if device not in self._seen_s:
            seen_ms = self._seen_apart_ms(device)
            self._seen_s[device] = otherwise if seen_ms is None else seen_ms / 1000
        return self._seen_s[device]

    def check(self, devices: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Return (those that fell silent, those that are heard again) since the last check, of all registered devices."""
        now = self._monotonic()
        silent = {device for device in devices if self._is_silent(device, now)}
        fallen, again = sorted(silent - self._silent), sorted(self._silent - silent)
        self._silent = silent
        return fallen, again

    def _is_silent(self, device: bytes, now: float) -> bool:
        passed = now - self._heard.setdefault(device, now)
        return passed > self.limit_s and passed > self.limit_of(device)

    def said(self, silent: Iterable[bytes]) -> None:
        """Go on from the devices that are recorded as silent: of a batch that failed nobody knows whether it was kept."""
        self._silent = set(silent)


def record_silence(watch: SilenceWatch, store: SqliteStore, now_ms: int) -> None:
    """Record which devices fell silent or are heard again since the last call.

    Raises StoreUnavailable: the next call records what this one did not.
    """
    watch.said(store.devices_with_open_finding("silence"))
    # Nobody waits for a device that nobody serves any more.
    fallen, again = watch.check([one for one in store.device_ids() if not store.is_revoked(one)])
    if not fallen and not again:
        return
    with store.transaction():
        for device in fallen:
            text = f"no heartbeat for {watch.limit_of(device):g} s"
            store.add_finding(device, "silence", "", text, now_ms)
        for device in again:
            store.clear_finding(device, "silence", "", now_ms)
