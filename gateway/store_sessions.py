"""Rows of OSCORE contexts in the store: what each reserved, and that a retired one never comes back. Functions for its transactions.

A repair retires a context whose row is damaged (`store_repair`): what it had reserved is not known any more.
"""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import StoreFailed

# Retired contexts kept of each device, the newest. Each boot of a device brings one; who plays requests of an older one again is challenged
# under numbers of its own, and cannot answer.
RETIRED_KEPT = 32
# The state of a context under which nothing is accepted or sent any more.
RETIRED = "retired"


class SessionRow(NamedTuple):
    """One OSCORE context that a device used. state: "current", "unconfirmed" or RETIRED."""

    device: bytes
    context: bytes
    state: str


def session_rows(connection: sqlite3.Connection, device: bytes | None) -> list[SessionRow]:
    """Return the contexts of a device; of all if it is None."""
    rows = connection.execute(
        "SELECT device, context, state FROM sessions WHERE ?1 IS NULL OR device = ?1", (device,)
    )
    return [SessionRow(*row) for row in rows]


def revoked(connection: sqlite3.Connection) -> set[bytes]:
    """Return the devices that the office called revoked."""
    return {row[0] for row in connection.execute("SELECT device FROM revoked")}


def add_revoked(connection: sqlite3.Connection, devices: list[bytes]) -> None:
    """Keep that these devices are revoked."""
    connection.executemany("INSERT OR IGNORE INTO revoked VALUES (?)", [(device,) for device in devices])


def reserve(
    connection: sqlite3.Connection,
    device: bytes,
    context: bytes,
    count: int,
    *,
    first: Callable[[], int],
    leap: int = 0,
) -> int:
    """Reserve count numbers and return where they start. first(): where a context without a row starts; leap: numbers passed over of one
    that has a row. Raises StoreFailed: retired.
    """
    reserved = _of_living(connection, device, context)
    start = first() if reserved is None else reserved + leap
    connection.execute(
        "INSERT INTO sessions (device, context, state, reserved, sum) VALUES (?1, ?2, 'unconfirmed', ?3, session_sum(?1, ?2, 'unconfirmed', ?3)) "
        "ON CONFLICT DO UPDATE SET reserved = excluded.reserved, sum = session_sum(device, context, state, excluded.reserved)",
        (device, context, start + count),
    )
    return start


def confirm(connection: sqlite3.Connection, device: bytes, context: bytes) -> None:
    """Make a context the device's current one and retire all its others; of these the newest are kept. Raises StoreFailed: it is retired."""
    _of_living(connection, device, context)
    connection.execute(
        "UPDATE sessions SET state = n.state, sum = session_sum(n.device, n.context, n.state, n.reserved) FROM "
        "(SELECT device, context, CASE context WHEN ?1 THEN 'current' ELSE 'retired' END AS state, reserved "
        "FROM sessions WHERE device = ?2) AS n WHERE sessions.device = n.device AND sessions.context = n.context",
        (context, device),
    )
    connection.execute(
        "UPDATE sessions SET turn = (SELECT max(turn) + 1 FROM sessions WHERE device = ?1) WHERE device = ?1 AND context = ?2",
        (device, context),
    )
    connection.execute(
        "DELETE FROM sessions WHERE device = ?1 AND state = 'retired' AND context NOT IN (SELECT context FROM sessions"
        " WHERE device = ?1 AND state = 'retired' ORDER BY turn DESC, context LIMIT ?2)",
        (device, RETIRED_KEPT),
    )


def _of_living(connection: sqlite3.Connection, device: bytes, context: bytes) -> int | None:
    """Return what a context has reserved, None if it has no row. Raises StoreFailed: it is retired."""
    row = connection.execute(
        "SELECT reserved, state FROM sessions WHERE device = ? AND context = ?", (device, context)
    ).fetchone()
    if row is None:
        return None
    reserved: int = row[0]
    if row[1] == RETIRED:
        raise StoreFailed("the context is retired: nothing is sent under it any more")
    return reserved
