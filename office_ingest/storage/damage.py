"""Finds rows of an office's database that are not as they were written: the part of the auditor's walk that needs no keys.

Quick enough to be done once a day beside a running service; `outstation verify` compares far more. Reads only.
"""

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from office_ingest.storage.rows import COLUMNS, KEYS, ROW_DIGEST_BYTES, is_as_written, read_row_sum
from protocol.keys import LANE_NAMES
from protocol.sqlite_file import gather, structure

_BODIES = ("bundles", "schemas", "release_parts")
# What `outstation office repair` makes anew: rows of the first, and how many rows there are of the second.
_ROWS_ANEW = ("segments", "gaps", "heads", "receipts", "tallies")
COUNTED_ANEW = (*_ROWS_ANEW, "quarantine", "findings")
_NUMBERS = ("epoch", "number", "boot", "counter")


class Damage(NamedTuple):
    """One thing that is not as it was written. table: "database" where pages are damaged; device: b"" if it is of none.

    place: what names the row, "" where it is said of the table as a whole.
    """

    table: str
    device: bytes
    place: str
    text: str


def is_mended(damage: Damage) -> bool:
    """Return whether `outstation office repair` mends damage of this kind; of all else nothing can tell what it said."""
    anew = _ROWS_ANEW if damage.place else COUNTED_ANEW
    return damage.table == "database" or damage.table in anew


def find_damage(connection: sqlite3.Connection) -> list[Damage]:
    """Return what is damaged, at most DAMAGES_MAX. Raises sqlite3.Error: the disk's own errors."""
    return gather(connection, _damages, lambda text: Damage("database", b"", "", text))


def structure_damage(connection: sqlite3.Connection) -> list[Damage]:
    """Return what SQLite says of the pages of the file."""
    return [Damage("database", b"", "", text) for text in structure(connection)]


def _damages(connection: sqlite3.Connection) -> Iterator[Damage]:
    yield from structure_damage(connection)
    for table, columns in COLUMNS.items():
        yield from _rows(connection, table, ", ".join(columns))
    for table in _BODIES:
        for digest, body in connection.execute(f"SELECT digest, body FROM {table}"):
            if not is_body(body, digest):
                yield Damage(table, b"", _shown(digest), "the body does not have this digest")


def _rows(connection: sqlite3.Connection, table: str, names: str) -> Iterator[Damage]:
    rows, total = 0, 0
    for row in connection.execute(f"SELECT {names}, row_digest FROM {table}"):
        rows += 1
        total ^= int.from_bytes(row[-1][:ROW_DIGEST_BYTES], "big") if isinstance(row[-1], bytes) else 0
        if not is_row(table, row):
            device, place = _place(table, row)
            yield Damage(table, device, place, "the row is not as it was written")
    if (rows, total) != read_row_sum(connection, table):
        yield Damage(table, b"", "", f"its {rows} rows are not those that were written")


def is_row(table: str, row: tuple[Any, ...]) -> bool:
    """Return whether a row, its columns in order and row_digest last, is as it was written."""
    if not is_as_written(row[:-1], row[-1]):
        return False
    columns = COLUMNS[table]
    return table != "segments" or is_body(row[columns.index("raw")], row[columns.index("digest")])


def is_body(body: Any, digest: Any) -> bool:
    """Return whether bytes are those of a digest."""
    return isinstance(body, bytes) and hashlib.sha256(body).digest() == digest


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _place(table: str, row: tuple[Any, ...]) -> tuple[bytes, str]:
    values = dict(zip(COLUMNS[table], row, strict=False))
    device = values.get("device")
    lane = values.get("lane")
    words = [LANE_NAMES[lane]] if isinstance(lane, int) and 0 <= lane < len(LANE_NAMES) else []
    words += [f"{name} {values[name]}" for name in _NUMBERS if name in values]
    others = [name for name in KEYS[table] if name not in (*_NUMBERS, "device", "lane")]
    words += [f"{name} {_shown(values[name])}" for name in others]
    return device if isinstance(device, bytes) else b"", " ".join(words)
