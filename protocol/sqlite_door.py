"""Hosts only: the one door through which gateway and office open a file of SQLite.

Transactions are the caller's to begin and end, and any thread may use a connection that no other uses meanwhile.
"""

import sqlite3
from pathlib import Path

READ = "ro"
WRITE = "rw"
MAKE = "rwc"

# Seconds that a statement waits for another process's lock.
_WAIT_S = 5.0


def open_database(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection to the file at path. mode: READ, WRITE, or MAKE, which makes a file that is missing.

    Raises sqlite3.Error.
    """
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
