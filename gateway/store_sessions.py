"""Rows of OSCORE contexts in the store: what each reserved, and that a retired one never comes back. Functions for its transactions.

A repair retires a context whose row is damaged (`store_repair`): what it had reserved is not known any more.
"""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import StoreFailed

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
    connection: sqlite3.Connection, device: bytes, context: bytes, count: int, *, first: Callable[[], int]
) -> int:
    """Reserve count numbers and return where they start. first(): where a context without a row starts. Raises StoreFailed: retired."""
    reserved = _of_living(connection, device, context)
    start = first() if reserved is None else reserved
    connection.execute(
        "INSERT INTO sessions VALUES (?1, ?2, 'unconfirmed', ?3, session_sum(?1, ?2, 'unconfirmed', ?3)) "
        "ON CONFLICT DO UPDATE SET reserved = excluded.reserved, sum = session_sum(device, context, state, excluded.reserved)",
        (device, context, start + count),
    )
    return start


def confirm(connection: sqlite3.Connection, device: bytes, context: bytes) -> None:
    """Make a context the device's current one and retire all its others. Raises StoreFailed: it is retired."""
    _of_living(connection, device, context)
    connection.execute(
        "UPDATE sessions SET state = n.state, sum = session_sum(n.device, n.context, n.state, n.reserved) FROM "
        "(SELECT device, context, CASE context WHEN ?1 THEN 'current' ELSE 'retired' END AS state, reserved "
        "FROM sessions WHERE device = ?2) AS n WHERE sessions.device = n.device AND sessions.context = n.context",
        (context, device),
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
