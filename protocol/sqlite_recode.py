"""Hosts only: encrypts a database of gateway or office, decrypts it, or gives it another key; and what the settings want of one.

A whole new file is made beside it, compared row by row, made durable, and takes its name in one step: a cut before leaves the old file,
one after it the new one. FILE.cipher names both keys meanwhile, and the file's beginning says which of them it has (`sqlite_key`).
Nobody else may have the database open.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from protocol.diagnostic import TRY_AGAIN, Diagnostic, DiagnosticError
from protocol.passphrase import Source
from protocol.sqlite_cipher import open_encrypted
from protocol.sqlite_door import MAKE, WRITE
from protocol.sqlite_key import (
    MAGIC,
    Key,
    beginning,
    family,
    forget,
    is_alike,
    key_of,
    new_entry,
    read_entries,
    still_needed,
    sync_folder,
    write_entries,
)

Step = Callable[[str], None]

_WAIT_S = 5.0
_SUFFIX = ".recoding"


def is_encrypted(database: Path) -> bool:
    """Return whether the database at path is encrypted now. Raises DiagnosticError as key_of."""
    return bool(beginning(database)) and key_of(database) is not None


def recode(database: Path, source: Source | None, step: Step = lambda name: None) -> int:
    """Give the database the passphrase at source, or none: then it is plain; return how many rows it has. step: named points, for tests.

    Raises DiagnosticError: its present key is not to be had (exit 4), another process has it open (exit 75); OSError or sqlite3.Error:
    the disk. The database is then as it was.
    """
    database = database.resolve()
    before, old = read_entries(database), key_of(database)
    entry, key = new_entry(source) if source else (None, None)
    after = [entry] if entry else []
    made = database.with_name(database.name + _SUFFIX)
    _remove(made)
    if entry:
        write_entries(database, [*before, entry])
    step("told")
    with contextlib.closing(_alone(database, old)) as connection:
        try:
            rows = _copy(connection, made, key)
            os.chmod(made, database.stat().st_mode & 0o777)
            _sync(made)
            step("made")
            made.replace(database)
        except BaseException:
            _remove(made)
            raise
    sync_folder(database.parent)
    step("named")
    write_entries(database, [*still_needed(database, before), *after])
    forget(database)
    step("done")
    return rows


def _alone(database: Path, key: Key | None) -> sqlite3.Connection:
    """Return a connection to the whole database in one file, without a log, which nobody else can write to."""
    connection = open_encrypted(database, WRITE, key, wait_s=_WAIT_S)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        # Refused, or not done, while any other connection has the log.
        mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        if mode != "delete":
            raise sqlite3.OperationalError(f"its journal mode stays {mode}")
    except sqlite3.OperationalError as error:
        connection.close()
        said = Diagnostic(
            "store-in-use",
            f"another process has the database open: {error}",
            str(database),
            fix="end it first, commands that only read too",
        )
        raise DiagnosticError(said, TRY_AGAIN) from None
    return connection


def _copy(connection: sqlite3.Connection, made: Path, key: Key | None) -> int:
    """Make the new file and return its rows, which were compared with the old one's. Raises sqlite3.Error, OSError."""
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    words = f"x'{key.key.hex()}{key.salt.hex()}'" if key else ""
    connection.execute("ATTACH DATABASE ? AS made KEY ?", (str(made), words))
    connection.execute("SELECT sqlcipher_export('made')").fetchone()
    for name in ("application_id", "user_version"):
        (value,) = connection.execute(f"PRAGMA main.{name}").fetchone()
        connection.execute(f"PRAGMA made.{name} = {value:d}")
    ours, (rows, digest) = contents(connection, "main"), contents(connection, "made")
    # No plain DETACH: the file is read again through a connection of its own, from the disk.
    connection.execute("DETACH DATABASE made")
    with contextlib.closing(open_encrypted(made, MAKE, key, wait_s=_WAIT_S)) as again:
        verdict = again.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok" or not ours == (rows, digest) == contents(again, "main"):
            raise sqlite3.DatabaseError(f"the new file is not what the old one is: {verdict}")
    return rows


def contents(connection: sqlite3.Connection, name: str) -> tuple[int, bytes]:
    """Return how many rows an attached database has and a digest of its schema and all of them, in order."""
    digest = hashlib.sha256()
    count = 0
    schema = connection.execute(
        f"SELECT type, name, tbl_name, sql FROM {name}.sqlite_master ORDER BY type, name"  # noqa: S608 - ours
    ).fetchall()
    digest.update(repr(schema).encode())
    for kind, table, _, sql in schema:
        if kind != "table":
            continue
        digest.update(repr(table).encode())
        order = "" if "WITHOUT ROWID" in (sql or "").upper() else "rowid, "
        quoted = table.replace('"', '""')
        for row in connection.execute(f'SELECT {order}* FROM {name}."{quoted}"'):  # noqa: S608 - quoted
            digest.update(repr(row).encode())
            count += 1
    for word in ("application_id", "user_version"):
        digest.update(repr(connection.execute(f"PRAGMA {name}.{word}").fetchone()).encode())
    return count, digest.digest()


def left_plain(database: Path) -> list[Path]:
    """Return the files beside a database that hold what it held, and are not encrypted."""
    return sorted(one for one in family(database) if is_alike(MAGIC, beginning(one)))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
