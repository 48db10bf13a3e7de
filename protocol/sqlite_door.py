"""Hosts only: the one door through which gateway and office open a file of SQLite, plain or encrypted.

Transactions are the caller's to begin and end, and any thread may use a connection that no other uses meanwhile.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from protocol.sqlite_file import READ_ERRORS
from protocol.sqlite_key import key_of_real

READ = "ro"
WRITE = "rw"
MAKE = "rwc"

# Seconds that a statement waits for another process's lock.
_WAIT_S = 5.0


def open_database(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection to the file at path. mode: READ, WRITE, or MAKE, which makes a file that is missing.

    An encrypted one's is SQLCipher's, with the methods and errors of sqlite3's. Raises sqlite3.Error; DiagnosticError (exit 4) if its
    key is not to be had, before anything of the file was read or changed.
    """
    real = path.resolve()
    key = key_of_real(real, make=mode == MAKE)
    if key is not None:
        from protocol.sqlite_cipher import open_encrypted

        return open_encrypted(path, mode, key, wait_s=_WAIT_S)
    uri = f"{real.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)


class Damaged:
    """A connection to a damaged file, to read what can still be read: after an error it is made anew.

    SQLCipher gives nothing more through a connection that met one bad page, and most of the others may be whole. open_file: gives one.
    """

    def __init__(self, open_file: Callable[[], sqlite3.Connection]):
        self._open = open_file
        self._connection = open_file()
        self._spoiled = False

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> "Rows":
        """Begin a query. Raises sqlite3.Error, as reading its rows does."""
        if self._spoiled:
            self._connection.close()
            self._connection, self._spoiled = self._open(), False
        try:
            return Rows(self._connection.execute(sql, values), self._spoil)
        except READ_ERRORS:
            self._spoil()
            raise

    def _spoil(self) -> None:
        self._spoiled = True

    def as_connection(self) -> sqlite3.Connection:
        """Return it for those who only call execute."""
        return cast(sqlite3.Connection, self)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class Rows:
    """The rows of one query of a damaged file."""

    def __init__(self, cursor: sqlite3.Cursor, spoil: Any):
        self._cursor = cursor
        self._spoil = spoil

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._cursor
        except READ_ERRORS:
            self._spoil()
            raise

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None."""
        return next(iter(self), None)
