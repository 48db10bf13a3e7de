"""Which single view keys of class `site` a gateway is given: of devices of its own site, where a person granted it, and some periods ahead.

A gateway is told all that it may read of a device each time, so that what is not named again is forgotten there: an erased period, one
that became too old, a grant that was withdrawn. It is told when that changed, and once a minute in any case: its store may be a newer one.

Source: SPEC.md section 7; section 10 (Periods).
"""

import sqlite3

from office_ingest.errors import KeyUnknown
from office_ingest.govern.attestation import is_withheld
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.rows import COLUMNS, is_as_written
from office_ingest.storage.sqlite import SqliteStore
from protocol.errors import ProtocolError
from protocol.keys import LANES, SITE
from protocol.limits import uint32_max, uplink_views_max, view_keys_max

TABLE = "view_grants"
AGAIN_MS = 60_000
# A device's newest period is not known before its first segment: it begins with 0.
PERIODS_MAX = view_keys_max
_NAMES = COLUMNS[TABLE]
_WITHDRAWN = -1
_TOLD_MAX = 65_536

Grant = tuple[bytes, int, list[bytes | None]]


def grant_of(connection: sqlite3.Connection, gateway: str) -> tuple[int, int, int] | None:
    """Return (past, ahead, changed_ms) of a gateway, past below zero where it was withdrawn; None if nothing was ever granted."""
    row = connection.execute(
        f"SELECT {', '.join(_NAMES)}, row_digest FROM {TABLE} WHERE gateway = ?",  # noqa: S608 - names are ours
        (gateway,),
    ).fetchone()
    if row is None:
        return None
    if not is_as_written(row[:-1], row[-1]):
        # What its disk changed grants nothing.
        return _WITHDRAWN, 0, 0
    return row[1], row[2], row[4]


def newest_period(connection: sqlite3.Connection, device: bytes) -> int:
    """Return the highest period of the newest segments held of a device, 0 if none is."""
    found = [
        connection.execute(
            "SELECT period FROM segments WHERE device = ? AND lane = ? ORDER BY epoch DESC, number DESC LIMIT 1",
            (device, lane),
        ).fetchone()
        for lane in LANES
    ]
    return max([row[0] for row in found if row], default=0)


class Views:
    """Reads grants and keys for answers. store: the office's; keystore: keys of periods ahead become rows of it."""

    def __init__(self, store: SqliteStore, keystore: Keystore):
        self._store = store
        self._keystore = keystore
        self._told: dict[tuple[str, bytes], tuple[object, int]] = {}

    def for_gateway(self, gateway: str, devices: list[bytes], now_ms: int) -> list[Grant]:
        """Return what is to be said to a gateway of those of the devices that are of its own site."""
        granted = grant_of(self._store.connection, gateway)
        if granted is None:
            return []
        said: list[Grant] = []
        for device in devices:
            is_theirs = self._store.is_of_site(device, gateway) and not self._store.is_revoked(device)
            # What runs there is not known: nobody is given more to read of it.
            is_theirs = is_theirs and not is_withheld(self._store, device)
            if is_theirs and len(said) < uplink_views_max:
                newest = newest_period(self._store.connection, device)
                if self._is_due((gateway, device), (granted, newest), now_ms):
                    said.append(self._keys(device, newest, granted))
        return said

    def _is_due(self, key: tuple[str, bytes], what: object, now_ms: int) -> bool:
        before = self._told.get(key)
        if before is not None and before[0] == what and 0 <= now_ms - before[1] < AGAIN_MS:
            return False
        if len(self._told) >= _TOLD_MAX:
            self._told.clear()
        self._told[key] = what, now_ms
        return True

    def _keys(self, device: bytes, newest: int, granted: tuple[int, int, int]) -> Grant:
        past, ahead, _ = granted
        if past < 0:
            return device, 0, []
        first = max(0, newest - past)
        last = min(newest + ahead, first + PERIODS_MAX - 1, uint32_max)
        return device, first, [self._key(device, period) for period in range(first, last + 1)]

    def _key(self, device: bytes, period: int) -> bytes | None:
        try:
            return self._keystore.view_key(device, SITE, period)
        except (KeyUnknown, ProtocolError):
            return None


def put_grant(store: SqliteStore, gateway: str, past: int, ahead: int, author: str, now_ms: int) -> None:
    """Grant a gateway the class `site` of its devices. Raises StoreUnavailable."""
    assert past >= 0 and ahead >= 0 and past + ahead < PERIODS_MAX
    with store.transaction():
        store.put(TABLE, gateway, past, ahead, author, now_ms)


def withdraw_grant(store: SqliteStore, gateway: str, author: str, now_ms: int) -> None:
    """Let a gateway forget all view keys with its next exchanges, and what it read with them. Raises StoreUnavailable."""
    with store.transaction():
        store.put(TABLE, gateway, _WITHDRAWN, 0, author, now_ms)
