"""The whole fleet at one moment, a row a device: made once for all viewers, whenever the database has changed.

With 10,000 devices every second brings a thousand heartbeats, so that only what was written since the last look is read again;
a page then sorts and cuts rows in memory.
"""

import sqlite3
from collections import Counter
from typing import Any, NamedTuple

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
    "revoked": ("revoked", "⊘", "note"),
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
    """rows by site and name; places: device -> place in rows; states: how many of each; bundles: (version, digest) and how many run it.

    cast: another number whenever devices came or what is meant for them changed.
    """

    cast: int
    rows: list[Row]
    places: dict[bytes, int]
    states: dict[str, int]
    bundles: list[tuple[tuple[int, bytes], int]]
    sites: list[str]
    events: int
    decisions: int


class FleetReader:
    """Keeps the fleet's rows and brings them up to date. connection: read-only, of one thread.

    row_sums says which tables have changed. Of those with a row a device only rows written since the last look are read: the store
    writes a row by replacing it, which gives it a rowid above all others. The highest one is read again each time: were it ever given
    to the row that replaces its owner, nothing would be missed.
    """

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection
        self._sums: dict[str, tuple[int, bytes]] = {}
        self._last: dict[str, int] = {}
        self._cast = 0
        self._rows: list[Row] = []
        self._places: dict[bytes, int] = {}
        self._reports: dict[bytes, tuple[int, int, bytes]] = {}
        self._tallies: dict[bytes, tuple[int, int]] = {}
        self._steps: dict[bytes, tuple[int, int, int]] = {}
        self._findings: dict[bytes, list[str]] = {}
        self._gaps: dict[bytes, list[str]] = {}
        self._forks: dict[bytes, list[str]] = {}
        self._revoked: set[bytes] = set()
        self._count_afresh()

    def look(self) -> Snapshot:
        """Return the fleet as the database says now."""
        changed = self._changed_tables()
        touched: set[bytes] = set()
        for table, read in (
            ("reports", self._read_reports),
            ("tallies", self._read_tallies),
            ("adoptions", self._read_adoptions),
            ("findings", self._read_findings),
            ("gaps", self._read_gaps),
            ("forks", self._read_forks),
            ("revoked", self._read_revoked),
        ):
            if table in changed:
                touched |= read()
        if changed & {"devices", "device_traits", "revoked"}:
            self._cast += 1
        if "devices" in changed:
            self._read_devices()
        else:
            for place in {self._places[device] for device in touched if device in self._places}:
                old = self._rows[place]
                self._rows[place] = self._row(old.device, old.name, old.site)
                self._count(old, -1)
                self._count(self._rows[place], 1)
        return self._snapshot()

    def _changed_tables(self) -> set[str]:
        sums = {
            name: (rows, digest) for name, rows, digest in self._connection.execute("SELECT * FROM row_sums")
        }
        changed = {name for name, sum_ in sums.items() if self._sums.get(name) != sum_}
        self._sums = sums
        return changed

    def _written(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        """Return the rows of a table written since the last look, less their rowids."""
        rows = self._connection.execute(
            f"SELECT rowid, {columns} FROM {table} WHERE rowid >= ? ORDER BY rowid",  # noqa: S608 - names are ours
            (self._last.get(table, 0),),
        ).fetchall()
        if rows:
            self._last[table] = rows[-1][0]
        return [row[1:] for row in rows]

    def _read_reports(self) -> set[bytes]:
        new = {row[0]: row[1:] for row in self._written("reports", "device, received_ms, version, digest")}
        self._reports.update(new)
        return set(new)

    def _read_tallies(self) -> set[bytes]:
        new = {row[0]: row[1:] for row in self._written("tallies", "device, events, decisions")}
        self._tallies.update(new)
        return set(new)

    def _read_adoptions(self) -> set[bytes]:
        touched = set()
        for device, *step in self._written("adoptions", "device, epoch, event_order, step"):
            self._steps[device] = max(self._steps.get(device, (-1, -1, -1)), tuple(step))
            touched.add(device)
        return touched

    def _read_findings(self) -> set[bytes]:
        before = self._findings
        self._findings = self._named(
            "SELECT device, kind FROM findings WHERE state = 'open' ORDER BY device, kind"
        )
        return _differing(before, self._findings)

    def _read_gaps(self) -> set[bytes]:
        before = self._gaps
        self._gaps = self._named(
            "SELECT DISTINCT device, state FROM gaps WHERE state <> 'filled' ORDER BY device, state"
        )
        return _differing(before, self._gaps)

    def _read_forks(self) -> set[bytes]:
        before = self._forks
        self._forks = self._named("SELECT DISTINCT device, kind FROM forks ORDER BY device, kind")
        return _differing(before, self._forks)

    def _read_revoked(self) -> set[bytes]:
        before = self._revoked
        self._revoked = {row[0] for row in self._connection.execute("SELECT device FROM revoked")}
        return before ^ self._revoked

    def _named(self, sql: str) -> dict[bytes, list[str]]:
        found: dict[bytes, list[str]] = {}
        for device, name in self._connection.execute(sql):
            found.setdefault(device, []).append(name)
        return found

    def _read_devices(self) -> None:
        devices = self._connection.execute("SELECT id, name, site FROM devices ORDER BY site, name, id")
        self._rows = [self._row(*one) for one in devices]
        self._places = {row.device: place for place, row in enumerate(self._rows)}
        self._count_afresh()

    def _count_afresh(self) -> None:
        self._states: Counter[str] = Counter()
        self._sites: Counter[str] = Counter()
        self._running: Counter[tuple[int, bytes]] = Counter()
        self._events = self._decisions = 0
        for row in self._rows:
            self._count(row, 1)

    def _row(self, device: bytes, name: str, site: str) -> Row:
        heard_ms, version, digest = self._reports.get(device, (None, None, None))
        events, decisions = self._tallies.get(device, (0, 0))
        state = self._state(device, heard_ms)
        open_findings = len(self._findings.get(device, ()))
        return Row(device, name, site, state, heard_ms, version, digest, events, decisions, open_findings)

    def _state(self, device: bytes, heard_ms: int | None) -> str:
        kinds = self._findings.get(device, ())
        gaps = self._gaps.get(device, ())
        step = self._steps.get(device, (0, 0, None))[2]
        true_of = {
            # Whatever else is open about it, nothing more comes of it.
            "revoked": device in self._revoked,
            "fork": device in self._forks,
            "lost": "lost" in gaps,
            "silent": "silence" in kinds,
            "drift": "drift" in kinds,
            "rolled-back": "rolled-back" in kinds or step == ROLLED_BACK,
            "finding": bool(kinds),
            "gap": "open" in gaps,
            "trial": step == TRIAL,
            "waiting": heard_ms is None,
        }
        return next((state for state, is_so in true_of.items() if is_so), "ok")

    def _count(self, row: Row, by: int) -> None:
        """Count a row in, by 1, or out again, by -1."""
        self._states[row.state] += by
        self._sites[row.site] += by
        if row.version is not None and row.digest is not None:
            self._running[row.version, row.digest] += by
        self._events += by * row.events
        self._decisions += by * row.decisions

    def _snapshot(self) -> Snapshot:
        running = [(bundle, count) for bundle, count in self._running.items() if count]
        return Snapshot(
            self._cast,
            self._rows,
            self._places,
            {state: self._states[state] for state in STATES if self._states[state]},
            sorted(running, key=lambda one: (-one[1], one[0])),
            sorted(site for site, count in self._sites.items() if count),
            self._events,
            self._decisions,
        )


def _differing(before: dict[bytes, list[str]], now: dict[bytes, list[str]]) -> set[bytes]:
    return {device for device in before.keys() | now.keys() if before.get(device) != now.get(device)}
