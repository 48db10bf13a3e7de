"""Where the page reads: its own read-only connection and keystore, in one thread of its own, so that ingest is never held up."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from office_ingest.energy import EnergySection
from office_ingest.overview import open_read_only
from office_ingest.receive.keystore import Keystore
from office_ingest.show.device import Kept
from office_ingest.show.findings import Findings
from office_ingest.show.order import Orders
from office_ingest.show.snapshot import FleetReader, Snapshot
from office_ingest.show.standing import Standings
from office_ingest.storage.sqlite import SqliteStore

Result = TypeVar("Result")


class ReadingRoom:
    """Opens in its thread. Nothing here can write. energy: what it takes to move bytes, None: as datasheets have it.

    snapshot: the fleet as of the newest look(). What is kept from one view to the next: standings, of its devices to releases;
    devices, their readings and lanes; findings, their page; orders, of the fleet's rows.
    """

    def __init__(self, database: Path, keystore: Path, energy: EnergySection | None = None):
        self.energy = energy or EnergySection()
        self._database = database
        self._keystore_path = keystore
        self._worker = ThreadPoolExecutor(1, "office-page")
        self._version: tuple[int, int] | None = None
        self.standings = Standings()
        self.devices = Kept()
        self.findings = Findings()
        self.orders = Orders()
        self.connection: sqlite3.Connection
        self.keystore: Keystore
        self.snapshot: Snapshot
        self._worker.submit(self._open).result()

    def _open(self) -> None:
        self.connection = open_read_only(self._database)
        self.keystore = Keystore.open(self._keystore_path, read_only=True)
        self._fleet = FleetReader(self.connection)
        self.snapshot = self._fleet.look()

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Return what work gives, run in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    async def look(self) -> bool:
        """Take a new snapshot if database or keystore, where boards wait, have changed since the last look; say whether it has, or a key was erased that showed something."""
        return await self.run(self._look)

    def _look(self) -> bool:
        has_forgotten = self.devices.recents.forget_erased(self.keystore)
        version = _version(self.connection), _version(self.keystore.connection)
        if version == self._version:
            return has_forgotten
        self.snapshot = self._fleet.look()
        self._version = version
        return True

    def store(self) -> SqliteStore:
        """Return the database as the governing functions take it; it cannot be written to."""
        return SqliteStore(self.connection)

    def close(self) -> None:
        """Wait for what is being read, then close."""
        self._worker.submit(self._close).result()
        self._worker.shutdown()

    def _close(self) -> None:
        self.connection.close()
        self.keystore.close()


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that another connection's commit changes."""
    return connection.execute("PRAGMA data_version").fetchone()[0]
