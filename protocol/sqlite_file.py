"""Hosts only: what gateway and office do with an SQLite file that may be damaged: judge, read what can be read, replace it.

A new file is the database from the moment in which it has the name `.repaired`: a power cut before it leaves the damaged one, one
after it is carried on by `finish`. The damaged file is never changed: it stays as `.damaged-` and the time in ms, with its log.
"""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

# Damages told of one file: enough to see what happened to it.
DAMAGES_MAX = 100
# SQLite says of these that the file is not what it wrote; all others are errors of the disk, which says nothing of the file.
_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# A table or column that is not there: its name is damaged, or what asks for it is a mistake of ours.
_OF_THE_FILE = (*_UNREADABLE, sqlite3.SQLITE_ERROR)
# Python fails to decode SQLite's own message where that names what damage made of a table's name.
READ_ERRORS = (sqlite3.Error, UnicodeDecodeError)

Damage = TypeVar("Damage")
Step = Callable[[str], None]


def is_of_the_file(error: Exception) -> bool:
    """Return whether an error says that the file is damaged, and not that the disk failed or is full."""
    return _is_one_of(_OF_THE_FILE, error)


def _is_one_of(codes: tuple[int, ...], error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    # Without a code it is Python's own: text in the file that is no text.
    return code is None or code & 0xFF in codes


def gather(
    connection: sqlite3.Connection,
    damages: Callable[[sqlite3.Connection], Iterator[Damage]],
    of_the_file: Callable[[str], Damage],
) -> list[Damage]:
    """Return the first DAMAGES_MAX damages of one moment, whatever is committed meanwhile.

    of_the_file(text): the damage that stands for a file which cannot be read to its end. Raises sqlite3.Error: the disk's own errors.
    """
    found: list[Damage] = []
    try:
        connection.execute("BEGIN")
        for damage in damages(connection):
            found.append(damage)
            if len(found) >= DAMAGES_MAX:
                break
    except READ_ERRORS as error:
        if not is_of_the_file(error):
            raise
        found.append(of_the_file(f"it cannot be read to the end: {error}"))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return found


def structure(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite says of the pages of the file, nothing where it finds nothing wrong."""
    lines = connection.execute(f"PRAGMA integrity_check({DAMAGES_MAX})")
    return [f"SQLite says: {line}" for (line,) in lines if line != "ok"]


def readable(source: sqlite3.Connection, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a query up to the first that cannot be read.

    Raises sqlite3.Error: the disk's own errors, and a query that names what is not there (`columns_of` tells what is): passed over,
    it would give no row of a whole table.
    """
    try:
        yield from source.execute(sql, values)
    except READ_ERRORS as error:
        if not _is_one_of(_UNREADABLE, error):
            raise


def columns_of(source: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a damaged file's table in order, none if it has no such table. The text of a schema can be damaged too."""
    return _names(source, f"PRAGMA table_info({table})")


def has_index(source: sqlite3.Connection, table: str, index: str) -> bool:
    """Return whether a damaged file's table has this index."""
    return index in _names(source, f"PRAGMA index_list({table})")


def _names(source: sqlite3.Connection, pragma: str) -> list[str]:
    try:
        return [row[1] for row in source.execute(pragma)]
    except READ_ERRORS as error:
        # Nothing of ours is named here: even a general error is of the file, a format that SQLite does not know.
        if not is_of_the_file(error):
            raise
        return []


def quoted(name: str) -> str:
    """Return a column's name as SQL text. One that is no text any more becomes a value that no row can have."""
    return '"' + name.replace('"', '""') + '"'


def as_text(raw: bytes) -> str:
    """Return text of a damaged file, a text_factory: what is no text any more is data to be judged, not an error."""
    return raw.decode("utf-8", "replace")


def insert(target: sqlite3.Connection, table: str, columns: str, row: tuple[Any, ...]) -> bool:
    """Insert a row unless its key is there, and return whether it was inserted. table, columns: our own words."""
    marks = ", ".join("?" * len(row))
    done = target.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)
    return done.rowcount == 1


def lacking(
    target: sqlite3.Connection, table: str, key: str, named: Iterable[Any], probes_max: int
) -> Iterator[int]:
    """Give the ids worth a try one by one, once all that two readings reached is in the target's table.

    First those that an index of the damaged file names; then all from 0 to the highest, the shortest gaps first: one that an
    unreadable page made is short, one of rows that were deleted may have any length. At most probes_max of the latter.
    """
    ends: list[int] = []
    for row_id in named:
        if not isinstance(row_id, int):
            continue
        ends = [min([*ends, row_id]), max([*ends, row_id])]
        if target.execute(f"SELECT 1 FROM {table} WHERE {key} = ?", (row_id,)).fetchone() is None:
            yield row_id
    # Rows are put into the table meanwhile: sorting reads all gaps before it gives the first.
    gaps = target.execute(
        "SELECT low, high FROM (SELECT id AS low, lead(id) OVER (ORDER BY id) AS high FROM "
        f"(SELECT {key} AS id FROM {table} UNION SELECT 0 UNION SELECT ?1 UNION SELECT ?2)) WHERE high > low + 1 ORDER BY high - low, low",
        ends or (None, None),
    )
    yield from islice((row_id for low, high in gaps for row_id in _inward(low, high)), probes_max)


def _inward(low: int, high: int) -> Iterator[int]:
    # Of a long gap one end may be wrong, or deleted; what could be read lies at the other.
    while low + 1 < high:
        low += 1
        yield low
        if low + 1 < high:
            high -= 1
            yield high


# ---- replacing a file


def beside(path: Path, suffix: str) -> Path:
    """Return the file of that name and suffix."""
    return path.with_name(path.name + suffix)


def begin(path: Path) -> Path:
    """Return where the new file is made; what an attempt before left there is gone."""
    made = beside(path, ".repairing")
    _remove(made)
    return made


def replace(path: Path, now_ms: int, kept_max: int | None = None, step: Step = lambda name: None) -> None:
    """Put the new file, closed and without a log, in the place of the one at path. step: named points, for tests."""
    made = beside(path, ".repairing")
    _sync(made)
    step("made")
    made.replace(beside(path, ".repaired"))
    _sync(path.parent)
    step("named")
    finish(path, now_ms, kept_max, step)


def finish(path: Path, now_ms: int, kept_max: int | None = None, step: Step = lambda name: None) -> None:
    """Go on with a replacement that a power cut ended, if there is one. Every step may be done again.

    kept_max: how many damaged files are kept, the newest; None: all of them.
    """
    repaired = beside(path, ".repaired")
    if not repaired.exists():
        return
    keep_damaged(path, beside(path, f".damaged-{now_ms}"), kept_max)
    step("kept")
    # The old log must be gone before the new file has the name: SQLite would play it into the new file.
    for suffix in _LOGS:
        beside(path, suffix).unlink(missing_ok=True)
    _sync(path.parent)
    step("log gone")
    repaired.replace(path)
    _sync(path.parent)


def keep_damaged(path: Path, kept: Path, kept_max: int | None) -> None:
    """Give the damaged file a second name, its log too."""
    others = [
        one for one in sorted(path.parent.glob(f"{path.name}.damaged-*")) if not one.name.endswith("-wal")
    ]
    if not path.exists() or any(one.samefile(path) for one in others):
        return  # Kept already, before a power cut.
    log = beside(path, "-wal")
    if log.exists():
        os.link(log, beside(kept, "-wal"))
    os.link(path, kept)
    if kept_max is not None:
        for one in others[: len(others) + 1 - kept_max]:
            _remove(one)


_LOGS = ("-wal", "-shm", "-journal")


def _remove(path: Path) -> None:
    for suffix in ("", *_LOGS):
        beside(path, suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
