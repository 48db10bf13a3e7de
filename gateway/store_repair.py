"""Makes a whole store out of a damaged one: every row that verifies is carried over, the rest is asked of its source again.

Nothing is deleted: the damaged file stays beside the store as it was (`.damaged-` and the time in ms), with its log. A segment
that is not carried over is held no more, so that its number is wanted from the device, which keeps it until the office's
receipt. A receipt comes again with the office's next answer, a release and its parts are fetched again. A session whose row is
wrong is retired: its device goes on in a fresh context.

A segment verifies if its bytes have the digest of its row, or one that something else names: the index, the next segment, a
heartbeat, a receipt. It is put where its own header says; of the row only what the bytes do not say is believed.

How the repaired file takes the place of the damaged one: `protocol.sqlite_file`.
"""

import contextlib
import functools
import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gateway import store_check
from gateway.store_file import StepFailed, migrate, prepare
from gateway.store_identity import (
    NotAStore,
    refuse_other_beginning,
    refuse_stranger,
    refuse_strangers_file,
    table_names,
)
from gateway.store_links import COLUMNS as LINKS
from gateway.store_links import entries_of, is_set, replace_links
from gateway.store_readings import COLUMNS as READINGS
from gateway.store_readings import is_reading, is_view
from gateway.store_usage import COLUMNS as USAGE
from gateway.store_usage import is_usage
from gateway.store_witness import COLUMNS as WITNESS
from gateway.store_witness import is_witness
from protocol import sqlite_file
from protocol.errors import ProtocolError
from protocol.keys import LANES
from protocol.messages import parse_heartbeat
from protocol.segment import parse_segment
from protocol.sqlite_door import Damaged
from protocol.sqlite_file import (
    READ_ERRORS,
    Step,
    columns_of,
    has_index,
    insert,
    is_of_the_file,
    lacking,
    quoted,
    readable,
    structure,
)

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

# Damaged files that are kept; everything that verified is carried over before the eldest goes.
DAMAGED_KEPT = 3
# Ids between rows that are tried one by one.
PROBES_MAX = 1_000_000

Connect = Callable[[str], sqlite3.Connection]

_log = logging.getLogger("gateway.store_repair")


def open_whole(
    path: Path, connect: Connect, now_ms: int, ours: tuple[int, int] | None = None
) -> tuple[sqlite3.Connection, list[store_check.Damage]]:
    """Return a checked store of this version's schema, and what had to be repaired first: none, or what was damaged.

    ours: what file_of said of a file that this process had open as its store: it need not be looked into before it is opened to write.
    Raises NotAStore: the file belongs to somebody else; other sqlite3.Error or OSError: the disk fails or is full, or a schema
    step of ours is wrong. Nothing was changed then.
    """
    repaired = sqlite_file.beside(path, ".repaired")
    is_replaced = repaired.exists()
    if is_replaced or ours is None or file_of(path) != ours:
        # The office leaves a file of this name beside its database too.
        refuse_strangers_file(repaired if is_replaced else path)
    sqlite_file.finish(path, now_ms, DAMAGED_KEPT)
    connection, damages = _open_checked(path, connect, now_ms)
    if not damages:
        assert connection is not None
        return connection, []
    if connection is not None:
        connection.close()
    refuse_other_beginning(path)
    for damage in damages:
        _log.error("damaged: %s %s: %s", *damage)
    repair_store(path, connect, now_ms)
    connection, still = _open_checked(path, connect, now_ms)
    if still or connection is None:
        raise sqlite3.DatabaseError(f"it is damaged and could not be repaired: {still[0].text}")
    _log.error("the store was repaired; what could not be carried over is asked for again")
    return connection, damages


def file_of(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at path from any other on this machine, None where there is none."""
    try:
        said = path.stat()
    except FileNotFoundError:
        return None
    return said.st_dev, said.st_ino


def _open_checked(
    path: Path, connect: Connect, now_ms: int
) -> tuple[sqlite3.Connection | None, list[store_check.Damage]]:
    connection = connect(str(path))
    try:
        # Before anything is written; a log that only a writer can play back may have hidden whose file it is.
        refuse_stranger(connection)
        prepare(connection)
        migrate(connection, now_ms)
        return connection, store_check.check_store(connection)
    except NotAStore:
        connection.close()
        raise
    except READ_ERRORS as error:
        with contextlib.closing(connection):
            if not _is_damage(connection, error):
                if _is_said_of_sql(error):
                    raise StepFailed(str(error)) from error
                raise
        return None, [store_check.Damage("database", "", f"it cannot be opened: {error}")]
    except BaseException:
        connection.close()
        raise


def _is_damage(connection: sqlite3.Connection, error: Exception) -> bool:
    """Return whether the file is to blame for an error of opening it, not the disk and not a schema step of ours.

    A step with a mistake fails on every store: none may be repaired for it. SQLite's own check tells the two apart.
    """
    if not _is_said_of_sql(error):
        return is_of_the_file(error)
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return bool(structure(connection))
    except READ_ERRORS as worse:
        return is_of_the_file(worse)


def _is_said_of_sql(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_ERROR


def repair_store(path: Path, connect: Connect, now_ms: int, step: Step = lambda name: None) -> None:
    """Put a whole store in the place of the damaged one at path. No connection may be open. step: named points, for tests.

    Raises sqlite3.Error or OSError: then the damaged store is still there as it was.
    """
    made = sqlite_file.begin(path)
    # As closed to others as the store itself; its log takes after it.
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(connect(str(made))) as target:
        prepare(target)
        migrate(target, now_ms)
        with contextlib.closing(Damaged(lambda: _to_read(path, connect))) as source:
            target.execute("BEGIN IMMEDIATE")
            _carry_over(source.as_connection(), target)
            target.execute("COMMIT")
        # One file, without a log: it takes a name in one step.
        target.execute("PRAGMA journal_mode = DELETE")
    sqlite_file.replace(path, now_ms, DAMAGED_KEPT, step)


# ---- reading what can still be read


def _to_read(path: Path, connect: Connect) -> sqlite3.Connection:
    source = connect(str(path))
    source.text_factory = sqlite_file.as_text
    # One table whose text is damaged must not hide all others. Nothing is written through this connection.
    source.execute("PRAGMA writable_schema = ON")
    source.execute("PRAGMA query_only = ON")
    return source


def read_rows(source: sqlite3.Connection, table: str, columns: str, key: str) -> Iterator[tuple[Any, ...]]:
    """Give every row that can be read, from both ends up to what cannot. A row may come twice; none if there is no such table.

    table: its name, or name INDEXED BY index. columns, key: our words, with commas; what an older step does not have is NULL.
    """
    there = names_there(source, table)
    for order in ("ASC", "DESC") if there else ():
        by = ", ".join(f"{there[word]} {order}" for word in key.split(", "))
        yield from readable(source, f"SELECT {_as_there(there, columns)} FROM {table} ORDER BY {by}")


def names_there(source: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return our name of each column -> SQL text for it in a damaged store: by its place, or NULL. Empty: no such table or index."""
    name, _, index = table.partition(" INDEXED BY ")
    found = [quoted(column) for column in columns_of(source, name)]
    if not found or (index and not has_index(source, name, index)):
        return {}
    return dict(zip_longest(_our_columns()[name], found[: len(_our_columns()[name])], fillvalue="NULL"))


def _as_there(there: dict[str, str], words: str) -> str:
    return ", ".join(there.get(word, word) for word in words.split(", "))


@functools.cache
def _our_columns() -> dict[str, list[str]]:
    """Return the columns of each table in order, as this version's schema steps make them."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        fresh.create_function("session_sum", 4, store_check.session_sum, deterministic=True)
        migrate(fresh, 0)
        return {table: columns_of(fresh, table) for table in table_names(fresh)}


# ---- carrying over what verifies


def _carry_over(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    _Segments(source, target).carry()
    _carry_lanes(source, target)
    _carry_heartbeats(source, target)
    _carry_down(source, target)
    _carry_sessions(source, target)
    for row in read_rows(source, "health", "id, body, saved_ms", "id"):
        if store_check.is_health(row[1]):
            insert(target, "health", "id, body, saved_ms", row)
    for row in read_rows(source, "revoked", "device", "device"):
        if store_check.is_identity(row[0]):
            insert(target, "revoked", "device", row)
    # A key comes again with the office's next word; what is not whole shows nothing.
    for table, columns, is_whole in (
        ("views", "device, period, key", is_view),
        ("readings", READINGS, is_reading),
    ):
        for row in read_rows(source, table, columns, columns.rpartition(", ")[0]):
            if is_whole(row):
                insert(target, table, columns, row)
    _carry_links(source, target)
    for row in read_rows(source, "usage", ", ".join(USAGE), "device, day, link"):
        if is_usage(row):
            insert(target, "usage", ", ".join(USAGE), row)
    for row in read_rows(source, "witness", ", ".join(WITNESS), "root, leaf"):
        if is_witness(row):
            insert(target, "witness", ", ".join(WITNESS), row)
    # Numbers that only spare traffic: taken where they are numbers at all.
    for table, columns in (
        ("lost", "device, lane, epoch, start, stop"),
        ("forks", "device, lane, epoch, number, digest, seen_ms"),
    ):
        for row in read_rows(source, table, columns, columns):
            if _is_plain(row):
                insert(target, table, columns, row)


def _carry_links(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Carry the links over if they are the whole set of their mark; if not, the office tells all of them with its next answer."""
    rows = {row for row in read_rows(source, "links", LINKS, "device, kid") if _is_plain(row)}
    for _, mark in read_rows(source, "link_set", "id, mark", "id"):
        if is_set(mark, entries_of(rows)):
            replace_links(target, mark, entries_of(rows), None)


class _Segments:
    """Carries segments over, first those that verify by themselves, then those that something else vouches for."""

    _PLACE = "device, lane, epoch, number, digest"
    _COLUMNS = "id, device, lane, epoch, number, digest, raw, outcome, times, received_ms"
    # Where a row's other columns cannot be read; something else must then vouch for the bytes.
    _BYTES_ALONE = "id, NULL, NULL, NULL, NULL, NULL, raw, NULL, 1, 0"
    _INDEX = "segments INDEXED BY sqlite_autoindex_segments_1"

    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection):
        self._source = source
        self._target = target
        self._there = names_there(source, "segments")
        self._has_index = bool(names_there(source, self._INDEX))
        self._doubtful: dict[bytes, tuple[Any, ...]] = {}

    def carry(self) -> None:
        """Read whatever can be read, and carry over what verifies."""
        for row in read_rows(self._source, "segments", self._COLUMNS, "id"):
            self._take(row)
        indexed = read_rows(self._source, self._INDEX, "id, device", self._PLACE)
        named = (row_id for row_id, _ in indexed)
        for row_id in lacking(self._target, "segments", "id", named, PROBES_MAX):
            for row in self._probe(self._COLUMNS, row_id) or self._probe(self._BYTES_ALONE, row_id):
                self._take(row)
        for digest in self._named():
            self._insert(self._doubtful[digest])

    def _take(self, row: tuple[Any, ...]) -> None:
        digest, raw = row[5:7]
        if raw is None:
            # The office has these bytes as evidence; without a place that the index repeats they are asked for again.
            if isinstance(row[7], int) and self._is_indexed(row[1:6]):
                insert(self._target, "segments", self._COLUMNS, (_row_id(row[0]), *row[1:]))
        elif isinstance(raw, bytes):
            true_digest = hashlib.sha256(raw).digest()
            if true_digest == digest:
                self._insert(row)
            else:
                self._doubtful[true_digest] = row

    def _probe(self, columns: str, row_id: int) -> list[tuple[Any, ...]]:
        asked = _as_there(self._there, columns)
        return list(readable(self._source, f"SELECT {asked} FROM segments WHERE rowid = ?", (row_id,)))

    def _is_indexed(self, place: tuple[Any, ...]) -> bool:
        where = " AND ".join(f"{self._there[name]} = ?" for name in self._PLACE.split(", "))
        return self._has_index and any(
            readable(self._source, f"SELECT 1 FROM {self._INDEX} WHERE {where}", place)
        )

    def _insert(self, row: tuple[Any, ...]) -> None:
        """Keep bytes that verify where their own header says."""
        row_id, *_, raw, outcome, times, received_ms = row
        row_id = _row_id(row_id)
        try:
            segment = parse_segment(raw)
        except ProtocolError:
            return
        told = outcome if isinstance(outcome, int) else None
        rest = (*segment.header.key(), segment.digest, raw, told, _number(times, 1), _number(received_ms, 0))
        if not insert(self._target, "segments", self._COLUMNS, (row_id, *rest)):
            # Another row has this id: one of the two ids is wrong, and neither matters.
            insert(self._target, "segments", self._COLUMNS, (None, *rest))

    def _named(self) -> set[bytes]:
        """Return the digests of doubtful bytes that the index, a next segment, a heartbeat or a receipt names."""
        if not self._doubtful:
            return set()
        found: set[Any] = set()
        for source, columns, key, digests in (
            (self._INDEX, "digest", self._PLACE, lambda digest: [digest]),
            ("lanes", "digest", "device, lane, epoch", lambda digest: [digest]),
            ("segments", "raw", "id", lambda raw: [parse_segment(raw).header.previous]),
            ("devices", "heartbeat", "device", _heads),
        ):
            for (value,) in read_rows(self._source, source, columns, key):
                with contextlib.suppress(ProtocolError, TypeError):
                    found.update(digest for digest in digests(value) if digest in self._doubtful)
        return found


def _heads(raw: Any) -> list[bytes]:
    heads = [parse_heartbeat(raw).fields.head(lane) for lane in LANES]
    return [head[2] for head in heads if head]


def _carry_lanes(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    columns = "device, lane, epoch, receipted, digest, receipt, kept_from"
    for row in read_rows(source, "lanes", columns, "device, lane, epoch"):
        *key, receipted, digest, receipt, kept_from = row
        if not store_check.is_receipt_of(receipt, *key, receipted=receipted, digest=digest):
            receipted, digest, receipt = 0, None, None
        if _is_plain(key):
            values = (*key, receipted, digest, receipt, _number(kept_from, 0))
            insert(target, "lanes", columns, values)


def _carry_heartbeats(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    columns = "device, heard_ms, boot, counter, epoch, heartbeat, heartbeat_ms"
    for device, heard_ms, *said in read_rows(source, "devices", columns, "device"):
        if said[3] is not None and not store_check.is_heartbeat_of(said[3], device):
            said = [None] * len(said)
        if isinstance(device, bytes):
            insert(target, "devices", columns, (device, _number(heard_ms, 0), *said))
    columns = "id, device, raw"
    for row in read_rows(source, "heartbeat_queue", columns, "id"):
        if store_check.is_heartbeat_of(row[2], row[1]):
            insert(target, "heartbeat_queue", columns, (_row_id(row[0]), *row[1:]))


def _carry_down(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    for table, columns, key, is_whole in (
        (
            "wanted",
            "device, number",
            "device",
            lambda row: isinstance(row[0], bytes) and isinstance(row[1], int),
        ),
        ("releases", "number, raw", "number", lambda row: store_check.is_release(row[1], row[0])),
        ("parts", "digest, body", "digest", lambda row: store_check.is_part(row[1], row[0])),
        (
            *("commands", "device, number, raw", "device, number"),
            lambda row: store_check.is_command_of(row[2], row[0], row[1]),
        ),
    ):
        for row in read_rows(source, table, columns, key):
            if is_whole(row):
                insert(target, table, columns, row)


def _carry_sessions(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    columns = "device, context, state, reserved, sum"
    is_older = _is_before_sums(source)
    for row in read_rows(source, "sessions", columns, "device, context"):
        device, context, _, reserved, _ = row
        if is_older and store_check.is_session_text(row[:-1]):
            # As the schema step that made the sums would have taken it.
            row = (*row[:-1], store_check.session_sum(*row[:-1]))
        if not store_check.is_session(row):
            if not (isinstance(device, bytes) and isinstance(context, bytes)):
                continue
            # Refused for good, so that no number is used twice whatever the true one was.
            row = (device, context, "retired", _number(reserved, 0), None)
            row = (*row[:-1], store_check.session_sum(*row[:-1]))
        insert(target, "sessions", columns, row)


def _is_before_sums(source: sqlite3.Connection) -> bool:
    steps = {name for name, *_ in read_rows(source, "migrations", "name, applied_ms", "name")}
    return "0003_sums" not in steps and names_there(source, "sessions").get("sum") == "NULL"


def _is_plain(row: Any) -> bool:
    return isinstance(row[0], bytes) and all(isinstance(value, bytes | int) for value in row)


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _row_id(value: Any) -> int | None:
    # A damaged schema may have made the key an ordinary column: any id is as good, SQLite gives one.
    return value if isinstance(value, int) else None
