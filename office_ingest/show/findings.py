"""What a person should look at: findings, gaps, forks, quarantine. Of a long list the newest are read, and no more.

The lists of the findings' page are kept until one of their tables changes, which row_sums says: they change seldom, and it is asked
for every second.
"""

import sqlite3
from typing import Any

from office_ingest.overview import Rows, pressing_findings, quarantine_overview

ROWS_MAX = 200
_TABLES = ("findings", "gaps", "forks", "quarantine", "devices")


class Findings:
    """The findings' page, with and without what is over."""

    def __init__(self) -> None:
        self._sums: list[tuple[Any, ...]] = []
        self._kept: dict[bool, dict[str, Any]] = {}

    def look(self, connection: sqlite3.Connection, *, cleared: bool) -> dict[str, Any]:
        """Return the page's lists as the database gives them now: the same object while nothing changed, and not to be changed."""
        sums = connection.execute(
            f"SELECT name, rows, sum FROM row_sums WHERE name IN ({', '.join('?' * len(_TABLES))}) ORDER BY name",  # noqa: S608
            _TABLES,
        ).fetchall()
        if sums != self._sums:
            self._sums, self._kept = sums, {}
        if cleared not in self._kept:
            self._kept[cleared] = _page(connection, cleared=cleared)
        return self._kept[cleared]


def _page(connection: sqlite3.Connection, *, cleared: bool) -> dict[str, Any]:
    return {
        "cleared": cleared,
        "findings": pressing_findings(connection, cleared=cleared, most=ROWS_MAX),
        "total": connection.execute(
            "SELECT count(*) FROM findings"
            if cleared
            else "SELECT count(*) FROM findings WHERE state = 'open'"
        ).fetchone()[0],
        "gaps": _gaps(connection),
        "forks": _forks(connection),
        "quarantine": quarantine_overview(connection, most=ROWS_MAX),
    }


def _gaps(connection: sqlite3.Connection) -> Rows:
    names = ("device", "name", "lane", "epoch", "state", "start", "stop")
    rows = connection.execute(
        "SELECT g.device, d.name, g.lane, g.epoch, g.state, g.start, g.stop FROM gaps g"
        " LEFT JOIN devices d ON d.id = g.device WHERE g.state <> 'filled' ORDER BY g.state DESC, d.name LIMIT ?",
        (ROWS_MAX,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _forks(connection: sqlite3.Connection) -> Rows:
    names = ("device", "name", "lane", "epoch", "number", "kind", "received_ms")
    rows = connection.execute(
        "SELECT f.device, d.name, f.lane, f.epoch, f.number, f.kind, f.received_ms FROM forks f"
        " LEFT JOIN devices d ON d.id = f.device ORDER BY f.received_ms DESC LIMIT ?",
        (ROWS_MAX,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
