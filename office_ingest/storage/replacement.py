"""Puts a database made from a damaged one in its place, in steps of which each may be the last before a power cut.

The new file is the database from the moment in which it has the name `.repaired`. The damaged one is never deleted: it stays
beside it as `.damaged-` and the time in ms, with its log. The gateway does the same with its store (gateway/store_repair.py).
"""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from office_ingest.storage.damage import READ_ERRORS, is_of_the_file
from office_ingest.storage.sqlite import SqliteStore

# Rows between two unreadable places that are tried one by one.
PROBES_MAX = 10_000_000

_EMPTY = {"BLOB": b"", "TEXT": "", "INTEGER": 0, "INT": 0}

Step = Callable[[str], None]


def replace_damaged(path: Path, now_ms: int, step: Step = lambda name: None) -> None:
    """Copy every row that can be read, as it is, into a new database and put it in the place of the one at path.

    No connection may be open. step: named points, for tests. Raises sqlite3.Error or OSError: nothing was changed then.
    """
    made = _beside(path, ".repairing")
    for suffix in ("", "-wal", "-shm", "-journal"):
        _beside(made, suffix).unlink(missing_ok=True)
    target = SqliteStore.create(made)
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
        # Text that is none any more is data to be judged, not an error.
        source.text_factory = lambda raw: raw.decode("utf-8", "replace")
        target.connection.execute("BEGIN IMMEDIATE")
        for (table,) in target.connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            _copy(source, target.connection, table)
        target.connection.execute("COMMIT")
    # One file, without a log: it takes a name in one step.
    target.connection.execute("PRAGMA journal_mode = DELETE")
    target.close()
    _sync(made)
    step("made")
    made.replace(_beside(path, ".repaired"))
    _sync(path.parent)
    step("named")
    finish_replacement(path, now_ms, step)


def finish_replacement(path: Path, now_ms: int, step: Step = lambda name: None) -> None:
    """Put a repaired database, if there is one, in its place. Every step may be done again after a power cut."""
    repaired = _beside(path, ".repaired")
    if not repaired.exists():
        return
    _keep(path, _beside(path, f".damaged-{now_ms}"))
    step("kept")
    # The old log must be gone before the new file has the name: SQLite would play it into the new file.
    for suffix in ("-wal", "-shm", "-journal"):
        _beside(path, suffix).unlink(missing_ok=True)
    _sync(path.parent)
    step("log gone")
    repaired.replace(path)
    _sync(path.parent)


def _keep(path: Path, kept: Path) -> None:
    if not path.exists() or any(one.samefile(path) for one in path.parent.glob(f"{path.name}.damaged-*")):
        return  # Kept already, before a power cut.
    log = _beside(path, "-wal")
    if log.exists():
        os.link(log, _beside(kept, "-wal"))
    os.link(path, kept)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    """Carry over every row that can be read: from both ends up to what cannot, then one by one what is missing between.

    Columns are taken by their order: the text of a schema can be damaged too. Raises sqlite3.Error where the table is not to be
    found at all.
    """
    kinds = {row[1]: row[2] for row in target.execute(f"PRAGMA table_info({table})")}
    names = list(kinds)
    source.execute(f"SELECT 1 FROM {table} LIMIT 0")
    ids = [0, 0]
    for order in ("ASC", "DESC"):
        for row in _readable(source, f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"):
            _keep_row(target, table, names, row)
            ids = [min(ids[0], row[0]), max(ids[1], row[0])]
    for (rowid,) in _readable(source, f"SELECT rowid FROM {table} INDEXED BY sqlite_autoindex_{table}_1"):
        ids = [min(ids[0], rowid), max(ids[1], rowid)]
    for rowid in range(ids[0], min(ids[1] + 1, ids[0] + PROBES_MAX)):
        if target.execute(f"SELECT 1 FROM {table} WHERE rowid = ?", (rowid,)).fetchone() is None:
            whole = _one(source, f"SELECT rowid, * FROM {table} WHERE rowid = {rowid:d}")
            found = whole or _column_by_column(source, table, kinds, rowid)
            if found is not None:
                _keep_row(target, table, names, found)


def _readable(source: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    try:
        yield from source.execute(sql)
    except READ_ERRORS as error:
        if not is_of_the_file(error):
            raise


def _one(source: sqlite3.Connection, sql: str) -> tuple[Any, ...] | None:
    return next(iter(list(_readable(source, sql))), None)


def _column_by_column(
    source: sqlite3.Connection, table: str, kinds: dict[str, str], rowid: int
) -> tuple[Any, ...] | None:
    """Return what can be read of a row, empty where it cannot; its digest tells that it is not whole. None if nothing can."""
    found = [_one(source, f"SELECT {name} FROM {table} WHERE rowid = {rowid:d}") for name in kinds]
    if not any(found):
        return None
    values = [
        value[0] if value else _EMPTY.get(kind) for value, kind in zip(found, kinds.values(), strict=True)
    ]
    return (rowid, *values)


def _keep_row(target: sqlite3.Connection, table: str, names: list[str], row: tuple[Any, ...]) -> None:
    # Columns are strict: what is of another kind now is damaged for certain, and can be kept in no table.
    with contextlib.suppress(sqlite3.IntegrityError):
        if not _insert(target, table, ["rowid", *names], row):
            # Another row has this rowid: one of the two is wrong, and neither matters.
            _insert(target, table, names, row[1:])


def _insert(target: sqlite3.Connection, table: str, names: list[str], row: tuple[Any, ...]) -> bool:
    marks = ", ".join("?" * len(names))
    return (
        target.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", row).rowcount
        == 1
    )
