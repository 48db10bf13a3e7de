"""Whether a file is a gateway's store at all: settings can name somebody else's database by mistake, and that must stay as it is.

A store says so itself, by its application_id (schema step 0004). One of an older step is known by its tables. So is one whose own
word or list of tables is damaged: half of the first step's tables are enough, and no other program of ours has as many of them.
"""

import contextlib
import sqlite3
from pathlib import Path

from protocol.sqlite_door import READ, open_database
from protocol.sqlite_file import READ_ERRORS
from protocol.sqlite_key import begins_as_ours

# "OUTG", as schema/0004_identity.sql sets it.
APPLICATION_ID = 0x4F555447

# Of the first step, with the list of steps itself.
_TABLES = frozenset(
    ("migrations", "segments", "lanes", "lost", "forks", "devices", "heartbeat_queue", "sessions", "health")
)
_STEPS_COLUMNS = ["name", "applied_ms"]


class NotAStore(sqlite3.DatabaseError):
    """The file is something else, whole or not; nothing of it was changed. Who must act: who wrote the settings."""


def is_stranger(connection: sqlite3.Connection) -> bool:
    """Return whether a database is another program's. One without tables is nobody's yet. Raises READ_ERRORS: it cannot be read."""
    (said,) = connection.execute("PRAGMA application_id").fetchone()
    tables = table_names(connection)
    if said == APPLICATION_ID or 2 * len(tables & _TABLES) >= len(_TABLES):
        return False
    if said != 0:
        return True
    # Other programs have a table of this name too; a store whose first start was cut has nothing else.
    columns = [row[1] for row in connection.execute("PRAGMA table_info(migrations)")]
    return bool(tables) and columns != _STEPS_COLUMNS


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the tables of a database, without SQLite's own. Raises READ_ERRORS: they cannot be read."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    # A name can be of another kind in a damaged file.
    return {name for (name,) in rows if isinstance(name, str) and not name.startswith("sqlite_")}


def refuse_stranger(connection: sqlite3.Connection) -> None:
    """Return if a database is a gateway's, or nobody's yet. Raises NotAStore, or READ_ERRORS: it cannot be read."""
    if is_stranger(connection):
        raise NotAStore("it is the database of another program")


def refuse_strangers_file(path: Path) -> None:
    """Raise NotAStore if the database at path is another program's. What cannot be looked into passes: opening it says why.

    Read only: closing what was opened to write would put a stranger's log into its database.
    """
    found = False
    with contextlib.suppress(*READ_ERRORS), contextlib.closing(open_database(path, READ)) as connection:
        found = is_stranger(connection)
    if found:
        raise NotAStore("it is the database of another program")


def refuse_other_beginning(path: Path) -> None:
    """Raise NotAStore for a file that SQLite cannot read and that does not begin as a damaged database would, plain or encrypted."""
    if not begins_as_ours(path):
        raise NotAStore("file is not a database")
