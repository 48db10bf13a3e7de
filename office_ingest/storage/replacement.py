"""Makes a database of whatever can be read of a damaged one, and puts it in its place (`protocol.sqlite_file`)."""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from office_ingest.errors import BeyondRepair
from office_ingest.storage.rows import COLUMNS
from office_ingest.storage.sqlite import SqliteStore, migrate
from protocol import sqlite_file
from protocol.sqlite_door import READ, Damaged, open_database
from protocol.sqlite_file import Step, columns_of, has_index, insert, lacking, quoted, readable

# Ids between rows that are tried one by one.
PROBES_MAX = 10_000_000

_EMPTY = {"BLOB": b"", "TEXT": "", "INTEGER": 0, "INT": 0}


def replace_damaged(path: Path, now_ms: int, step: Step = lambda name: None) -> None:
    """Copy every row that can be read, as it is, into a new database and put it in the place of the one at path.

    No connection may be open. step: named points, for tests. Raises sqlite3.Error, OSError or BeyondRepair: nothing was changed then.
    """
    made = sqlite_file.begin(path)
    with contextlib.closing(Damaged(lambda: _to_read(path))) as damaged:
        source = damaged.as_connection()
        # As its own version wrote them: a schema step cannot read what lies on a bad page.
        target = SqliteStore.create(made, source.execute("PRAGMA user_version").fetchone()[0])
        _copy_all(source, target.connection)
    migrate(target.connection)
    # One file, without a log: it takes a name in one step.
    target.connection.execute("PRAGMA journal_mode = DELETE")
    target.close()
    sqlite_file.replace(path, now_ms, step=step)


def _to_read(path: Path) -> sqlite3.Connection:
    source = open_database(path, READ)
    source.text_factory = sqlite_file.as_text
    return source


def _copy_all(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    tables = _tables(target)
    if (_tables(source) & COLUMNS.keys()) - tables:
        version = target.execute("PRAGMA user_version").fetchone()[0]
        raise BeyondRepair(f"the database says that it has schema {version}, and has tables of a newer one")
    target.execute("BEGIN IMMEDIATE")
    for table in sorted(tables):
        _copy(source, target, table)
    target.execute("COMMIT")


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    """Carry over every row that can be read: from both ends up to what cannot, then one by one what is missing between.

    Columns are taken by their order: the text of a schema can be damaged too. Raises sqlite3.Error where the table is not to be
    found at all.
    """
    kinds = {row[1]: row[2] for row in target.execute(f"PRAGMA table_info({table})")}
    source.execute(f"SELECT 1 FROM {table} LIMIT 0")
    for order in ("ASC", "DESC"):
        for row in readable(source, f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"):
            _keep_row(target, table, kinds, row)
    there = [quoted(name) for name in columns_of(source, table)]
    for rowid in lacking(target, table, "rowid", _indexed(source, table), PROBES_MAX):
        whole = _one(source, f"SELECT rowid, * FROM {table} WHERE rowid = {rowid:d}")
        found = whole or _column_by_column(
            source, table, dict(zip(there, kinds.values(), strict=False)), rowid
        )
        if found is not None:
            _keep_row(target, table, kinds, found)


def _indexed(source: sqlite3.Connection, table: str) -> Iterator[int]:
    index = f"sqlite_autoindex_{table}_1"
    if has_index(source, table, index):
        for (rowid,) in readable(source, f"SELECT rowid FROM {table} INDEXED BY {index}"):
            yield rowid


def _one(source: sqlite3.Connection, sql: str) -> tuple[Any, ...] | None:
    return next(iter(list(readable(source, sql))), None)


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


def _keep_row(target: sqlite3.Connection, table: str, kinds: dict[str, str], row: tuple[Any, ...]) -> None:
    # Columns are strict: what is of another kind now is damaged for certain, and can be kept in no table. The rest of its row can,
    # a segment's sealed bytes among it; the row's digest tells that it is not whole.
    for values in (row, (row[0], *map(_of_kind, row[1:], kinds.values()))):
        with contextlib.suppress(sqlite3.IntegrityError):
            if not insert(target, table, ", ".join(["rowid", *kinds]), values):
                # Another row has this rowid: one of the two is wrong, and neither matters.
                insert(target, table, ", ".join(kinds), values[1:])
            return


_PYTHON = {"BLOB": bytes, "TEXT": str, "INTEGER": int, "INT": int}


def _of_kind(value: Any, kind: str) -> Any:
    return value if isinstance(value, _PYTHON.get(kind, object)) else _EMPTY.get(kind)
