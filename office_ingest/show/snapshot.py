"""The whole fleet at one moment, a row a device: made once for all viewers, whenever the database has changed.

10,000 devices are one pass over a few indexed tables; a page then sorts and cuts rows in memory.
"""

import sqlite3
from collections import Counter
from typing import NamedTuple

from protocol.adoption import ROLLED_BACK, TRIAL

# What a device's state can be, the gravest first: word, mark (its shape), tone (its colour). Never a colour alone.
STATES = {
    "fork": ("fork", "◆", "bad"),
    "lost": ("data lost", "▼", "bad"),
    "silent": ("silent", "■", "bad"),
    "drift": ("drift", "◆", "bad"),
    "rolled-back": ("rolled back", "↺", "warn"),
    "finding": ("finding", "▲", "warn"),
    "gap": ("gap", "▽", "warn"),
    "trial": ("on trial", "◐", "note"),
    "waiting": ("never heard", "○", "note"),
    "ok": ("ok", "●", "good"),
}


class Row(NamedTuple):
    """One device. state: a key of STATES; heard_ms: office wall time or None; version, digest: of the bundle that decides."""

    device: bytes
    name: str
    site: str
    state: str
    heard_ms: int | None
    version: int | None
    digest: bytes | None
    events: int
    decisions: int
    findings: int


class Snapshot(NamedTuple):
    """rows by site and name; states: how many of each; bundles: (version, digest) and how many run it; sites: names."""

    rows: list[Row]
    states: dict[str, int]
    bundles: list[tuple[tuple[int, bytes], int]]
    sites: list[str]
    events: int
    decisions: int


def take_snapshot(connection: sqlite3.Connection) -> Snapshot:
    """Return the fleet as the database says."""
    known = _Known(connection)
    rows = [
        Row(
            device,
            name,
            site,
            known.state(device, heard),
            heard,
            version,
            digest,
            events,
            decisions,
            known.open(device),
        )
        for device, name, site, heard, version, digest, events, decisions in connection.execute(
            "SELECT d.id, d.name, d.site, r.received_ms, r.version, r.digest, coalesce(t.events, 0),"
            " coalesce(t.decisions, 0) FROM devices d LEFT JOIN reports r ON r.device = d.id"
            " LEFT JOIN tallies t ON t.device = d.id ORDER BY d.site, d.name, d.id"
        )
    ]
    counted = Counter(row.state for row in rows)
    running = Counter(
        (row.version, row.digest) for row in rows if row.version is not None and row.digest is not None
    )
    return Snapshot(
        rows,
        {state: counted[state] for state in STATES if counted[state]},
        running.most_common(),
        sorted({row.site for row in rows}),
        sum(row.events for row in rows),
        sum(row.decisions for row in rows),
    )


class _Known:
    """What is grave about whom: few devices, so that each is a lookup in a set."""

    def __init__(self, connection: sqlite3.Connection):
        def devices(sql: str) -> set[bytes]:
            return {row[0] for row in connection.execute(sql)}

        self._forks = devices("SELECT DISTINCT device FROM forks")
        self._lost = devices("SELECT DISTINCT device FROM gaps WHERE state = 'lost'")
        self._gaps = devices("SELECT DISTINCT device FROM gaps WHERE state = 'open'")
        self._findings: dict[bytes, list[str]] = {}
        for device, kind in connection.execute("SELECT device, kind FROM findings WHERE state = 'open'"):
            self._findings.setdefault(device, []).append(kind)
        # The newest step of each device: rows come oldest first.
        self._steps = dict(
            connection.execute("SELECT device, step FROM adoptions ORDER BY epoch, event_order").fetchall()
        )

    def open(self, device: bytes) -> int:
        return len(self._findings.get(device, ()))

    def state(self, device: bytes, heard_ms: int | None) -> str:
        kinds = self._findings.get(device, ())
        step = self._steps.get(device)
        true_of = {
            "fork": device in self._forks,
            "lost": device in self._lost,
            "silent": "silence" in kinds,
            "drift": "drift" in kinds,
            "rolled-back": "rolled-back" in kinds or step == ROLLED_BACK,
            "finding": bool(kinds),
            "gap": device in self._gaps,
            "trial": step == TRIAL,
            "waiting": heard_ms is None,
        }
        return next((state for state, is_so in true_of.items() if is_so), "ok")
