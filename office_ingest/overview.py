"""The state of the office at a glance: plain dictionaries for a table, for --json and for GET /v1/devices. Read only."""

import sqlite3
from pathlib import Path
from typing import Any

from office_ingest.govern.attestation import Attestations
from office_ingest.govern.rekey import rekey_status
from office_ingest.govern.relink import relink_status
from office_ingest.govern.rollout import Rollouts, rules_digest, step_words
from office_ingest.health import health_of
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore, check_database
from protocol.keys import LANE_NAMES
from protocol.sqlite_door import READ, open_database

Rows = list[dict[str, Any]]
# As a number of rows to read, SQLite's for no limit.
ALL = -1
_BEGUN_LAST = "first_ms DESC, kind DESC, place DESC, device DESC"
# A site without power is a hundred silences: they come behind what is rarer.
_PRESSING = "kind = 'silence', last_ms DESC, first_ms DESC, kind DESC, place DESC, device DESC"


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a database so that nothing can be changed. Raises NotAnOfficeDatabase."""
    check_database(path)
    connection = open_database(path, READ)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def devices_overview(connection: sqlite3.Connection, *, gateway: str | None = None) -> Rows:
    """Return for each registered device: when it was heard, what is held, what is missing or in doubt, what it decided, what it runs.

    gateway: its identity, where only the devices of its site are meant.
    """
    store = SqliteStore(connection)
    rollouts, attestations = Rollouts(store), Attestations(store)
    rows = connection.execute(
        "SELECT id, name, site FROM devices WHERE ?1 IS NULL OR site = (SELECT site FROM gateways WHERE id = ?1)"
        " ORDER BY site, name, id",
        (gateway,),
    ).fetchall()
    return [
        {
            **_device(connection, *row),
            **_rules(store, rollouts, row[0]),
            "rekey": rekey_status(store, row[0]),
            "relink": relink_status(store, row[0]),
            "health": health_of(connection, row[0]),
            "attestation": attestations.shown(row[0]),
        }
        for row in rows
    ]


def _device(connection: sqlite3.Connection, device: bytes, name: str, site: str) -> dict[str, Any]:
    def count(sql: str) -> int:
        return connection.execute(sql, (device,)).fetchone()[0]

    tally = connection.execute(
        "SELECT segments, events, decisions, duplicates FROM tallies WHERE device = ?", (device,)
    ).fetchone() or (0, 0, 0, 0)
    return {
        "device": device.hex(),
        "name": name,
        "site": site,
        "revoked_ms": count("SELECT max(revoked_ms) FROM revoked WHERE device = ?"),
        "last_heard_ms": count("SELECT max(received_ms) FROM heartbeats WHERE device = ?"),
        "lanes": _lanes(connection, device),
        **dict(zip(("segments", "events", "decisions", "duplicates"), tally, strict=True)),
        "gaps_open": count(
            "SELECT coalesce(sum(stop - start), 0) FROM gaps WHERE device = ? AND state = 'open'"
        ),
        "gaps_lost": count(
            "SELECT coalesce(sum(stop - start), 0) FROM gaps WHERE device = ? AND state = 'lost'"
        ),
        "gaps_accepted": count(
            "SELECT coalesce(sum(stop - start), 0) FROM gaps WHERE device = ? AND state = 'accepted'"
        ),
        "forks": count("SELECT count(*) FROM forks WHERE device = ?"),
        "quarantined": count("SELECT count(*) FROM quarantine WHERE device = ?"),
        "findings": count("SELECT count(*) FROM findings WHERE device = ? AND state = 'open'"),
    }


def _rules(store: SqliteStore, rollouts: Rollouts, device: bytes) -> dict[str, Any]:
    """Return the bundle that the newest sealed heartbeat names, the release wanted there, and the newest step of an adoption; None each where there is none."""
    row = store.connection.execute(
        "SELECT version, digest FROM reports WHERE device = ?", (device,)
    ).fetchone()
    wanted = rollouts.wanted(device)
    step = next(iter(Downward(store).adoptions(device)), None)
    return {
        "bundle": None if row is None else {"version": row[0], "digest": row[1].hex()},
        "wanted": None
        if wanted is None
        else {
            "number": wanted.number,
            "runs": row is not None and row[1] == rules_digest(wanted.manifest),
        },
        "adoption": None
        if step is None
        else {"number": step.number, "step": step_words(step), "received_ms": step.received_ms},
    }


def _lanes(connection: sqlite3.Connection, device: bytes) -> Rows:
    """Return lane and epoch, newest number held, number receipted and number of the newest sealed head."""
    rows = connection.execute(
        "SELECT s.lane, s.epoch, max(s.number),"
        " (SELECT number FROM receipts r WHERE r.device = s.device AND r.lane = s.lane AND r.epoch = s.epoch),"
        " (SELECT number FROM heads h WHERE h.device = s.device AND h.lane = s.lane AND h.epoch = s.epoch)"
        " FROM segments s WHERE s.device = ? GROUP BY s.lane, s.epoch ORDER BY s.lane, s.epoch",
        (device,),
    )
    names = ("lane", "epoch", "held", "receipted", "head")
    return [dict(zip(names, (LANE_NAMES[row[0]], *row[1:]), strict=True)) for row in rows]


def findings_overview(
    connection: sqlite3.Connection, *, cleared: bool, device: bytes | None = None, most: int = ALL
) -> Rows:
    """Return the newest findings, oldest first; cleared ones too if asked for. device: of this one alone; most: no more than these."""
    return _findings(connection, _BEGUN_LAST, cleared=cleared, device=device, most=most)[::-1]


def pressing_findings(connection: sqlite3.Connection, *, cleared: bool, most: int) -> Rows:
    """Return no more than most findings, those first that a person should look at first."""
    return _findings(connection, _PRESSING, cleared=cleared, device=None, most=most)


def _findings(
    connection: sqlite3.Connection, order: str, *, cleared: bool, device: bytes | None, most: int
) -> Rows:
    # As the index of open findings says it, for it to be used.
    wheres = ([] if cleared else ["state = 'open'"]) + ([] if device is None else ["device = ?"])
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    # The inner order says which are read, the outer how.
    inner = f"SELECT * FROM findings {where} ORDER BY {order} LIMIT ?"  # noqa: S608 - nothing of it comes from outside
    rows = connection.execute(
        "SELECT f.device, d.name, f.kind, f.place, f.text, f.state, f.first_ms, f.last_ms, f.times"  # noqa: S608 - as above
        f" FROM ({inner}) f LEFT JOIN devices d ON d.id = f.device ORDER BY {order}",
        (*([] if device is None else [device]), most),
    )
    names = ("device", "name", "kind", "place", "text", "state", "first_ms", "last_ms", "times")
    return [{**dict(zip(names, row, strict=True)), "device": row[0].hex()} for row in rows]


def quarantine_overview(connection: sqlite3.Connection, *, most: int = ALL) -> Rows:
    """Return the newest of what lies in quarantine, oldest first, without the bytes. most: no more than these."""
    rows = connection.execute(
        "SELECT digest, device, code, text, gateway, received_ms, times FROM quarantine"
        " ORDER BY received_ms DESC, digest DESC LIMIT ?",
        (most,),
    ).fetchall()
    names = ("digest", "device", "code", "text", "gateway", "received_ms", "times")
    return [
        {
            **dict(zip(names, row, strict=True)),
            "digest": row[0].hex(),
            "device": row[1].hex() if row[1] else None,
        }
        for row in reversed(rows)
    ]
