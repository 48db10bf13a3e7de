"""Who asks over HTTP with a token, and whether that may do what it asks. Everything here runs in the office's worker thread."""

from collections.abc import Callable

from office_ingest.govern.acts import HTTP, NOBODY, Acts, Person
from office_ingest.govern.tokens import USED_EVERY_MS, Token, TokenRefused, Tokens, holder
from office_ingest.permissions import Permission, lacks
from office_ingest.storage.sqlite import SqliteStore


class NotPermitted(Exception):
    """Who asks is known and may not. Who must act: who gives roles."""

    def __init__(self, person: Person, missing: Permission):
        super().__init__(f"{person.name} has the role {person.role}, which may not {missing.words()}")
        self.missing = missing


class People:
    """store: the office's; wall_ms: its clock."""

    def __init__(self, store: SqliteStore, wall_ms: Callable[[], int]):
        self._store = store
        self._wall_ms = wall_ms
        self._acts = Acts(store)
        self._tokens = Tokens(store)

    def enter(self, shown: str, permissions: tuple[Permission, ...], way: str = HTTP) -> Person:
        """Return who shows this token, if he has all the permissions.

        Raises TokenRefused, NotPermitted: both are written down. StoreUnavailable.
        """
        now_ms = self._wall_ms()
        try:
            token = holder(self._store.connection, shown, now_ms)
        except TokenRefused:
            self._acts.add_refusal(NOBODY, way, permissions[0], now_ms)
            raise
        person = token.person()
        missing = lacks(person.role, permissions)
        if missing is not None:
            self.refuse(person, missing, way)
            raise NotPermitted(person, missing)
        self.note_use(token)
        return person

    def refuse(self, person: Person, missing: Permission, way: str) -> None:
        """Write down that somebody was refused. Raises StoreUnavailable."""
        self._acts.add_refusal(person, way, missing, self._wall_ms())

    def note_use(self, token: Token) -> None:
        """Keep that a token was used, once a minute. Raises StoreUnavailable."""
        now_ms = self._wall_ms()
        if now_ms - (token.used_ms or 0) >= USED_EVERY_MS:
            self._tokens.note_use(token.id, now_ms)
