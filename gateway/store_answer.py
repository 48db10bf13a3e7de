"""What an answer of the office does to the rows of the store: receipts, what they release, what is asked for again. Functions for its transactions."""

import sqlite3

from protocol.messages import Message
from protocol.ranges import Ranges
from protocol.uplink import FORK

# How often one segment is put back into the outbox because the office asks for it again.
REQUEUE_TIMES_MAX = 3


def put_receipt(connection: sqlite3.Connection, receipt: Message) -> None:
    """Keep a receipt unless a newer one of its lane is kept."""
    fields = receipt.fields
    connection.execute(
        "INSERT INTO lanes (device, lane, epoch, receipted, digest, receipt) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET receipted = excluded.receipted, digest = excluded.digest, receipt = excluded.receipt "
        "WHERE excluded.receipted >= receipted",
        (fields.device, fields.lane, fields.epoch, fields.number + 1, fields.digest, receipt.raw),
    )


def release(connection: sqlite3.Connection) -> int:
    """Delete what a receipt covers and the office told of, and return how many still had their bytes.

    A row that contradicts the receipt's own digest stays: one of the two is wrong, and this may be the only copy.
    """
    deleted = connection.execute(
        "DELETE FROM segments WHERE id IN (SELECT s.id FROM lanes AS l JOIN segments AS s "
        "ON s.device = l.device AND s.lane = l.lane AND s.epoch = l.epoch AND s.number < l.receipted "
        "WHERE s.outcome IS NOT NULL AND (s.raw IS NULL OR s.number + 1 < l.receipted OR s.digest = l.digest)) "
        "RETURNING raw IS NOT NULL"
    ).fetchall()
    connection.execute(
        "DELETE FROM lost WHERE EXISTS (SELECT 1 FROM lanes AS l WHERE l.device = lost.device AND l.lane = lost.lane "
        "AND l.epoch = lost.epoch AND lost.stop <= l.receipted)"
    )
    return sum(had_bytes for (had_bytes,) in deleted)


def give_up_told(connection: sqlite3.Connection) -> int:
    """Give up the bytes of what the office has stored, and return of how many. The device has them until their receipt.

    The rows move behind all others: in their old places each would keep a page from being free.
    """
    told = connection.execute(
        "DELETE FROM segments WHERE outcome IS NOT NULL AND outcome < ? AND raw IS NOT NULL "
        "RETURNING device, lane, epoch, number, digest, outcome, times, received_ms",
        (FORK,),
    ).fetchall()
    connection.executemany(
        "INSERT INTO segments (device, lane, epoch, number, digest, outcome, times, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        told,
    )
    return len(told)


def requeue(
    connection: sqlite3.Connection, want: tuple[bytes, int, int, int, int]
) -> list[tuple[bytes, int, int, int, int]]:
    """Put what the office asks for and we hold back into the outbox; return what we do not hold."""
    device, lane, epoch, start, stop = want
    held = Ranges()
    rows = connection.execute(
        "SELECT number FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number >= ? AND number < ? "
        "AND raw IS NOT NULL ORDER BY number",
        want,
    )
    for (number,) in rows:
        held.add(number, number + 1)
    connection.execute(
        "UPDATE segments SET outcome = NULL, times = times + 1 WHERE device = ? AND lane = ? AND epoch = ? "
        "AND number >= ? AND number < ? AND raw IS NOT NULL AND outcome IS NOT NULL AND times < ?",
        (*want, REQUEUE_TIMES_MAX),
    )
    return [(device, lane, epoch, low, high) for low, high in held.missing(start, stop)]
