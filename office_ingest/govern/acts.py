"""Who did what: rows that are added and never changed. What changes something is written down before it is done, and again when it ended."""

import sqlite3
from typing import Any, NamedTuple

from office_ingest.permissions import Permission
from office_ingest.storage.sqlite import SqliteStore

BEGUN = "begun"
DONE = "done"
REFUSED = "refused"
COMMAND_LINE = "command"
HTTP = "http"
PAGE = "page"
ABOUT_CHARACTERS_MAX = 200
# Refusals that repeat themselves are written once in this time: who is refused must not be able to fill the disk.
REPEAT_MS = 60_000
_REMEMBERED_MAX = 1024


class Person(NamedTuple):
    """Who acts: a user of this machine, or the label of a token; with the role and the sites that it is limited to, () for all."""

    name: str
    role: str
    sites: tuple[str, ...] = ()


NOBODY = Person("nobody known", "none")


class Acts:
    """The table of one office."""

    def __init__(self, store: SqliteStore):
        self._store = store
        self._refused: dict[tuple[Person, str, Permission], int] = {}

    def add(
        self, person: Person, way: str, permission: Permission, outcome: str, now_ms: int, about: str = ""
    ) -> None:
        """Add a row, durable on return. Raises StoreUnavailable."""
        with self._store.transaction():
            newest = self._store.connection.execute("SELECT coalesce(max(number), 0) FROM acts").fetchone()[0]
            said = about[:ABOUT_CHARACTERS_MAX]
            self._store.put(
                "acts", newest + 1, now_ms, person.name, person.role, way, *permission, said, outcome
            )

    def add_refusal(
        self, person: Person, way: str, permission: Permission, now_ms: int, about: str = ""
    ) -> None:
        """Add a refused attempt, but not the same again within REPEAT_MS. Raises StoreUnavailable."""
        key = person, way, permission
        if now_ms - self._refused.get(key, now_ms - REPEAT_MS) < REPEAT_MS:
            return
        if len(self._refused) >= _REMEMBERED_MAX:
            self._refused.clear()
        self._refused[key] = now_ms
        self.add(person, way, permission, REFUSED, now_ms, about)


def acts_overview(connection: sqlite3.Connection, most: int) -> list[dict[str, Any]]:
    """Return the newest acts, the newest first."""
    names = ("number", "at_ms", "who", "role", "way", "verb", "resource", "about", "outcome")
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM acts ORDER BY number DESC LIMIT ?",  # noqa: S608 - names above
        (most,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
