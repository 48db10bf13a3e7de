"""Hosts only: opens a file that SQLCipher encrypted. Its package is optional: outstation[cipher].

Pages, logs and rollback journals are encrypted by SQLCipher; what a query spills goes to memory, which never becomes a file.
"""

import sqlite3
from pathlib import Path
from typing import Any

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.sqlite_key import Key

_ERRORS = (
    *("DatabaseError", "DataError", "IntegrityError", "InterfaceError", "InternalError"),
    *("NotSupportedError", "OperationalError", "ProgrammingError"),
)

# In this order: the version of the file's layout and the key before anything reads the file.
_BEFORE = ("PRAGMA cipher_log_level = NONE",)
_AFTER = (
    "PRAGMA cipher_compatibility = 4",
    # Built with memory as the default; said, since a sorted query would otherwise lie on the disk in plain.
    "PRAGMA temp_store = MEMORY",
    "PRAGMA recursive_triggers = OFF",
)


def module() -> Any:
    """Return SQLCipher's module. Raises DiagnosticError (exit 4): it is not installed."""
    try:
        from sqlcipher3 import dbapi2
    except ImportError:
        raise DiagnosticError(
            Diagnostic(
                "store-cipher-missing",
                "the database is to be encrypted, and the package sqlcipher3 is not installed",
                fix="pip install 'outstation[cipher]'",
            ),
            NOT_ALLOWED,
        ) from None
    _join_errors(dbapi2)
    return dbapi2


def _join_errors(dbapi2: Any) -> None:
    """Let each of its errors be the one of sqlite3 of the same name as well: whoever catches one catches both."""
    for name in _ERRORS:
        ours = getattr(sqlite3, name)
        theirs = getattr(dbapi2, name)
        if not issubclass(theirs, ours):
            theirs.__bases__ = (*theirs.__bases__, ours)


def open_encrypted(path: Path, mode: str, key: Key | None, *, wait_s: float) -> sqlite3.Connection:
    """Return a connection to the file at path, as sqlite_door gives it. key: None: SQLCipher reads a plain one. Raises DiagnosticError (exit 4), sqlite3.Error."""
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = module().connect(
        uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False
    )
    try:
        for sql in (*_BEFORE, *([key.pragma()] if key else []), *_AFTER):
            connection.execute(sql)
    except BaseException:
        connection.close()
        raise
    return connection
