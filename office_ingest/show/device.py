"""Everything the page says of one device, from the database and, for readings, the keystore."""

import sqlite3
from typing import Any

from office_ingest.govern.commands import answer_words, demand_words
from office_ingest.govern.rollout import step_words
from office_ingest.overview import findings_overview
from office_ingest.receive.keystore import Keystore
from office_ingest.show.chart import draw
from office_ingest.show.readings import read_recent
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.keys import LANE_NAMES

_ROWS_MAX = 50


def device_view(
    connection: sqlite3.Connection, keystore: Keystore, device: bytes, now_ms: int
) -> dict[str, Any] | None:
    """Return what a device's page shows, None if there is no such device."""
    row = connection.execute("SELECT name, site FROM devices WHERE id = ?", (device,)).fetchone()
    if row is None:
        return None
    recent = read_recent(connection, keystore, device)
    return {
        "id": device.hex(),
        "name": row[0],
        "site": row[1],
        "report": _report(connection, device),
        "tally": connection.execute(
            "SELECT segments, events, decisions, duplicates FROM tallies WHERE device = ?", (device,)
        ).fetchone()
        or (0, 0, 0, 0),
        "lanes": _lanes(connection, device),
        "gaps": _gaps(connection, device),
        "forks": _forks(connection, device),
        "quarantined": _count(connection, "quarantine", device),
        "findings": [
            one for one in findings_overview(connection, cleared=True) if one["device"] == device.hex()
        ][-_ROWS_MAX:],
        "recent": recent,
        "pictures": draw(recent),
        **_downward(connection, device, now_ms),
    }


def _report(connection: sqlite3.Connection, device: bytes) -> dict[str, Any] | None:
    row = connection.execute(
        "SELECT boot, counter, version, digest, received_ms FROM reports WHERE device = ?", (device,)
    ).fetchone()
    if row is None:
        return None
    return dict(zip(("boot", "counter", "version", "digest", "received_ms"), row, strict=True))


def _lanes(connection: sqlite3.Connection, device: bytes) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT s.lane, s.epoch, count(*), max(s.number), sum(s.count), (SELECT number FROM receipts r WHERE"
        " r.device = s.device AND r.lane = s.lane AND r.epoch = s.epoch), (SELECT number FROM heads h WHERE"
        " h.device = s.device AND h.lane = s.lane AND h.epoch = s.epoch)"
        " FROM segments s WHERE s.device = ? GROUP BY s.lane, s.epoch ORDER BY s.epoch DESC, s.lane",
        (device,),
    )
    names = ("lane", "epoch", "segments", "newest", "events", "receipted", "head")
    return [dict(zip(names, (LANE_NAMES[row[0]], *row[1:]), strict=True)) for row in rows]


def _gaps(connection: sqlite3.Connection, device: bytes) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT lane, epoch, state, start, stop FROM gaps WHERE device = ? AND state != 'filled'"
        " ORDER BY epoch, lane, start LIMIT ?",
        (device, _ROWS_MAX),
    )
    names = ("lane", "epoch", "state", "start", "stop")
    return [dict(zip(names, (LANE_NAMES[row[0]], *row[1:]), strict=True)) for row in rows]


def _forks(connection: sqlite3.Connection, device: bytes) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT lane, epoch, number, kind, hex(digest), received_ms FROM forks WHERE device = ? LIMIT ?",
        (device, _ROWS_MAX),
    )
    names = ("lane", "epoch", "number", "kind", "digest", "received_ms")
    return [dict(zip(names, (LANE_NAMES[row[0]], *row[1:]), strict=True)) for row in rows]


def _count(connection: sqlite3.Connection, table: str, device: bytes) -> int:
    sql = f"SELECT count(*) FROM {table} WHERE device = ?"  # noqa: S608 - the table is ours
    return connection.execute(sql, (device,)).fetchone()[0]


def _downward(connection: sqlite3.Connection, device: bytes, now_ms: int) -> dict[str, Any]:
    down = Downward(SqliteStore(connection))
    return {
        "traits": down.traits(device),
        "adoptions": [(one, step_words(one)) for one in down.adoptions(device)[:_ROWS_MAX]],
        "commands": [
            (one, demand_words(one.demand), answer_words(one, now_ms))
            for one in down.commands(device)[:_ROWS_MAX]
        ],
    }
