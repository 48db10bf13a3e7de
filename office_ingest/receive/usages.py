"""Keeps what gateways say that devices moved: of devices of their own site, of links and days that make sense here.

Nothing of it is sealed by a device: it is a gateway's word, good for a bill and no proof of anything.

Source: SPEC.md section 7 (Usage).
"""

from collections.abc import Callable
from typing import Any

from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.usage import UsageStore
from protocol.usage import DAY_MS, LINK_NAMES, NO_LIFE

# A gateway's clock may be ahead, and the day with it.
_DAYS_AHEAD = 1


class Usages:
    """keep_days: how many days before today stay. wall_ms: the office's clock says which day it is."""

    def __init__(self, store: SqliteStore, *, keep_days: int, wall_ms: Callable[[], int]):
        self._store = store
        self._usage = UsageStore(store)
        self._keep_days = keep_days
        self._wall_ms = wall_ms

    def take(self, gateway: str, rows: list[tuple[Any, ...]], life: bytes = NO_LIFE) -> None:
        """Keep what makes sense of a gateway's totals, and forget days that are too old. Raises StoreUnavailable."""
        today = self._wall_ms() // DAY_MS
        first = today - self._keep_days
        devices = {row[0] for row in rows}
        served = {device for device in devices if self._store.is_of_site(device, gateway)}
        with self._store.transaction():
            for device, day, link, *counts in rows:
                is_known = device in served and link < len(LINK_NAMES)
                if is_known and first <= day <= today + _DAYS_AHEAD:
                    self._usage.put(gateway, device, day, link, (*counts,), life)
            self._usage.forget(first)
