"""The tables of what devices move: totals by device, day, link and gateway, and what each device says that its link may move in a day.

Written only inside a store's transaction. Source: schema/0012_usage.sql and 0013_lives.sql; SPEC.md section 7 (Usage).
"""

import sqlite3
from typing import Any, NamedTuple

from office_ingest.storage.sqlite import SqliteStore
from protocol.usage import NO_LIFE

# (received_bytes, sent_bytes, received_datagrams, sent_datagrams), as a gateway sees them.
Counts = tuple[int, int, int, int]
_COUNTS = "received_bytes, sent_bytes, received_datagrams, sent_datagrams"
# Both tables as one, in a query's FROM.
ALL_USAGE = (
    f"(SELECT device, day, link, {_COUNTS} FROM link_usage UNION ALL"  # noqa: S608 - all of it is ours
    f" SELECT device, day, link, {_COUNTS} FROM link_usage_lives)"
)
# Stores of a gateway that may be lost in a day, of each device and link; what begins after them is passed over, or a gateway could fill
# the database.
LIVES_MAX = 16
_SUMS = "sum(received_bytes), sum(sent_bytes), sum(received_datagrams), sum(sent_datagrams)"


_OF_GATEWAY = "device = ? AND day = ? AND link = ? AND gateway = ?"


class DayOfLink(NamedTuple):
    """What a device moved over one kind of link in one day, over all gateways. received: by gateways, so sent by the device."""

    day: int
    link: int
    received_bytes: int
    sent_bytes: int
    received_datagrams: int
    sent_datagrams: int


class Spent(NamedTuple):
    """A device with an allowance, and what it moved in a day, both ways and over all links."""

    device: bytes
    moved_bytes: int
    day_bytes: int


class UsageStore:
    """Reads and writes those tables of one store."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def put(
        self, gateway: str, device: bytes, day: int, link: int, counts: Counts, life: bytes = NO_LIFE
    ) -> None:
        """Keep a gateway's total, unless a greater one of that life is kept: it says each again and again, and a request may come late."""
        key: tuple[Any, ...] = (device, day, link, gateway)
        table, where = "link_usage", _OF_GATEWAY
        if life != NO_LIFE:
            key, table, where = (*key, life), "link_usage_lives", f"{_OF_GATEWAY} AND life = ?"
        row = self._store.connection.execute(
            f"SELECT {_COUNTS} FROM {table} WHERE {where}",  # noqa: S608 - all of it is ours
            key,
        ).fetchone()
        if row is None and life != NO_LIFE and self._lives(key[:-1]) >= LIVES_MAX:
            return
        most = counts if row is None else tuple(max(pair) for pair in zip(row, counts, strict=True))
        if most != row:
            self._store.put(table, *key, *most)

    def _lives(self, key: tuple[Any, ...]) -> int:
        sql = f"SELECT count(*) FROM link_usage_lives WHERE {_OF_GATEWAY}"  # noqa: S608 - all of it is ours
        return int(self._store.connection.execute(sql, key).fetchone()[0])

    def forget(self, before: int) -> None:
        """Delete the days before that one."""
        for table in ("link_usage", "link_usage_lives"):
            self._store.delete(table, "day < ?", before)

    def put_budget(self, device: bytes, day_bytes: int, now_ms: int) -> None:
        """Keep what a device says that its link may move in a day; 0: as much as there is."""
        if day_bytes == (budget_of(self._store.connection, device) or 0):
            return
        if day_bytes:
            self._store.put("link_budgets", device, day_bytes, now_ms)
        else:
            self._store.delete("link_budgets", "device = ?", device)

    def spent(self, day: int) -> list[Spent]:
        """Return every device with an allowance that moved anything in a day."""
        rows = self._store.connection.execute(
            f"SELECT u.device, sum(u.received_bytes + u.sent_bytes), b.day_bytes FROM {ALL_USAGE} u"  # noqa: S608 - all of it is ours
            " JOIN link_budgets b ON b.device = u.device WHERE u.day = ? GROUP BY u.device ORDER BY u.device",
            (day,),
        )
        return [Spent(*row) for row in rows]


def days_of(connection: sqlite3.Connection, device: bytes, first: int, last: int) -> list[DayOfLink]:
    """Return what a device moved in the days first to last, by day and link."""
    rows = connection.execute(
        f"SELECT day, link, {_SUMS} FROM {ALL_USAGE} WHERE device = ? AND day BETWEEN ? AND ?"  # noqa: S608 - all of it is ours
        " GROUP BY day, link ORDER BY day, link",
        (device, first, last),
    )
    return [DayOfLink(*row) for row in rows]


def budget_of(connection: sqlite3.Connection, device: bytes) -> int | None:
    """Return what a device says that its link may move in a day, None for no allowance."""
    row = connection.execute("SELECT day_bytes FROM link_budgets WHERE device = ?", (device,)).fetchone()
    return None if row is None else row[0]
