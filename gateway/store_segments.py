"""Segments on their way into the store: those of one transaction whose places are all new go in together, by few statements.

Each step of a statement gives the interpreter up to the thread that serves the links, and waits for it again: with a statement for each
segment the two would hinder each other more than the work takes. What is not new, or wanted again, or a tombstone, goes in by itself:
`Store` decides there what it is. Functions for its transactions.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from protocol.segment import Segment

# Rows of one statement: few sizes, so that each is prepared once and then kept.
_ROWS = (64, 16, 4, 1)
_KNOWN = (
    "WITH asked (at, device, lane, epoch, number) AS (VALUES {rows}) SELECT at FROM asked WHERE "
    "EXISTS (SELECT 1 FROM segments AS s WHERE s.device = asked.device AND s.lane = asked.lane AND s.epoch = asked.epoch "
    "AND s.number = asked.number) OR "
    # The row of a receipted segment is gone; its receipt still says the digest of the newest one.
    "EXISTS (SELECT 1 FROM lanes AS l WHERE l.device = asked.device AND l.lane = asked.lane AND l.epoch = asked.epoch "
    "AND l.receipted = asked.number + 1)"
)
# A place that is not new would be a fault of ours, and ends the transaction (`Store._give_up`): so no copy of each changed page is kept to
# take back the one statement, which costs more than the rows.
_INSERT = "INSERT OR FAIL INTO segments (device, lane, epoch, number, digest, raw, received_ms) VALUES {rows}"
_HEARD = "INSERT OR FAIL INTO devices (device, heard_ms) VALUES {rows} ON CONFLICT DO UPDATE SET heard_ms = excluded.heard_ms"


class Arrival:
    """A segment that waits for its transaction. lost: ranges that it covers, a tombstone. alone: puts it in by itself."""

    __slots__ = ("_alone", "is_wanted", "lost", "received_ms", "segment")

    def __init__(
        self,
        segment: Segment,
        received_ms: int,
        lost: list[tuple[int, int]],
        is_wanted: bool,
        alone: Callable[[sqlite3.Connection, "Arrival"], str],
    ):
        self.segment = segment
        self.received_ms = received_ms
        self.lost = lost
        self.is_wanted = is_wanted
        self._alone = alone

    def __call__(self, connection: sqlite3.Connection) -> str:
        """Put it in by itself; return what it was."""
        return self._alone(connection, self)


def new_places(connection: sqlite3.Connection, operations: Sequence[object]) -> dict[int, Arrival]:
    """Return the arrivals among operations, by their index there, that are the first of a place of which nothing is known."""
    first: dict[tuple[Any, ...], int] = {}
    plain: dict[int, Arrival] = {}
    for at, one in enumerate(operations):
        if isinstance(one, Arrival) and first.setdefault(one.segment.header.key(), at) == at:
            if not one.lost and not one.is_wanted:
                plain[at] = one
    asked = [(at, *one.segment.header.key()) for at, one in plain.items()]
    for statement, values in _in_rows(_KNOWN, asked):
        for (at,) in connection.execute(statement, values).fetchall():
            del plain[at]
    return plain


def insert_new(connection: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
    """Put segments in whose places are all new, and note when their devices were heard."""
    segments = [
        (*one.segment.header.key(), one.segment.digest, one.segment.raw, one.received_ms) for one in arrivals
    ]
    heard = {one.segment.header.device: one.received_ms for one in arrivals}
    for pattern, rows in ((_INSERT, segments), (_HEARD, list(heard.items()))):
        for statement, values in _in_rows(pattern, rows):
            connection.execute(statement, values)


def _in_rows(pattern: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
    """Yield statements with their values, so that all rows are in one of them."""
    start = 0
    for count in _ROWS:
        while len(rows) - start >= count:
            taken = rows[start : start + count]
            start += count
            yield _statement(pattern, len(taken[0]), count), [value for row in taken for value in row]


_statements: dict[tuple[str, int], str] = {}


def _statement(pattern: str, width: int, count: int) -> str:
    key = (pattern, count)
    if key not in _statements:
        row = "(" + ", ".join("?" * width) + ")"
        _statements[key] = pattern.format(rows=", ".join([row] * count))
    return _statements[key]
