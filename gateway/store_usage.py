"""Rows of what each device moved. Functions for the store's transactions.

Nothing but a number that people look at hangs on a row, so that none has a sum: what is no number any more is passed over.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from protocol.limits import usage_count_max
from protocol.usage import LIFE_BYTES

COLUMNS = (
    *("device", "day", "link", "received_bytes", "sent_bytes", "received_datagrams"),
    *("sent_datagrams", "life"),
)
_KEYS = 3
_IDENTITY_BYTES = 8
_MOST = usage_count_max

# (device, day, link), and what was received and sent: bytes of both, datagrams of both.
Key = tuple[bytes, int, int]
Counts = tuple[int, int, int, int]


def load_usage(connection: sqlite3.Connection) -> tuple[dict[Key, Counts], dict[Key, bytes]]:
    """Return what is kept, and in which life each of it began."""
    found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM usage")  # noqa: S608 - names are ours
    rows = [row for row in found if is_usage(row)]
    return {row[:_KEYS]: row[_KEYS:-1] for row in rows}, {row[:_KEYS]: row[-1] for row in rows}


def put_usage(
    connection: sqlite3.Connection, rows: dict[Key, Counts], lives: Mapping[Key, bytes], gone: Iterable[Key]
) -> None:
    """Keep these totals, each with the life in which it began, and none of those that go."""
    connection.executemany("DELETE FROM usage WHERE device = ? AND day = ? AND link = ?", gone)
    connection.executemany(
        "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(*key, *counts, lives[key]) for key, counts in rows.items()],
    )


def is_usage(row: tuple[Any, ...]) -> bool:
    """Return whether a row can be what was written."""
    is_device = isinstance(row[0], bytes) and len(row[0]) == _IDENTITY_BYTES
    is_life = isinstance(row[-1], bytes) and len(row[-1]) == LIFE_BYTES
    return is_device and is_life and all(type(value) is int and 0 <= value <= _MOST for value in row[1:-1])
