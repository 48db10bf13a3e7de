"""Reads the whole database at the start and once a day, beside the service: what its disk changed becomes a finding for a person."""

import contextlib
import sqlite3
import threading
from pathlib import Path

from office_ingest.storage.damage import Damage, find_damage, is_mended
from office_ingest.storage.sqlite import SqliteStore
from protocol.sqlite_door import READ, open_database

KIND = "damage"
# Once a day: about fifteen seconds for each million rows.
INTERVAL_S = 86_400.0
# Steps of SQLite between two looks at whether the office is about to end.
_STEPS = 10_000
_REPAIR = "end the office and run: outstation office repair"
_BEYOND_REPAIR = (
    "office repair cannot tell what it said: see outstation verify, and restore the backup if it matters"
)


def look_through(path: Path, stopped: threading.Event) -> list[Damage]:
    """Return what is damaged; nothing if the office ended meanwhile. Raises sqlite3.Error: the disk cannot be read."""
    with contextlib.closing(open_database(path, READ)) as connection:
        connection.set_progress_handler(stopped.is_set, _STEPS)
        try:
            return find_damage(connection)
        except sqlite3.Error:
            if stopped.is_set():
                return []
            raise


def record_damage(store: SqliteStore, damages: list[Damage], now_ms: int) -> None:
    """Make each damage a finding, with what to do. Raises StoreUnavailable."""
    with store.transaction():
        add_findings(store, damages, now_ms)


def add_findings(store: SqliteStore, damages: list[Damage], now_ms: int) -> None:
    """Make each damage a finding, with what to do. Within a transaction."""
    for damage in damages:
        what_to_do = _REPAIR if is_mended(damage) else _BEYOND_REPAIR
        store.add_finding(damage.device, KIND, finding_place(damage), f"{damage.text}; {what_to_do}", now_ms)


def finding_place(damage: Damage) -> str:
    """Return the place of the finding that a damage becomes."""
    return f"{damage.table} {damage.place}".strip()
