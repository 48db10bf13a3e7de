"""Everything the page says of one device, from the database and, for readings, the keystore."""

import sqlite3
from typing import Any

from office_ingest.energy import EnergySection
from office_ingest.govern.attestation import Attestations
from office_ingest.govern.commands import answer_words, demand_words
from office_ingest.govern.rollout import step_words
from office_ingest.health import health_of, left_words
from office_ingest.moved import moved_view
from office_ingest.overview import findings_overview
from office_ingest.receive.keystore import Keystore
from office_ingest.show.chain import Chains
from office_ingest.show.moved import draw_moved
from office_ingest.show.recents import Recents
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.keys import LANE_NAMES

_ROWS_MAX = 50


class Kept:
    """What is kept from one look at devices to the next."""

    def __init__(self) -> None:
        self.recents = Recents()
        self.chains = Chains()


def device_view(
    connection: sqlite3.Connection,
    keystore: Keystore,
    kept: Kept,
    device: bytes,
    now_ms: int,
    model: EnergySection,
) -> dict[str, Any] | None:
    """Return what a device's page shows, None if there is no such device."""
    row = connection.execute("SELECT name, site FROM devices WHERE id = ?", (device,)).fetchone()
    if row is None:
        return None
    health = health_of(connection, device)
    traffic = moved_view(connection, device, now_ms, model)
    drawn = kept.recents.look(connection, keystore, device)
    return {
        "id": device.hex(),
        "name": row[0],
        "site": row[1],
        "report": _report(connection, device),
        "tally": connection.execute(
            "SELECT segments, events, decisions, duplicates FROM tallies WHERE device = ?", (device,)
        ).fetchone()
        or (0, 0, 0, 0),
        "lanes": kept.chains.look(connection, device),
        "gaps": _gaps(connection, device),
        "forks": _forks(connection, device),
        "quarantined": _count(connection, "quarantine", device),
        "findings": findings_overview(connection, cleared=True, device=device, most=_ROWS_MAX),
        "recent": drawn.recent,
        "pictures": drawn.pictures,
        "histograms": drawn.histograms,
        "health": health,
        "left": left_words(health),
        "traffic": traffic,
        "moved_picture": draw_moved(traffic),
        **_downward(connection, device, now_ms),
    }


def _report(connection: sqlite3.Connection, device: bytes) -> dict[str, Any] | None:
    row = connection.execute(
        "SELECT boot, counter, version, digest, received_ms FROM reports WHERE device = ?", (device,)
    ).fetchone()
    if row is None:
        return None
    return dict(zip(("boot", "counter", "version", "digest", "received_ms"), row, strict=True))


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
        "attestation": Attestations(SqliteStore(connection)).shown(device),
        "adoptions": [(one, step_words(one)) for one in down.adoptions(device)[:_ROWS_MAX]],
        "commands": [
            (one, demand_words(one.demand), answer_words(one, now_ms))
            for one in down.commands(device)[:_ROWS_MAX]
        ],
    }
