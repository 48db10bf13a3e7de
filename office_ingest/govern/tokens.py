"""API tokens of people and machines: shown once, kept as a hash, with a role, an end, and the sites they are limited to.

A token is `ot_` + identity + `_` + 256 random bits, so that one in the wrong place is found by its beginning. It is random and
long: a plain SHA-256 is enough (as of a gateway's token).
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
from typing import Any, NamedTuple

from office_ingest.govern.acts import Person
from office_ingest.permissions import ROLES
from office_ingest.storage.rows import COLUMNS, is_as_written
from office_ingest.storage.sqlite import SqliteStore

PREFIX = "ot"
_ID_BYTES = 4
_SECRET_BYTES = 32
_TOKEN_CHARACTERS_MAX = 128
# When it was used last is kept to a minute: one row written a minute is little, one a request is not.
USED_EVERY_MS = 60_000
DAY_MS = 86_400_000
DAYS_MAX = 366
_NAMES = COLUMNS["tokens"]


class TokenRefused(Exception):
    """Nobody may act with this token. The text may be told to who showed it. Who must act: who runs the office, with a new one."""


class Token(NamedTuple):
    """What is kept of a token; times in ms since 1970, None for never."""

    id: str
    label: str
    role: str
    token_hash: bytes
    sites: str
    made_by: str
    made_ms: int
    expires_ms: int
    revoked_ms: int | None
    used_ms: int | None

    def person(self) -> Person:
        """Return who acts with it."""
        return Person(f"token {self.id} ({self.label})", self.role, tuple(json.loads(self.sites)))

    def state(self, now_ms: int) -> str:
        """Return `good`, `revoked` or `expired`."""
        if self.revoked_ms is not None:
            return "revoked"
        return "good" if now_ms < self.expires_ms else "expired"


def holder(connection: sqlite3.Connection, shown: str, now_ms: int) -> Token:
    """Return the token that was shown. Raises TokenRefused: unknown, expired, revoked, or a row that is not as it was written."""
    found = _find(connection, shown)
    if found is None or not hmac.compare_digest(found.token_hash, token_hash(shown)):
        raise TokenRefused("no such token")
    return _good(found, now_ms)


def of_identity(connection: sqlite3.Connection, identity: str, now_ms: int) -> Token:
    """Return the token of an identity, whose holder has shown it before. Raises as holder."""
    found = _row(connection, identity)
    if found is None:
        raise TokenRefused("no such token")
    return _good(found, now_ms)


def _good(found: Token, now_ms: int) -> Token:
    state = found.state(now_ms)
    if state != "good":
        raise TokenRefused(f"this token is {state}")
    if found.role not in ROLES:
        raise TokenRefused(f"this token has a role that this office does not know ({found.role})")
    return found


def _find(connection: sqlite3.Connection, shown: str) -> Token | None:
    parts = shown.split("_", 2)
    if len(shown) > _TOKEN_CHARACTERS_MAX or len(parts) != 3 or parts[0] != PREFIX:
        return None
    return _row(connection, parts[1])


def _row(connection: sqlite3.Connection, identity: str) -> Token | None:
    row = connection.execute(
        f"SELECT {', '.join(_NAMES)}, row_digest FROM tokens WHERE id = ?",  # noqa: S608 - names are ours
        (identity,),
    ).fetchone()
    return Token(*row[:-1]) if row is not None and is_as_written(row[:-1], row[-1]) else None


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def all_tokens(connection: sqlite3.Connection) -> list[Token]:
    """Return every token that was ever made, the newest first."""
    rows = connection.execute(
        f"SELECT {', '.join(_NAMES)} FROM tokens ORDER BY made_ms DESC, id"  # noqa: S608 - names are ours
    )
    return [Token(*row) for row in rows]


def token_as_json(token: Token, now_ms: int) -> dict[str, Any]:
    """Return what may be said of a token: nothing that it could be made from."""
    said = token._asdict()
    del said["token_hash"]
    return {**said, "sites": json.loads(token.sites), "state": token.state(now_ms)}


class Tokens:
    """Writes the table; each change is one transaction. Raises StoreUnavailable."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def create(
        self, *, label: str, role: str, sites: list[str], made_by: str, now_ms: int, days: int
    ) -> tuple[str, Token]:
        """Return a new token, which can be shown now and never again, and what is kept of it."""
        assert role in ROLES and 0 < days <= DAYS_MAX
        identity = secrets.token_hex(_ID_BYTES)
        shown = f"{PREFIX}_{identity}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        limits = json.dumps(sorted(set(sites)), ensure_ascii=False)
        until = now_ms + days * DAY_MS
        made = Token(identity, label, role, token_hash(shown), limits, made_by, now_ms, until, None, None)
        with self._store.transaction():
            self._store.put("tokens", *made)
        return shown, made

    def revoke(self, identity: str, now_ms: int) -> Token | None:
        """Make a token useless from now on; None if there is none of this identity. One that is revoked stays as it is."""
        with self._store.transaction():
            found = next((one for one in all_tokens(self._store.connection) if one.id == identity), None)
            if found is not None and found.revoked_ms is None:
                found = found._replace(revoked_ms=now_ms)
                self._store.put("tokens", *found)
        return found

    def note_use(self, identity: str, now_ms: int) -> None:
        """Keep that a token was used, once a minute."""
        with self._store.transaction():
            # Read again inside: a revocation by another process must not be written over.
            found = next((one for one in all_tokens(self._store.connection) if one.id == identity), None)
            if found is not None and now_ms - (found.used_ms or 0) >= USED_EVERY_MS:
                self._store.put("tokens", *found._replace(used_ms=now_ms))
