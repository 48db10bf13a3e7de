"""What `status`, `devices` and `gaps` show: read from the store by another process, while the gateway runs or not.

Nothing is written and no lock is taken; WAL lets readers see one consistent moment.
"""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Self

import sqlite_utils

from gateway.store_file import load_lanes, used_bytes
from protocol.diagnostic import NOT_ALLOWED, UNREACHABLE, USAGE, Diagnostic, DiagnosticError
from protocol.event import QUALITY_NAMES
from protocol.keys import LANE_NAMES
from protocol.sqlite_door import READ, open_database


class StoreView:
    """A read-only look at a store. Use as a context manager. Raises DiagnosticError if there is none, or it is not ours."""

    def __init__(self, path: Path):
        self._path = path
        check_reachable(path)
        try:
            connection = open_database(path, READ)
            self._database = sqlite_utils.Database(connection)
            if "migrations" not in self._database.table_names():
                raise sqlite3.DatabaseError("it is not a gateway's store")
            # One moment for all that follows.
            connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise DiagnosticError(
                Diagnostic(
                    "file-unusable",
                    f"the store cannot be read: {error}",
                    str(path),
                    fix="check that [gateway] database names the store of a gateway",
                ),
                USAGE,
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.conn.close()

    def health(self) -> dict[str, Any]:
        """Return what the gateway last said of itself and when (saved_ms); empty before its first word."""
        for row in self._database.query("SELECT body, saved_ms FROM health"):
            return {**json.loads(row["body"]), "saved_ms": row["saved_ms"]}
        return {}

    def store_size(self) -> dict[str, int]:
        """Return used bytes of the database, and bytes of its files on the disk."""
        files = [self._path, Path(f"{self._path}-wal")]
        on_disk = sum(file.stat().st_size for file in files if file.exists())
        return {"used_bytes": used_bytes(self._database.conn), "disk_bytes": on_disk}

    def lanes(self) -> list[dict[str, Any]]:
        """Return one row a lane: custody, receipted, waiting (not yet told to the office), kept, gaps, forks."""
        waiting = self._count(
            "SELECT device, lane, epoch, count(*) AS n FROM segments WHERE outcome IS NULL GROUP BY 1, 2, 3"
        )
        kept = self._count(
            "SELECT device, lane, epoch, count(*) AS n FROM segments WHERE raw IS NOT NULL GROUP BY 1, 2, 3"
        )
        forks = self._count("SELECT device, lane, epoch, count(*) AS n FROM forks GROUP BY 1, 2, 3")
        return [
            {
                "device": device.hex(),
                "lane": LANE_NAMES[lane],
                "epoch": epoch,
                "custody": known.watermark(),
                "receipted": known.receipted,
                "held_to": known.top(),
                "waiting": waiting.get((device, lane, epoch), 0),
                "kept": kept.get((device, lane, epoch), 0),
                "gaps": sum(stop - start for start, stop in known.gaps()),
                "gap_ranges": known.gaps(),
                "forks": forks.get((device, lane, epoch), 0),
            }
            for (device, lane, epoch), known in sorted(load_lanes(self._database.conn).items())
        ]

    def _count(self, sql: str) -> dict[tuple[bytes, int, int], int]:
        return {_key(row): row["n"] for row in self._database.query(sql)}

    def devices(self) -> list[dict[str, Any]]:
        """Return one row a device that was ever heard: when, what its newest heartbeat said, and what waits for it here.

        release: the number that it is to have, or None; commands: how many wait.
        """
        releases, commands = self._waits_below()
        return [
            {
                **row,
                "device": row["device"].hex(),
                "release": releases.get(row["device"]),
                "commands": commands.get(row["device"], 0),
            }
            for row in self._database.query(
                "SELECT device, heard_ms, boot, counter, epoch, heartbeat_ms FROM devices ORDER BY device"
            )
        ]

    def _waits_below(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        # A gateway of the step before has not made these tables yet.
        if "wanted" not in self._database.table_names():
            return {}, {}
        wanted = {row["device"]: row["number"] for row in self._database.query("SELECT * FROM wanted")}
        waiting = self._database.query("SELECT device, count(*) AS n FROM commands GROUP BY device")
        return wanted, {row["device"]: row["n"] for row in waiting}

    def readings(self) -> list[dict[str, Any]]:
        """Return the newest reading of each channel that a granted key opened."""
        # A gateway of the step before has not made this table yet.
        if "readings" not in self._database.table_names():
            return []
        names = ("device", "channel", "period", "epoch", "boot", "tick_ms", "value", "quality", "read_ms")
        return [
            {**row, "device": row["device"].hex(), "quality": QUALITY_NAMES[row["quality"]]}
            for row in self._database.query(
                f"SELECT {', '.join(names)} FROM readings ORDER BY device, channel"  # noqa: S608 - names above
            )
        ]

    def heartbeats_waiting(self) -> int:
        """Return how many heartbeats wait for the office."""
        return self._database["heartbeat_queue"].count


def check_reachable(path: Path) -> None:
    """Return if there is a store that this user may read. Raises DiagnosticError."""
    # An empty file is what a start leaves that was cut at once.
    if not path.is_file() or not path.stat().st_size:
        raise DiagnosticError(
            Diagnostic(
                "file-unusable",
                "there is no store yet",
                str(path),
                fix="start the gateway once: outstation gateway run --config FILE",
            ),
            UNREACHABLE,
        )
    if not os.access(path, os.R_OK):
        fix = "give this user the right to read it"
        said = Diagnostic("file-not-allowed", "this user may not read the store", str(path), fix=fix)
        raise DiagnosticError(said, NOT_ALLOWED)


def _key(row: dict[str, Any]) -> tuple[bytes, int, int]:
    return row["device"], row["lane"], row["epoch"]
