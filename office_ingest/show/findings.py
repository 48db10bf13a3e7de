"""What a person should look at: findings, gaps, forks, quarantine. Of a long list the newest are read, and no more.

The lists of the findings' page are kept until one of their tables changes, which row_sums says: they change seldom, and it is asked
for every second.
"""

import sqlite3
from typing import Any

ROWS_MAX = 200
_TABLES = ("findings", "gaps", "forks", "quarantine", "devices")
_COLUMNS = ("device", "name", "kind", "place", "text", "state", "first_ms", "last_ms", "times")
_SELECTED = "f.device, d.name, f.kind, f.place, f.text, f.state, f.first_ms, f.last_ms, f.times"

Rows = list[dict[str, Any]]


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


def device_findings(connection: sqlite3.Connection, device: bytes, most: int) -> Rows:
    """Return the newest findings of one device, oldest first, those that are over too."""
    rows = connection.execute(
        f"SELECT {_SELECTED} FROM findings f"  # noqa: S608 - the columns are ours
        " LEFT JOIN devices d ON d.id = f.device WHERE f.device = ?"
        " ORDER BY f.first_ms DESC, f.kind DESC, f.place DESC LIMIT ?",
        (device, most),
    ).fetchall()
    return [_finding(row) for row in reversed(rows)]


def _finding(row: tuple[Any, ...]) -> dict[str, Any]:
    return {**dict(zip(_COLUMNS, row, strict=True)), "device": row[0].hex()}


def _page(connection: sqlite3.Connection, *, cleared: bool) -> dict[str, Any]:
    return {
        "cleared": cleared,
        "findings": _newest(connection, cleared=cleared),
        "total": connection.execute(
            f"SELECT count(*) FROM findings {_where(cleared=cleared)}"  # noqa: S608 - nothing of it comes from outside
        ).fetchone()[0],
        "gaps": _gaps(connection),
        "forks": _forks(connection),
        "quarantine": _quarantine(connection),
    }


def _newest(connection: sqlite3.Connection, *, cleared: bool) -> Rows:
    # A site without power is a hundred silences: they come behind what is rarer. The inner order says which are read, the outer how.
    order = "ORDER BY kind = 'silence', last_ms DESC, first_ms DESC, kind DESC, place DESC, device DESC"
    where = _where(cleared=cleared)
    inner = f"SELECT * FROM findings {where} {order} LIMIT ?"  # noqa: S608 - nothing of it comes from outside
    sql = f"SELECT {_SELECTED} FROM ({inner}) f LEFT JOIN devices d ON d.id = f.device {order}"  # noqa: S608
    return [_finding(row) for row in connection.execute(sql, (ROWS_MAX,))]


def _where(*, cleared: bool) -> str:
    # As the index of open findings says it, and no more, for it to be used.
    return "" if cleared else "WHERE state = 'open'"


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


def _quarantine(connection: sqlite3.Connection) -> Rows:
    names = ("digest", "device", "code", "text", "gateway", "received_ms", "times")
    rows = connection.execute(
        "SELECT hex(digest), hex(device), code, text, gateway, received_ms, times FROM quarantine"
        " ORDER BY received_ms DESC, digest DESC LIMIT ?",
        (ROWS_MAX,),
    ).fetchall()
    return [
        dict(zip(names, (digest.lower(), device.lower() or None, *row), strict=True))
        for digest, device, *row in reversed(rows)
    ]
