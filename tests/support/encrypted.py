"""Lets stores be encrypted for a while: every database that is made in a folder, and whatever a test itself opens there."""

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from protocol import sqlite_door, sqlite_key
from protocol.passphrase import FILE, Source
from protocol.sqlite_settle import settle

PASSPHRASE = "correct horse battery staple"


def passphrase_file(path, text=PASSPHRASE):
    """Write a passphrase where only its owner reads it, and return its Source."""
    path.write_text(text + "\n")
    path.chmod(0o600)
    return Source(FILE, str(path))


def forget():
    """Let this process know no key any more, as one that has just started."""
    sqlite_key._shown.clear()
    sqlite_key._known.clear()


@contextlib.contextmanager
def encrypted(folder):
    """While inside, databases below folder are made encrypted, and sqlite3.connect opens them so."""
    folder = folder.resolve()
    source = passphrase_file(folder / "passphrase")
    true_key_of, true_connect = sqlite_door.key_of_real, sqlite3.connect

    def key_of(path, *, make=False):
        database = sqlite_key.owner(path)
        if folder in database.parents and not sqlite_key.read_entries(database):
            if not sqlite_key.beginning(database):
                settle(database, source)
        return true_key_of(path, make=make)

    def connect(path, *arguments, **options):
        there = Path(unquote(urlsplit(str(path)).path)) if str(path).startswith("file:") else Path(path)
        if folder in there.resolve().parents and sqlite_key.key_of(there):
            return sqlite_door.open_database(there, sqlite_door.MAKE)
        return true_connect(path, *arguments, **options)

    sqlite_door.key_of_real, sqlite3.connect = key_of, connect
    try:
        yield source
    finally:
        sqlite_door.key_of_real, sqlite3.connect = true_key_of, true_connect


def is_plain(path):
    """Return whether a file begins as SQLite's do."""
    return sqlite_key.beginning(Path(os.fspath(path))) == sqlite_key.MAGIC
