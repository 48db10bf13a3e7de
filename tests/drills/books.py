"""What the office's files say of a site: read from outside, while the office runs or after it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from office_ingest.receive.keystore import Keystore
from protocol.errors import ProtocolError
from protocol.segment import parse_segment


def read(path: Path, query: str, arguments: tuple = (), *, is_live: bool = False) -> list[tuple]:
    """Return the rows of a query, read-only.

    is_live: somebody only watches, and looks again: then a database that is busy or not there has no rows. Whoever judges must not be
    told so, since "no rows" is what a good site has: for him sqlite3.OperationalError rises.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)) as connection:
            return connection.execute(query, arguments).fetchall()
    except sqlite3.OperationalError:
        if is_live:
            return []
        raise


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


def count(path: Path, table: str, device: bytes | None = None, *, is_live: bool = False) -> int:
    """Return how many rows a table has, of one device or of all. is_live: see read()."""
    where = "" if device is None else " WHERE device = ?"
    arguments = () if device is None else (device,)
    rows = read(path, f"SELECT count(*) FROM {table}{where}", arguments, is_live=is_live)
    return rows[0][0] if rows else 0


def events_held(path: Path, *, is_live: bool = False) -> int:
    """Return how many events the office holds. is_live: see read()."""
    rows = read(path, "SELECT coalesce(sum(events), 0) FROM tallies", is_live=is_live)
    return rows[0][0] if rows else 0


def traceback_lines(log: Path) -> int:
    """Return how many exceptions a process's log shows."""
    return log.read_text(errors="replace").count("Traceback (most recent call last)") if log.exists() else 0
