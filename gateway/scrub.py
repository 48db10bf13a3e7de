"""Reads the whole store once a day, so that a bit that flipped is found while its source still has what it said.

The check of each start is the same. It reads beside the gateway's own connection and stops nobody; what it finds makes the
store be opened anew and repaired before anything more is acknowledged.
"""

import asyncio
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

from gateway.health import Health
from gateway.store import Store
from gateway.store_check import check_file

_log = logging.getLogger("gateway.scrub")

# Once a day: some seconds of reading for each gigabyte.
SCRUB_INTERVAL_S = 86_400.0


class Scrub:
    """Checks the file at path, which store has open."""

    def __init__(self, path: Path, store: Store, health: Health, *, clock: Any):
        self._path = path
        self._store = store
        self._health = health
        self._clock = clock
        self._ending = threading.Event()

    def end(self) -> None:
        """Let a check that is at work stop, so that the process can end."""
        self._ending.set()

    async def run(self) -> None:
        """Check again and again; ends by being cancelled. The start has checked already."""
        while True:
            await self._clock.sleep(SCRUB_INTERVAL_S)
            await self.once()

    async def once(self) -> None:
        """Read everything; what is damaged is repaired with the next operation of the store."""
        try:
            damages = await asyncio.to_thread(check_file, self._path, self._ending.is_set)
        except sqlite3.Error as error:
            if self._ending.is_set():
                return
            # Of the disk, not of the file: the gateway's own connection will meet it too, and says so.
            _log.error("the store could not be read through: %s", error)
            return
        self._health.count("scrubs")
        if damages:
            self._store.doubt(f"damaged: {damages[0].table} {damages[0].place}: {damages[0].text}")
