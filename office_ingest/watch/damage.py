"""Reads the whole database at the start and once a day, beside the service: what its disk changed becomes a finding for a person."""

import contextlib
import sqlite3
import threading
from pathlib import Path

from office_ingest.storage.damage import Damage, find_damage
from office_ingest.storage.sqlite import SqliteStore

KIND = "damage"
# Once a day: about fifteen seconds for each million rows.
INTERVAL_S = 86_400.0
# Steps of SQLite between two looks at whether the office is about to end.
_STEPS = 10_000
_WHAT_TO_DO = "end the office and run: outstation office repair"


def look_through(path: Path, stopped: threading.Event) -> list[Damage]:
    """Return what is damaged; nothing if the office ended meanwhile. Raises sqlite3.Error: the disk cannot be read."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(stopped.is_set, _STEPS)
        try:
            return find_damage(connection)
        except sqlite3.Error:
            if stopped.is_set():
                return []
            raise


def record_damage(store: SqliteStore, damages: list[Damage], now_ms: int) -> None:
    """Make each damage a finding. Raises StoreUnavailable."""
    with store.transaction():
        for damage in damages:
            place = f"{damage.table} {damage.place}".strip()
            store.add_finding(damage.device, KIND, place, f"{damage.text}; {_WHAT_TO_DO}", now_ms)
