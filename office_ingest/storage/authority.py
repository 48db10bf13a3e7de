"""The office's own authority and what it said of gateways, in an SQLite file of its own that only its owner may read.

Apart from the database, because it holds the keys that make gateways: who may read what devices sent must not be able to invent a
gateway. Several processes use it at once: the service, and the commands. Each method is one transaction; state words are below.

    sites          those that a person made, before anything is there
    authorities    'next' is announced to gateways, 'current' issued the server's certificate, 'old' is still trusted, 'gone' is not
    gateways       way: 'office' (this office issues their certificates) or 'company'; revoked_ms: NULL while trusted
    invitations    of a code only its hash; public: the key that used it
    certificates   every one that was issued or registered; until_ms: not accepted any more from then on
    link_secrets   devices whose link secret a revoked gateway knew, until somebody gave them another one
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.errors import NotAnOfficeDatabase, StoreUnavailable, check_readable
from protocol import sqlite_file
from protocol.sqlite_door import WRITE, open_database

APPLICATION_ID = 0x4F555441
VERSION = 1
# A command waits this long for the service, and the service for a command.
_BUSY_MS = 5000
# Invitations that nobody used stay for people to see, and then go.
INVITATIONS_KEPT_MS = 30 * 86_400_000

NEXT, CURRENT, OLD, GONE = "next", "current", "old", "gone"
OFFICE, COMPANY = "office", "company"

_SCHEMA = """
CREATE TABLE authorities (number INTEGER PRIMARY KEY, certificate BLOB NOT NULL UNIQUE, key BLOB, state TEXT NOT NULL,
    changed_ms INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX authorities_one ON authorities (state) WHERE state IN ('next', 'current');
CREATE TABLE sites (name TEXT PRIMARY KEY, author TEXT NOT NULL, made_ms INTEGER NOT NULL) STRICT;
CREATE TABLE gateways (name TEXT PRIMARY KEY, site TEXT NOT NULL, way TEXT NOT NULL, revoked_ms INTEGER, reason TEXT NOT NULL,
    author TEXT NOT NULL, trusts TEXT NOT NULL) STRICT;
CREATE TABLE invitations (code_hash BLOB PRIMARY KEY, gateway TEXT NOT NULL, author TEXT NOT NULL, made_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, used_ms INTEGER, public BLOB, fingerprint BLOB) STRICT;
CREATE TABLE certificates (fingerprint BLOB PRIMARY KEY, gateway TEXT NOT NULL, raw BLOB NOT NULL, public BLOB NOT NULL,
    authority INTEGER, not_before_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, issued_ms INTEGER NOT NULL,
    first_used_ms INTEGER) STRICT;
CREATE INDEX certificates_gateway ON certificates (gateway, issued_ms);
CREATE TABLE link_secrets (device BLOB PRIMARY KEY, gateway TEXT NOT NULL, since_ms INTEGER NOT NULL) STRICT;
"""


class AuthorityRow(NamedTuple):
    """One certificate authority. certificate: DER; key: PKCS #8 in DER, None where it was thrown away."""

    number: int
    certificate: bytes
    key: bytes | None
    state: str
    changed_ms: int


class GatewayRow(NamedTuple):
    """One gateway that has, or is to have, a certificate. trusts: the mark of the authorities that it last said it trusts."""

    name: str
    site: str
    way: str
    revoked_ms: int | None
    reason: str
    author: str
    trusts: str


class Invitation(NamedTuple):
    """One code that was given out."""

    code_hash: bytes
    gateway: str
    author: str
    made_ms: int
    until_ms: int
    used_ms: int | None
    public: bytes | None
    fingerprint: bytes | None


class CertificateRow(NamedTuple):
    """One certificate of a gateway. public: SubjectPublicKeyInfo (DER); authority: number of ours, None: the company's."""

    fingerprint: bytes
    gateway: str
    raw: bytes
    public: bytes
    authority: int | None
    not_before_ms: int
    until_ms: int
    issued_ms: int
    first_used_ms: int | None


class AuthorityStore:
    """Reads and writes that file."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    @classmethod
    def create(cls, path: Path) -> "AuthorityStore":
        """Make a new, empty file with mode 0600. Raises FileExistsError if there is one."""
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(path)
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )
        return cls(connection)

    @classmethod
    def open(cls, path: Path) -> "AuthorityStore":
        """Open the file; one whose making was cut off is made anew. Raises NotAnOfficeDatabase, StoreUnavailable."""
        check_readable(path)
        try:
            connection = _connect(path)
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if (found, version) == (0, 0) and not connection.execute(
                "SELECT 1 FROM sqlite_master"
            ).fetchone():
                connection.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
                )
                return cls(connection)
        except sqlite_file.READ_ERRORS as error:
            raise NotAnOfficeDatabase(f"{path} is not an authority of an office: {error}") from None
        if (found, version) != (APPLICATION_ID, VERSION):
            connection.close()
            raise NotAnOfficeDatabase(f"{path} is not an authority of an office of version {VERSION}")
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make everything inside durable together. Raises StoreUnavailable if the disk, or another process, does not let us."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            raise StoreUnavailable(f"the authority did not take it: {error}") from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # authorities

    def authorities(self) -> list[AuthorityRow]:
        """Return every authority, the newest first."""
        rows = self._rows(
            "SELECT number, certificate, key, state, changed_ms FROM authorities ORDER BY number DESC"
        )
        return [AuthorityRow(*row) for row in rows]

    def add_authority(self, certificate: bytes, key: bytes | None, state: str, now_ms: int) -> int:
        """Keep a new authority and return its number. Within writing()."""
        sql = "INSERT INTO authorities (certificate, key, state, changed_ms) VALUES (?, ?, ?, ?) RETURNING number"
        return self._connection.execute(sql, (certificate, key, state, now_ms)).fetchone()[0]

    def set_state(self, number: int, state: str, now_ms: int) -> None:
        """Move an authority on; the key of one that is gone is forgotten. Within writing()."""
        sql = "UPDATE authorities SET state = ?, changed_ms = ?, key = CASE WHEN ? THEN NULL ELSE key END WHERE number = ?"
        self._connection.execute(sql, (state, now_ms, state in (OLD, GONE), number))

    # sites and gateways

    def add_site(self, name: str, author: str, now_ms: int) -> None:
        """Keep a site. Raises sqlite3.IntegrityError: it is there already."""
        with self.writing():
            self._connection.execute("INSERT INTO sites VALUES (?, ?, ?)", (name, author, now_ms))

    def sites(self) -> list[tuple[str, str, int]]:
        """Return (name, who made it, when in milliseconds) of each site, by its name."""
        return self._rows("SELECT name, author, made_ms FROM sites ORDER BY name")

    def gateway(self, name: str) -> GatewayRow | None:
        """Return one gateway, or None."""
        return next((row for row in self.gateways() if row.name == name), None)

    def gateways(self) -> list[GatewayRow]:
        """Return every gateway by its name."""
        rows = self._rows(
            "SELECT name, site, way, revoked_ms, reason, author, trusts FROM gateways ORDER BY name"
        )
        return [GatewayRow(*row) for row in rows]

    def put_gateway(self, row: GatewayRow) -> None:
        """Write a gateway, over what was known of it. Within writing()."""
        self._connection.execute("INSERT OR REPLACE INTO gateways VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def put_trusts(self, gateway: str, mark: str) -> None:
        """Keep which authorities a gateway says that it trusts."""
        with self.writing():
            self._connection.execute("UPDATE gateways SET trusts = ? WHERE name = ?", (mark, gateway))

    # invitations

    def add_invitation(self, code_hash: bytes, gateway: str, author: str, now_ms: int, until_ms: int) -> None:
        """Keep the hash of a new code; earlier codes for the gateway that nobody used end. Within writing()."""
        self._connection.execute(
            "DELETE FROM invitations WHERE until_ms < ?", (now_ms - INVITATIONS_KEPT_MS,)
        )
        self.end_invitations(gateway, now_ms)
        sql = "INSERT INTO invitations VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL)"
        self._connection.execute(sql, (code_hash, gateway, author, now_ms, until_ms))

    def end_invitations(self, gateway: str, now_ms: int) -> None:
        """Let no code for a gateway be used any more. Within writing()."""
        sql = "UPDATE invitations SET until_ms = min(until_ms, ?) WHERE gateway = ?"
        self._connection.execute(sql, (now_ms, gateway))

    def invitation(self, code_hash: bytes) -> Invitation | None:
        """Return the invitation of a code, or None."""
        row = self._row("SELECT * FROM invitations WHERE code_hash = ?", code_hash)
        return None if row is None else Invitation(*row)

    def invitations(self) -> list[Invitation]:
        """Return the invitations that are kept, the newest first."""
        rows = self._rows("SELECT * FROM invitations ORDER BY made_ms DESC, gateway")
        return [Invitation(*row) for row in rows]

    def use_invitation(self, code_hash: bytes, public: bytes, fingerprint: bytes, now_ms: int) -> bool:
        """Let a key use a code that none has used; return whether it could. Within writing()."""
        sql = "UPDATE invitations SET used_ms = ?, public = ?, fingerprint = ? WHERE code_hash = ? AND used_ms IS NULL"
        return self._connection.execute(sql, (now_ms, public, fingerprint, code_hash)).rowcount == 1

    # certificates

    def certificate(self, fingerprint: bytes) -> CertificateRow | None:
        """Return the certificate with this SHA-256, or None."""
        row = self._row("SELECT * FROM certificates WHERE fingerprint = ?", fingerprint)
        return None if row is None else CertificateRow(*row)

    def certificates(self, gateway: str) -> list[CertificateRow]:
        """Return the certificates of a gateway, the newest first."""
        sql = "SELECT * FROM certificates WHERE gateway = ? ORDER BY issued_ms DESC, not_before_ms DESC"
        return [CertificateRow(*row) for row in self._rows(sql, gateway)]

    def put_certificate(self, row: CertificateRow) -> None:
        """Write a certificate, over what was known of it. Within writing()."""
        self._connection.execute(
            "INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
        )

    # link secrets that a revoked gateway knew

    def put_link_secret(self, device: bytes, gateway: str, now_ms: int) -> None:
        """Mark the link secret of a device: somebody who is not trusted may know it. Within writing()."""
        self._connection.execute(
            "INSERT OR IGNORE INTO link_secrets VALUES (?, ?, ?)", (device, gateway, now_ms)
        )

    def link_secrets(self) -> list[tuple[bytes, str, int]]:
        """Return (device, gateway, since when in milliseconds) of each link secret that is to be replaced."""
        return self._rows("SELECT device, gateway, since_ms FROM link_secrets ORDER BY since_ms, device")

    def link_secret_replaced(self, device: bytes) -> bool:
        """Take a device from the list, once it has another link secret; return whether it was in it."""
        with self.writing():
            found = self._connection.execute("DELETE FROM link_secrets WHERE device = ?", (device,))
        return found.rowcount == 1

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: Any) -> Any:
        return self._connection.execute(sql, values).fetchone()


def _connect(path: Path) -> sqlite3.Connection:
    connection = open_database(path, WRITE)
    # A rollback journal: a reader of another process never needs to write; EXTRA as in the keystore: a used code must stay used.
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection
