"""Hosts only: sees to it that a database is encrypted as the settings want, before it is opened."""

import contextlib
import sqlite3
from pathlib import Path

from protocol.diagnostic import NOT_ALLOWED, Diagnostic, DiagnosticError
from protocol.passphrase import Source, read_passphrase
from protocol.sqlite_cipher import module, open_encrypted
from protocol.sqlite_door import READ
from protocol.sqlite_key import (
    MAGIC,
    SALT_BYTES,
    Entry,
    beginning,
    derive,
    is_alike,
    nearest,
    new_entry,
    read_entries,
    show,
    still_needed,
    unlock,
    write_entries,
    wrong_passphrase,
)

_WAIT_S = 5.0


def settle(database: Path, source: Source | None) -> None:
    """See to it before the database is opened that it is encrypted as the settings want: a new one will be.

    source: where the passphrase is; None: what the file itself says goes. Raises DiagnosticError (exit 4): it is there in plain, or has
    another passphrase. Nothing was changed then.
    """
    if source is None:
        return
    # Said before anything is written for a database that nothing here could open.
    module()
    database = database.resolve()
    begins = beginning(database) or beginning(database.with_name(database.name + ".repaired"))
    entries = read_entries(database)
    if begins and is_alike(MAGIC, begins):
        raise DiagnosticError(_plain(database), NOT_ALLOWED)
    if not begins:
        write_entries(database, [*still_needed(database, entries), new_entry(source)[0]])
        return
    if not entries:
        write_entries(database, [_found(database, begins, source)])
        return
    entry = nearest(entries, begins)
    unlock(database, entry, source)
    if entry.source != source:
        # The passphrase was put elsewhere.
        moved = [one._replace(source=source) if one == entry else one for one in entries]
        write_entries(database, moved)


def show_passphrase(database: Path, source: Source) -> None:
    """Let this process open the database at path with the passphrase at source, whatever lies beside it. Nothing is written.

    Raises DiagnosticError (exit 4): it is not this passphrase. A plain database, or none, needs it not.
    """
    database = database.resolve()
    begins, entries = beginning(database), read_entries(database)
    if begins and not is_alike(MAGIC, begins):
        module()
        entry = nearest(entries, begins) if entries else _found(database, begins, source)
        show(database, unlock(database, entry, source))


def _found(database: Path, begins: bytes, source: Source) -> Entry:
    """Return the entry of an encrypted database that lost its own. Raises DiagnosticError (exit 4): not with this passphrase."""
    key, check = derive(read_passphrase(source), begins)
    try:
        if len(begins) != SALT_BYTES:
            raise sqlite3.DatabaseError("it is too short")
        with contextlib.closing(open_encrypted(database, READ, key, wait_s=_WAIT_S)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        raise DiagnosticError(wrong_passphrase(database, source), NOT_ALLOWED) from None
    return Entry(begins, check, source)


def _plain(database: Path) -> Diagnostic:
    return Diagnostic(
        "store-plain",
        "the settings want this database encrypted, and it is not",
        str(database),
        fix="run once: outstation gateway store encrypt, or outstation office store encrypt",
    )
