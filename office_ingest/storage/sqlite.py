"""The office's store in one SQLite file: WAL, synchronous=FULL, so that what was committed survives a power cut.

Schema steps are plain SQL in schema/, applied in order at start; PRAGMA user_version says how far a file is.
"""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from office_ingest.errors import (
    DatabaseDamaged,
    NotAnOfficeDatabase,
    OfficeError,
    StoreUnavailable,
    check_readable,
)
from office_ingest.storage import accepted
from office_ingest.storage.interface import Arrival, GapRow, Head, Held, HeldLane, Place, Tally
from office_ingest.storage.rows import COLUMNS, KEYS, RowSums, put_statement, read_row_sum, row_digest
from protocol import sqlite_file
from protocol.keys import CRITICAL
from protocol.limits import generation_segments, uplink_revoked_max
from protocol.messages import Heartbeat, Receipt
from protocol.segment import Segment
from protocol.sqlite_door import READ, WRITE, open_database

APPLICATION_ID = 0x4F555453
SCHEMA_FOLDER = Path(__file__).parent / "schema"
# Heartbeats kept for each device: ten minutes of them at one every ten seconds, enough to recognise a repeated one.
HEARTBEATS_KEPT = 64
# Refused segments kept for each device, so that a flood cannot fill the disk; the rest is counted.
QUARANTINE_KEPT = 256
# A writer waits this long for another process's write, for instance provisioning's.
_BUSY_MS = 5000

# Errors of SQLite that are faults of ours; all others are the disk's, a damaged file among them.
_OURS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)

_PUT = {table: put_statement(table) for table in COLUMNS}
_BEFORE = {
    table: f"SELECT row_digest FROM {table} WHERE " + " AND ".join(f"{name} = ?" for name in KEYS[table])
    for table in COLUMNS
}
_KEY_PLACES = {table: [COLUMNS[table].index(name) for name in KEYS[table]] for table in COLUMNS}
_LANE = "device = ? AND lane = ? AND epoch = ?"
_HEARTBEAT = "device = ? AND epoch = ? AND boot = ? AND counter = ?"
# A device whose flash was put back counts boots again, in a new epoch.
NEWEST_HEARTBEAT = "epoch DESC, boot DESC, counter DESC"


class SqliteStore:
    """A `storage.interface.Store`."""

    def __init__(self, connection: sqlite3.Connection):
        self.connection = connection
        self._sums = RowSums()

    @classmethod
    def create(cls, path: Path, version: int | None = None) -> "SqliteStore":
        """Make a new, empty database with mode 0600. Raises FileExistsError if there is one.

        version: of its schema, for rows that an older version wrote; None: this version's.
        """
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(path)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection, version)
        return cls(connection)

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """Open a database and bring it to this version's schema.

        Raises NotAnOfficeDatabase for any other file, DatabaseDamaged, and StoreUnavailable where disk or another process do not let us.
        """
        check_database(path)
        try:
            connection = _connect(path)
            try:
                migrate(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite_file.READ_ERRORS as error:
            raise refusal(path, error) from None
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable together. Raises StoreUnavailable if the disk does not let us."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self._sums.store(self.connection)
            self.connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._undo()
            if isinstance(error, _OURS):
                raise
            raise StoreUnavailable(f"the database did not take a batch: {error}") from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        self._sums.forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def put(self, table: str, *values: Any) -> None:
        """Write one whole row of a table of rows.COLUMNS, over one with the same key, and count it. Within a transaction."""
        key = [values[place] for place in _KEY_PLACES[table]]
        before = self._one(_BEFORE[table], *key)
        if before is not None:
            self._sums.remove(table, before[0])
        digest = row_digest(values)
        self.connection.execute(_PUT[table], (*values, digest))
        self._sums.add(table, digest)

    def recount(self, table: str) -> None:
        """Count a table's rows anew. Within a transaction, as its last words about the table."""
        self._sums.recount(self.connection, table)

    def delete(self, table: str, where: str, *values: Any) -> None:
        """Delete rows of a table of rows.COLUMNS, and count them no more. where: SQL of ours. Within a transaction."""
        self._delete(table, where, *values)

    def _delete(self, table: str, where: str, *values: Any) -> None:
        rows = self.connection.execute(f"DELETE FROM {table} WHERE {where} RETURNING row_digest", values)
        for (digest,) in rows.fetchall():
            self._sums.remove(table, digest)

    def _one(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(sql, values).fetchone()

    # registry

    def has_device(self, device: bytes) -> bool:
        """Say whether the device is registered."""
        return self._one("SELECT 1 FROM devices WHERE id = ?", device) is not None

    def is_of_site(self, device: bytes, gateway: str) -> bool:
        """Say whether a device belongs to the site of a gateway."""
        sql = "SELECT 1 FROM devices d JOIN gateways g ON g.site = d.site WHERE d.id = ? AND g.id = ?"
        return self._one(sql, device, gateway) is not None

    def revoke_device(self, device: bytes, author: str, reason: str, now_ms: int) -> None:
        """Keep that a registered device is revoked, for good."""
        self.put("revoked", device, author, reason, now_ms)

    def is_revoked(self, device: bytes) -> bool:
        """Say whether a person called the device revoked; a row that its disk changed still says so."""
        return self._one("SELECT 1 FROM revoked WHERE device = ?", device) is not None

    def revoked_of_site(self, gateway: str) -> list[bytes]:
        """Return the revoked devices of a gateway's site, those of the newest revocations first, at most uplink_revoked_max."""
        rows = self.connection.execute(
            "SELECT r.device FROM revoked r JOIN devices d ON d.id = r.device JOIN gateways g ON g.site = d.site"
            " WHERE g.id = ? ORDER BY r.revoked_ms DESC, r.device LIMIT ?",
            (gateway, uplink_revoked_max),
        )
        return [row[0] for row in rows]

    def device_ids(self) -> list[bytes]:
        """Return the registered devices in order."""
        return [row[0] for row in self.connection.execute("SELECT id FROM devices ORDER BY id")]

    def gateway_of(self, token_hash: bytes) -> str | None:
        """Return the identity of the gateway with this token, or None."""
        row = self._one("SELECT id FROM gateways WHERE token_hash = ?", token_hash)
        return row[0] if row else None

    def put_device(self, device: bytes, name: str, site: str, added_ms: int) -> None:
        """Register a device, or change its name and site."""
        self.put("devices", device, name, site, added_ms)

    def put_gateway(self, gateway: str, name: str, site: str, token_hash: bytes, added_ms: int) -> None:
        """Register a gateway, or change it."""
        self.put("gateways", gateway, name, site, token_hash, added_ms)

    def device_row(self, device: bytes) -> tuple[str, int]:
        """Return (name, when added in milliseconds) of a registered device."""
        found: tuple[str, int] = self._one("SELECT name, added_ms FROM devices WHERE id = ?", device)
        return found

    def gateway_row(self, gateway: str) -> tuple[str, str, int] | None:
        """Return (name, site, when added in milliseconds) of a registered gateway, or None."""
        return self._one("SELECT name, site, added_ms FROM gateways WHERE id = ?", gateway)

    def devices_of_site(self, site: str) -> list[bytes]:
        """Return the devices of a site in order."""
        rows = self.connection.execute("SELECT id FROM devices WHERE site = ? ORDER BY id", (site,))
        return [row[0] for row in rows]

    def served_of_site(self, site: str) -> list[bytes]:
        """Return the devices of a site that nobody revoked, in order."""
        rows = self.connection.execute(
            "SELECT d.id FROM devices d LEFT JOIN revoked r ON r.device = d.id WHERE d.site = ? AND r.device IS NULL"
            " ORDER BY d.id",
            (site,),
        )
        return [row[0] for row in rows]

    def sites(self) -> set[str]:
        """Return the sites that devices and gateways are of."""
        rows = self.connection.execute("SELECT site FROM devices UNION SELECT site FROM gateways")
        return {row[0] for row in rows}

    def has_name(self, table: str, name: str) -> bool:
        """Say whether "devices" or "gateways" holds a row of this name."""
        assert table in ("devices", "gateways")
        return (
            self.connection.execute(f"SELECT 1 FROM {table} WHERE name = ?", (name,)).fetchone() is not None
        )

    def put_body(self, table: str, body: bytes) -> bytes:
        """Keep a bundle or a schema (table "bundles" or "schemas") by its digest, which is returned."""
        assert table in ("bundles", "schemas")
        digest = hashlib.sha256(body).digest()
        added = self.connection.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", (digest, body))
        if added.rowcount:
            self._sums.add(table, digest)
        return digest

    # segments

    def epochs(self, device: bytes, lane: int) -> list[int]:
        """Return the epochs of a lane of which anything is recorded, rising."""
        rows = self.connection.execute(
            "SELECT epoch FROM segments WHERE device = :d AND lane = :l UNION SELECT epoch FROM heads"
            " WHERE device = :d AND lane = :l UNION SELECT epoch FROM forks WHERE device = :d AND lane = :l ORDER BY 1",
            {"d": device, "l": lane},
        )
        return [row[0] for row in rows]

    def lane(self, place: Place) -> HeldLane:
        """Return all that ingest keeps in memory about a lane and epoch."""
        newest = self._one(
            f"SELECT number, generation FROM segments WHERE {_LANE} ORDER BY number DESC LIMIT 1",
            *place,
        )
        number, generation = newest or (0, -1)
        head = self._one(
            f"SELECT kept_from, number, digest, boot, counter FROM heads WHERE {_LANE}",
            *place,
        )
        gaps = self.connection.execute(
            f"SELECT state, start, stop, pruned FROM gaps WHERE {_LANE} ORDER BY start",
            place,
        ).fetchall()
        return HeldLane(
            self._ranges(place),
            generation - number // generation_segments if newest else None,
            generation,
            self._tombstones(place),
            self._one(f"SELECT min(contested) FROM forks WHERE {_LANE}", *place)[0],
            Head(*head) if head else None,
            [
                GapRow(state, start, stop, bool(pruned))
                for state, start, stop, pruned in gaps
                if state != "filled"
            ],
            [(start, stop) for state, start, stop, _ in gaps if state == "filled"],
            self._one(f"SELECT number, generation, raw FROM receipts WHERE {_LANE}", *place),
            accepted.accepted_ranges(self.connection, place),
        )

    def _ranges(self, place: Place) -> list[tuple[int, int]]:
        # Numbers of one run differ from their row number by the same amount.
        return self.connection.execute(
            "SELECT min(number), max(number) + 1 FROM (SELECT number, number - row_number() OVER (ORDER BY number) AS run"
            f" FROM segments WHERE {_LANE}) GROUP BY run ORDER BY 1",
            place,
        ).fetchall()

    def _tombstones(self, place: Place) -> list[tuple[int, bytes]]:
        return self.connection.execute(
            f"SELECT number, raw FROM segments WHERE {_LANE} AND class = 0 ORDER BY number",
            place,
        ).fetchall()

    def held(self, place: Place, numbers: list[int]) -> dict[int, Held]:
        """Return those of the numbers that are held."""
        marks = ", ".join("?" * len(numbers))
        rows = self.connection.execute(
            "SELECT number, digest, previous, first_sequence, count FROM segments"
            f" WHERE {_LANE} AND number IN ({marks})",
            (*place, *numbers),
        )
        return {row[0]: Held(*row) for row in rows}

    def add_segment(self, segment: Segment, arrival: Arrival, committed_ms: int) -> None:
        """Keep a verified segment in its place, which must be free; it leaves quarantine if it was there."""
        h = segment.header
        values = (
            *(h.device, h.lane, h.epoch, h.number, h.first_sequence, h.count, segment.digest, h.previous),
            *(
                h.generation,
                h.view_class,
                h.period,
                segment.raw,
                arrival.gateway,
                arrival.received_ms,
                committed_ms,
            ),
        )
        plain_insert = _PUT["segments"].replace("INSERT OR REPLACE", "INSERT", 1)
        of_row = row_digest(values)
        self.connection.execute(plain_insert, (*values, of_row))
        self._sums.add("segments", of_row)
        self._delete("quarantine", "digest = ?", segment.digest)

    # evidence

    def has_fork(self, digest: bytes, lane: int) -> bool:
        """Say whether these bytes are kept as evidence about this lane."""
        return self._one("SELECT 1 FROM forks WHERE digest = ? AND lane = ?", digest, lane) is not None

    def add_fork(
        self, place: Place, number: int, contested: int, kind: str, raw: bytes, arrival: Arrival
    ) -> None:
        """Keep verified bytes that contradict what is held, for good."""
        digest = hashlib.sha256(raw).digest()
        self.put("forks", digest, *place, number, contested, kind, raw, *arrival)

    def add_quarantine(
        self, device: bytes | None, code: int, text: str, raw: bytes, arrival: Arrival
    ) -> None:
        """Keep refused bytes and why, or count them once more; bounded for each device (None: all unknown ones together)."""
        digest = hashlib.sha256(raw).digest()
        before = self._one("SELECT received_ms, times FROM quarantine WHERE digest = ?", digest)
        if before is None:
            held = self._one("SELECT count(*) FROM quarantine WHERE device IS ?", device)[0]
            if held >= QUARANTINE_KEPT:
                text = f"more than {QUARANTINE_KEPT} refused; only counted from here on"
                self.add_finding(device or b"", "quarantine-full", "", text, arrival.received_ms)
                return
        received_ms, times = before or (arrival.received_ms, 0)
        self.put("quarantine", digest, device, code, text, raw, arrival.gateway, received_ms, times + 1)

    def add_finding(self, device: bytes, kind: str, place: str, text: str, now_ms: int) -> None:
        """Record something for a person, or count it once more and open it again."""
        before = self._one(
            "SELECT first_ms, times FROM findings WHERE device = ? AND kind = ? AND place = ?",
            device,
            kind,
            place,
        )
        first_ms, times = before or (now_ms, 0)
        self.put("findings", device, kind, place, text, "open", first_ms, now_ms, times + 1)

    def clear_finding(self, device: bytes, kind: str, place: str, now_ms: int) -> None:
        """Mark an open finding as over. Nothing happens if there is none."""
        row = self._one(
            "SELECT text, first_ms, times FROM findings"
            " WHERE device = ? AND kind = ? AND place = ? AND state = 'open'",
            *(device, kind, place),
        )
        if row is not None:
            self.put("findings", device, kind, place, row[0], "cleared", row[1], now_ms, row[2])

    def places(self, device: bytes, kind: str) -> set[str]:
        """Return the places of a device's findings of a kind, open or over."""
        rows = self.connection.execute(
            "SELECT place FROM findings WHERE device = ? AND kind = ?", (device, kind)
        )
        return {row[0] for row in rows}

    def open_places(self, device: bytes, kind: str) -> list[str]:
        """Return the places of a device's open findings of a kind."""
        rows = self.connection.execute(
            "SELECT place FROM findings WHERE device = ? AND kind = ? AND state = 'open'", (device, kind)
        )
        return [row[0] for row in rows]

    def devices_with_open_finding(self, kind: str) -> list[bytes]:
        """Return the devices that have an open finding of a kind."""
        rows = self.connection.execute(
            "SELECT DISTINCT device FROM findings WHERE kind = ? AND state = 'open' ORDER BY 1", (kind,)
        )
        return [row[0] for row in rows]

    # heartbeats and receipts

    def newest_heartbeat(self, device: bytes) -> tuple[int, int, int] | None:
        """Return (epoch, boot, counter) of the newest heartbeat taken."""
        return self._one(
            f"SELECT epoch, boot, counter FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT} LIMIT 1",
            device,
        )

    def heartbeat_digest(self, device: bytes, epoch: int, boot: int, counter: int) -> bytes | None:
        """Return the digest of a heartbeat that is still kept."""
        row = self._one(f"SELECT digest FROM heartbeats WHERE {_HEARTBEAT}", device, epoch, boot, counter)
        return row[0] if row else None

    def heartbeat_raw(self, device: bytes, epoch: int, boot: int, counter: int) -> bytes | None:
        """Return the bytes of a heartbeat that is still kept."""
        row = self._one(f"SELECT raw FROM heartbeats WHERE {_HEARTBEAT}", device, epoch, boot, counter)
        return row[0] if row else None

    def add_heartbeat(self, heartbeat: Heartbeat, raw: bytes, arrival: Arrival) -> None:
        """Keep a verified heartbeat, and forget the eldest beyond HEARTBEATS_KEPT of the device."""
        h = heartbeat
        digest = hashlib.sha256(raw).digest()
        self.put("heartbeats", h.device, h.boot, h.counter, h.generation, h.epoch, digest, raw, *arrival)
        eldest = (
            f"SELECT rowid FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT} LIMIT -1 OFFSET ?"
        )
        self._delete("heartbeats", f"rowid IN ({eldest})", h.device, HEARTBEATS_KEPT)

    def put_head(self, place: Place, head: Head) -> None:
        """Keep the newest head of a lane and epoch."""
        self.put("heads", *place, *head)

    def put_receipt(self, receipt: Receipt, raw: bytes) -> None:
        """Keep the newest receipt of a lane and epoch."""
        r = receipt
        self.put("receipts", r.device, r.lane, r.epoch, r.number, r.digest, r.generation, raw)

    def receipts_of(self, device: bytes) -> list[tuple[Place, bytes]]:
        """Return the newest receipt of each lane and epoch of a device, sealed."""
        rows = self.connection.execute(
            "SELECT device, lane, epoch, raw FROM receipts WHERE device = ? ORDER BY epoch, lane", (device,)
        )
        return [((row[0], row[1], row[2]), row[3]) for row in rows]

    def first_epoch_heard(self, device: bytes, generation: int) -> int | None:
        """Return the lowest epoch of the heartbeats kept of a generation or above, None if there is none."""
        sql = "SELECT min(epoch) FROM heartbeats WHERE device = ? AND generation >= ?"
        lowest: int | None = self._one(sql, device, generation)[0]
        return lowest

    def epoch_begins(self, device: bytes, epochs: list[int]) -> list[bytes]:
        """Return segment 0 of the critical lane of these epochs, those that are held, in their order."""
        rows = [
            self._one(f"SELECT raw FROM segments WHERE {_LANE} AND number = 0", device, CRITICAL, epoch)
            for epoch in epochs
        ]
        return [row[0] for row in rows if row is not None]

    def has_holes_since(self, device: bytes, since_ms: int) -> bool:
        """Return whether numbers of a device's lanes are missing that were not missing before a wall time."""
        sql = "SELECT 1 FROM gaps WHERE device = ? AND state <> 'filled' AND changed_ms >= ?"
        return self._one(sql, device, since_ms) is not None

    def put_gaps(
        self,
        place: Place,
        gone: set[GapRow],
        new: set[GapRow],
        filled: list[tuple[int, int]] | None,
        now_ms: int,
    ) -> None:
        """Replace gap rows; filled: all filled ranges of the lane and epoch, None if they did not change."""
        for gap in gone:
            self._delete("gaps", f"{_LANE} AND state = ? AND start = ?", *place, gap.state, gap.start)
        for gap in sorted(new):
            self.put("gaps", *place, gap.state, gap.start, gap.stop, int(gap.pruned), now_ms)
        if filled is None:
            return
        self._delete("gaps", f"{_LANE} AND state = 'filled'", *place)
        for start, stop in filled:
            self.put("gaps", *place, "filled", start, stop, 0, now_ms)

    def add_accepted(self, place: Place, start: int, stop: int, author: str, now_ms: int) -> None:
        """Keep that a person passed over these numbers."""
        self.put(accepted.TABLE, *place, start, stop, author, now_ms)

    def accepted_mark(self) -> tuple[int, int]:
        """Return what changes whenever gaps were accepted, by whichever process."""
        return read_row_sum(self.connection, accepted.TABLE)

    def add_tally(self, device: bytes, tally: Tally) -> None:
        """Add to the counts of a device."""
        before = self._one(
            "SELECT segments, events, decisions, duplicates FROM tallies WHERE device = ?", device
        ) or (0, 0, 0, 0)
        self.put("tallies", device, *(old + new for old, new in zip(before, tally, strict=True)))


def check_database(path: Path) -> None:
    """Return if the file is an office database of a version that this code knows, and no repair of it was cut off.

    Raises NotAnOfficeDatabase, DatabaseDamaged, StoreUnavailable.
    """
    if is_half_repaired(path):
        # What were written now would go when the repair is carried on.
        raise DatabaseDamaged(f"a repair of {path} was cut off before its new file took the old one's place")
    check_file(path)


def is_half_repaired(path: Path) -> bool:
    """Return whether a repaired file waits beside the database for its place."""
    return sqlite_file.beside(path, ".repaired").exists()


def check_file(path: Path) -> None:
    """Return if the file is an office database of a version that this code knows. Raises NotAnOfficeDatabase, StoreUnavailable."""
    if not path.is_file():
        raise NotAnOfficeDatabase(f"{path} is not a file")
    check_readable(path)
    try:
        with closing(open_database(path, READ)) as connection:
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite_file.READ_ERRORS as error:
        raise refusal(path, error) from None
    if found != APPLICATION_ID:
        raise NotAnOfficeDatabase(f"{path} is a database, but not an office's")
    if version > len(_steps()):
        raise NotAnOfficeDatabase(f"{path} has schema {version}; this version knows {len(_steps())}")


def refusal(path: Path, error: Exception) -> OfficeError:
    """Return what an error of SQLite, or one of Python about what it read there, says of the file at path."""
    text = f"{path} cannot be used: {error}"
    code = getattr(error, "sqlite_errorcode", None)
    kind = None if code is None else code & 0xFF
    # Python's own where SQLite's message names what damage made of a table's name.
    if kind == sqlite3.SQLITE_CORRUPT or isinstance(error, UnicodeDecodeError):
        return DatabaseDamaged(text)
    # Of the last two: a schema step does not fit what is there. It will not at the next attempt either.
    if kind in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT):
        return NotAnOfficeDatabase(text)
    return StoreUnavailable(text)


def migrate(connection: sqlite3.Connection, last: int | None = None) -> None:
    """Apply the schema steps that the file lacks, each in one transaction. Forward only: the way back is a restore.

    last: the number of the last step; None: all of them.
    """
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    for version, step in enumerate(_steps()[:last], 1):
        if version > done:
            connection.executescript(f"BEGIN; {step.read_text()} PRAGMA user_version = {version}; COMMIT;")


def steps_behind(connection: sqlite3.Connection) -> int:
    """Return how many steps of the schema a database lacks: an older version wrote it."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return len(_steps()) - version


def _steps() -> list[Path]:
    return sorted(SCHEMA_FOLDER.glob("*.sql"))


def _connect(path: Path) -> sqlite3.Connection:
    connection = open_database(path, WRITE)
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            # SQLite says no error here. It would go on with a journal whose end, a deletion, a power cut can undo.
            raise sqlite3.OperationalError(
                f"no write-ahead log can be used on this disk (journal mode {mode})"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    except BaseException:
        connection.close()
        raise
    return connection
