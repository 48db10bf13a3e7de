"""Rows of the leaves that this gateway saw sign. Functions for the store's transactions.

An envelope proves itself to who knows the root; its mark tells what the disk changed, and the office tells it again.
"""

import sqlite3
from typing import Any, NamedTuple

from protocol.envelope import parse_envelope
from protocol.errors import ProtocolError
from protocol.limits import witness_roots_max
from protocol.lms import leaf_of
from protocol.witness import mark_of

COLUMNS = ("root", "leaf", "mark", "envelope")


class Seen(NamedTuple):
    """The highest leaf of a root, and the envelope that it signed."""

    root: bytes
    leaf: int
    mark: bytes
    envelope: bytes


def seen_in(raw: bytes) -> Seen:
    """Return what an envelope says of its root. Raises ProtocolError."""
    envelope = parse_envelope(raw)
    return Seen(envelope.key_id, leaf_of(envelope.signature), mark_of(raw), raw)


def load_witness(connection: sqlite3.Connection) -> dict[bytes, Seen]:
    """Return what is kept, by root, the eldest first."""
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM witness ORDER BY rowid")  # noqa: S608 - names are ours
    return {row[0]: Seen(*row) for row in rows if is_witness(row)}


def put_witness(connection: sqlite3.Connection, rows: list[Seen]) -> None:
    """Keep these, each over an earlier one of its root, and of more roots than there may be the newest."""
    connection.executemany("INSERT OR REPLACE INTO witness VALUES (?, ?, ?, ?)", rows)
    connection.execute(
        "DELETE FROM witness WHERE rowid NOT IN (SELECT rowid FROM witness ORDER BY rowid DESC LIMIT ?)",
        (witness_roots_max,),
    )


def is_witness(row: tuple[Any, ...]) -> bool:
    """Return whether a row is what was written."""
    try:
        return isinstance(row[3], bytes) and tuple(seen_in(row[3])) == tuple(row)
    except ProtocolError:
        return False
