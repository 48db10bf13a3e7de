"""What the office's files say of a site: read from outside, while the office runs or after it."""

import sqlite3
from pathlib import Path

from office_ingest.receive.keystore import Keystore
from protocol.errors import ProtocolError
from protocol.segment import parse_segment


def read(path: Path, query: str, arguments: tuple = ()) -> list[tuple]:
    """Return the rows of a query, read-only; none while the database is busy or not there."""
    if not path.is_file():
        return []
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.OperationalError:
        return []
    try:
        return connection.execute(query, arguments).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def forged(folder: Path) -> list[str]:
    """Return the places of segments that the office of this folder holds and their device did not seal."""
    keystore = Keystore.open(folder / "keystore.db", read_only=True)
    try:
        found = []
        for (raw,) in read(folder / "office.db", "SELECT raw FROM segments"):
            segment = parse_segment(raw)
            header = segment.header
            try:
                segment.verify(keystore.tag_key(header.device, header.lane, header.generation))
            except ProtocolError:
                found.append(
                    f"{header.device.hex()} lane {header.lane} epoch {header.epoch} number {header.number}"
                )
        return found
    finally:
        keystore.close()


def count(path: Path, table: str, device: bytes | None = None) -> int:
    """Return how many rows a table has, of one device or of all."""
    where = "" if device is None else " WHERE device = ?"
    rows = read(path, f"SELECT count(*) FROM {table}{where}", () if device is None else (device,))
    return rows[0][0] if rows else 0


def events_held(path: Path) -> int:
    """Return how many events the office holds."""
    rows = read(path, "SELECT coalesce(sum(events), 0) FROM tallies")
    return rows[0][0] if rows else 0


def traceback_lines(log: Path) -> int:
    """Return how many exceptions a process's log shows."""
    return log.read_text(errors="replace").count("Traceback (most recent call last)") if log.exists() else 0
