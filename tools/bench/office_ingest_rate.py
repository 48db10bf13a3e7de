"""How many events a second the office takes in: sealed segments verified, decrypted and committed, against plain rows.

Ours checks each segment's grammar, seal, chain and body and commits it with its receipts and gaps. The peer is SQLite as one
would use it without any of that: the same events as rows, decoded before the clock starts, in transactions of the same events
with the same durability. Both are counted afterwards in the file, opened anew.
"""

import json
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.receive.body import open_events
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.storage.sqlite import SqliteStore
from protocol.keys import CRITICAL, LANE_NAMES, ROUTINE, view_key, view_next, view_start
from protocol.segment import parse_segment
from protocol.uplink import STORED
from tools.bench.fleet import SealedDevice, Tell, in_turn
from tools.bench.race import Case, Contender, Lap, race

_GATEWAY = "bench-gateway"
_NOW_MS = 1_700_000_000_000
# What the gateway sends in one request unless it is told otherwise.
BATCH_SEGMENTS = 256
_ROWS = """
CREATE TABLE events (device BLOB, lane INTEGER, epoch INTEGER, sequence INTEGER, boot INTEGER, tick_ms INTEGER,
    kind INTEGER, body TEXT, PRIMARY KEY (device, lane, epoch, sequence)) WITHOUT ROWID, STRICT
"""
_INSERT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

EventRow = tuple[bytes, int, int, int, int, int, int, str]


class Load(NamedTuple):
    """What both contenders get: devices, and batches of segments with the rows of the very events in them."""

    fleet: list[SealedDevice]
    segments: list[list[bytes]]
    rows: list[list[EventRow]]

    def events(self) -> int:
        """Return how many events all batches hold."""
        return sum(len(batch) for batch in self.rows)


def run(fleet: list[SealedDevice], folder: Path, rounds: int, tell: Tell) -> list[Case]:
    """Return one case for each lane: full segments of samples, and the small ones of decisions. folder: on the measured disk."""
    return [_case(make_load(fleet, lane), lane, folder, rounds, tell) for lane in (ROUTINE, CRITICAL)]


def make_load(fleet: list[SealedDevice], lane: int) -> Load:
    """Return the segments of one lane in batches, the devices' in turn, and their events as rows."""
    chosen = in_turn([[(device, raw) for raw in device.lanes[lane]] for device in fleet])
    batches = [chosen[at : at + BATCH_SEGMENTS] for at in range(0, len(chosen), BATCH_SEGMENTS)]
    return Load(
        fleet,
        [[raw for _, raw in batch] for batch in batches],
        [[row for device, raw in batch for row in event_rows(device, raw)] for batch in batches],
    )


def event_rows(device: SealedDevice, raw: bytes) -> list[EventRow]:
    """Return the events of one sealed segment as the peer's rows, in order."""
    segment = parse_segment(raw)
    header = segment.header
    ratchet = view_start(device.view_root, header.view_class)
    for _ in range(header.period):
        ratchet = view_next(ratchet)
    boot, events = open_events(segment, view_key(ratchet))
    return [
        (
            *header.key()[:3],
            header.first_sequence + place,
            boot,
            tick_ms,
            kind,
            json.dumps(fields, default=bytes.hex),
        )
        for place, (_, tick_ms, kind, fields) in enumerate(events)
    ]


def _case(load: Load, lane: int, folder: Path, rounds: int, tell: Tell) -> Case:
    segments = sum(len(batch) for batch in load.segments)
    per_segment = load.events() / segments
    runners = [
        Contender(
            "outstation",
            "grammar, seal, chain, decryption, decoding, gaps and receipts; sealed bytes in SQLite, synchronous=FULL",
            lambda: _ingest(load, folder),
        ),
        Contender(
            "SQLite rows",
            "executemany of rows decoded before, primary key, synchronous=FULL; nothing verified, nothing proved",
            lambda: _insert(load, folder),
        ),
    ]
    note = f"{per_segment:.1f} events a segment; one transaction for each {BATCH_SEGMENTS} segments"
    return race(f"{LANE_NAMES[lane]} lane", "events/s", runners, rounds, tell, note)


def _ingest(load: Load, folder: Path) -> Lap:
    with tempfile.TemporaryDirectory(prefix="office-", dir=folder) as place:
        path = Path(place) / "office.db"
        store, keystore = _found(Path(place), load.fleet)
        with closing(store), closing(keystore):
            ingest = Ingest(store, keystore, wall_ms=lambda: _NOW_MS)
            started = time.perf_counter()
            answers = [ingest.take(_GATEWAY, batch, []) for batch in load.segments]
            seconds = time.perf_counter() - started
        outcomes = {outcome for answer in answers for outcome in answer.outcomes}
        assert outcomes == {STORED}, f"not everything was stored: {outcomes}"
        return Lap(count_events(path), seconds)


def _found(place: Path, fleet: list[SealedDevice]) -> tuple[SqliteStore, Keystore]:
    store = SqliteStore.create(place / "office.db")
    keystore = Keystore.create(place / "keystore.db")
    registry = Registry(store)
    registry.add_gateway(_GATEWAY, name=_GATEWAY, site="bench", token="x" * 32, now_ms=_NOW_MS)
    for device in fleet:
        registry.add_device(device.device, name=device.device.hex(), site="bench", now_ms=_NOW_MS)
        keystore.enrol(device.device, device.seal_root, device.view_root, device.downlink)
    return store, keystore


def count_events(path: Path) -> int:
    """Return how many events the segments of an office database hold, by their headers."""
    store = SqliteStore.open(path)
    with closing(store):
        return sum(parse_segment(raw).header.count for raw in _segments(store.connection))


def _segments(connection: sqlite3.Connection) -> list[bytes]:
    return [raw for (raw,) in connection.execute("SELECT raw FROM segments")]


def _insert(load: Load, folder: Path) -> Lap:
    with tempfile.TemporaryDirectory(prefix="rows-", dir=folder) as place:
        path = Path(place) / "rows.db"
        with closing(_open(path)) as connection:
            connection.execute(_ROWS)
            started = time.perf_counter()
            for batch in load.rows:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, batch)
                connection.execute("COMMIT")
            seconds = time.perf_counter() - started
        with closing(_open(path)) as connection:
            count: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    return Lap(count, seconds)


def _open(path: Path) -> Any:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
