"""Rows of the links that the office told. Functions for the store's transactions; no error shows a row: it holds a secret.

The mark of a set covers all its rows, so a row that its disk changed ends the set: the office is asked for all of it again.
"""

import sqlite3
from collections.abc import Iterable

from protocol.uplink import links_mark

COLUMNS = "device, kid, secret"

# (device, kid, secret), or (device,) where links.toml has the secret.
Entry = tuple[bytes, ...]
Entries = dict[bytes, list[Entry]]


def load_links(connection: sqlite3.Connection) -> tuple[bytes | None, Entries]:
    """Return (mark, device -> entries) of the set that is held; (None, {}) if none was told, or what is there is not as it was written."""
    row = connection.execute("SELECT mark FROM link_set").fetchone()
    if row is None:
        return None, {}
    entries = entries_of(connection.execute(f"SELECT {COLUMNS} FROM links"))  # noqa: S608 - names are ours
    return (row[0], entries) if is_set(row[0], entries) else (None, {})


def replace_links(
    connection: sqlite3.Connection, mark: bytes, entries: Entries, gone: Iterable[bytes] | None
) -> None:
    """Keep of each device named exactly these entries, none of those that go (None: of all others), and the mark of what comes out."""
    if gone is None:
        connection.execute("DELETE FROM links")
    devices = [(device,) for device in (*entries, *(gone or ()))]
    connection.executemany("DELETE FROM links WHERE device = ?", devices)
    connection.executemany(
        "INSERT INTO links VALUES (?, ?, ?)",
        [(*entry, b"", b"")[:3] for held in entries.values() for entry in held],
    )
    connection.execute("INSERT OR REPLACE INTO link_set VALUES (1, ?)", (mark,))


def is_set(mark: object, entries: Entries) -> bool:
    """Return whether entries are the set of this mark."""
    try:
        return links_mark(entry for held in entries.values() for entry in held) == mark
    except TypeError:
        # Columns of a kind that is never written.
        return False


def entries_of(rows: Iterable[tuple[bytes, bytes, bytes]]) -> Entries:
    """Return device -> entries of rows of COLUMNS."""
    return by_device((device, kid, secret) if kid else (device,) for device, kid, secret in rows)


def by_device(entries: Iterable[Entry]) -> Entries:
    """Return device -> its entries."""
    found: Entries = {}
    for entry in entries:
        found.setdefault(entry[0], []).append(entry)
    return found
