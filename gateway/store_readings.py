"""Rows of view keys and of what was read with them. Functions for the store's transactions."""

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from protocol.limits import uint32_max

KEY_BYTES = 32
SUM_BYTES = 8
COLUMNS = "device, channel, period, epoch, event_order, boot, tick_ms, value, quality, read_ms, sum"
# device -> period -> key
Keys = dict[bytes, dict[int, bytes]]


class Reading(NamedTuple):
    """The newest of one channel. value: None unless its quality is good; read_ms: gateway wall time, for people only."""

    device: bytes
    channel: int
    period: int
    epoch: int
    order: int
    boot: int
    tick_ms: int
    value: int | None
    quality: int
    read_ms: int


def reading_sum(row: Iterable[Any]) -> bytes:
    """Return what covers one row of readings: nothing else repeats it."""
    text = repr(tuple(row)).encode("utf-8", "replace")
    return hashlib.sha256(text).digest()[:SUM_BYTES]


def is_reading(row: tuple[Any, ...]) -> bool:
    """Return whether a row of COLUMNS is as it was written."""
    return reading_sum(row[:-1]) == row[-1]


def is_view(row: tuple[Any, ...]) -> bool:
    """Return whether (device, period, key) can be a key; whether it is the right one, each body says."""
    device, period, key = row
    is_key = isinstance(key, bytes) and len(key) == KEY_BYTES
    return is_key and isinstance(device, bytes) and isinstance(period, int) and 0 <= period <= uint32_max


def load_keys(connection: sqlite3.Connection) -> Keys:
    """Return every key that is held."""
    found: Keys = {}
    for device, period, key in connection.execute("SELECT device, period, key FROM views"):
        found.setdefault(device, {})[period] = key
    return found


def replace_keys(connection: sqlite3.Connection, said: Keys) -> bool:
    """Keep of each device named exactly these keys, and only what was read with one of them; return whether anything went."""
    went = 0
    for device, keys in said.items():
        for table in ("views", "readings"):
            marks = ", ".join("?" * len(keys))
            sql = f"DELETE FROM {table} WHERE device = ? AND period NOT IN ({marks})"  # noqa: S608 - names are ours
            went += connection.execute(sql, (device, *keys)).rowcount
        connection.executemany(
            "INSERT OR REPLACE INTO views VALUES (?, ?, ?)",
            [(device, period, key) for period, key in keys.items()],
        )
    return went > 0


def put_readings(connection: sqlite3.Connection, readings: Iterable[Reading]) -> None:
    """Keep a channel's newest reading, while the key that it was read with is held."""
    for one in readings:
        connection.execute(
            f"INSERT INTO readings ({COLUMNS}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? "  # noqa: S608 - names are ours
            "WHERE EXISTS (SELECT 1 FROM views WHERE device = ?1 AND period = ?3) ON CONFLICT DO UPDATE SET "
            "period = excluded.period, epoch = excluded.epoch, event_order = excluded.event_order, boot = excluded.boot, "
            "tick_ms = excluded.tick_ms, value = excluded.value, quality = excluded.quality, read_ms = excluded.read_ms, "
            "sum = excluded.sum WHERE (excluded.epoch, excluded.event_order) >= (epoch, event_order)",
            (*one, reading_sum(one)),
        )
