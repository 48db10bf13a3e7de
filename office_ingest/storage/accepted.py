"""The gaps that a person accepted, as they are read: by the store, and by the auditor, who has no store.

A row that is not as it was written excuses nothing: its numbers could be others than those that somebody accepted.
"""

import sqlite3

from office_ingest.storage.interface import Place
from office_ingest.storage.rows import COLUMNS, is_as_written

TABLE = "accepted_gaps"
_NAMES = COLUMNS[TABLE]
_READ = (
    f"SELECT {', '.join(_NAMES)}, row_digest FROM {TABLE}"  # noqa: S608 - names are ours
    " WHERE device = ? AND lane = ? AND epoch = ? ORDER BY start"
)
_START, _STOP = _NAMES.index("start"), _NAMES.index("stop")


def accepted_ranges(connection: sqlite3.Connection, place: Place) -> list[tuple[int, int]]:
    """Return the half-open ranges that were accepted of a lane and epoch, lowest first."""
    rows = connection.execute(_READ, place)
    return [(row[_START], row[_STOP]) for row in rows if is_as_written(row[:-1], row[-1])]
