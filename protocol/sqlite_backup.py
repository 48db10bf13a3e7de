"""Hosts only: copies a database of gateway or office while it is in use, as it is at one moment, encrypted with the key that it has.

Pages go from one connection to another (SQLite's online backup), never through a plain file. A copy has its name only once it was read
back whole and is durable: a cut leaves none, or one beside the name that the next copy writes over.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.sqlite_door import READ, open_database
from protocol.sqlite_file import structure
from protocol.sqlite_key import MAGIC, Key, beginning, key_of, sync_folder

_SUFFIX = ".copying"
_WAIT_S = 5.0


def back_up(database: Path, target: Path) -> int:
    """Make target a copy of the database at path, mode 0600, and return its bytes.

    Raises DiagnosticError: target is there already (exit 2), the key is not to be had (exit 4), or the disk does not take or give it:
    there is no target then.
    """
    key, made = key_of(database), target.with_name(target.name + _SUFFIX)
    _refuse_other(target)
    _remove(made)
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(database, made, key)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.rename(target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        said = f"the copy could not be made: {error}"
        fix = "see that the disk has room; if the database is damaged, let it be repaired first"
        raise DiagnosticError(Diagnostic("file-unusable", said, str(database), fix=fix)) from None
    finally:
        _remove(made)
    return target.stat().st_size


def _refuse_other(target: Path) -> None:
    if target.exists():
        fix = "name a folder without copies"
        said = Diagnostic("store-copy-exists", "a copy is there already", str(target), fix=fix)
        raise DiagnosticError(said, USAGE)


def _copy(database: Path, made: Path, key: Key | None) -> None:
    with (
        contextlib.closing(open_database(database, READ)) as source,
        contextlib.closing(_open(made, key)) as copy,
    ):
        # All pages in one step: writers wait for it, or with a log do not, and none of them makes it begin anew.
        source.backup(copy)
        # One file, which can be read from where nothing can be written.
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
    if key is not None and beginning(made) == MAGIC:
        raise sqlite3.DatabaseError("it is not encrypted")
    with contextlib.closing(_open(made, key)) as again:
        wrong = structure(again)
    if wrong:
        raise sqlite3.DatabaseError(wrong[0])


def _open(path: Path, key: Key | None) -> sqlite3.Connection:
    if key is None:
        return sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
    from protocol.sqlite_cipher import open_encrypted

    return open_encrypted(path, "rw", key, wait_s=_WAIT_S)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
