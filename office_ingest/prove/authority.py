"""What in an office's authority.db does not agree with itself, or with the database beside it. Opened for reading only.

Certificates repeat themselves: each has its digest and its key beside it, so a changed bit of one is found. Moments (until when a certificate
is taken, when a gateway was revoked) are repeated nowhere; of revocations the office's database keeps the names.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from office_ingest.certificates import load_private, public_bytes
from office_ingest.errors import NotAnOfficeDatabase, check_readable
from office_ingest.prove.report import Report
from office_ingest.receive.registry import GATEWAY_REVOKED
from office_ingest.storage.authority import APPLICATION_ID, GONE, OLD, VERSION
from protocol.sqlite_door import READ, open_database
from protocol.sqlite_file import READ_ERRORS

_TABLE = "authority"


def check_authority(path: Path, database: sqlite3.Connection, report: Report) -> None:
    """Add to a report what is wrong with the authority at path. Raises NotAnOfficeDatabase: it is another file."""
    if not path.is_file():
        raise NotAnOfficeDatabase(f"{path} is not a file")
    check_readable(path)
    with contextlib.closing(open_database(path, READ)) as connection:
        _refuse_other(connection, path)
        try:
            for where, what in _walk(connection, database):
                report.find(_TABLE, where, what)
            rows = connection.execute("SELECT count(*) FROM certificates").fetchone()[0]
            report.count("gateway_certificates", rows)
        except READ_ERRORS as error:
            report.find(_TABLE, "", f"it cannot be read to the end: {error}")


def _refuse_other(connection: sqlite3.Connection, path: Path) -> None:
    try:
        names = ("application_id", "user_version")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    except READ_ERRORS as error:
        raise NotAnOfficeDatabase(f"{path} is not an authority of an office: {error}") from None
    if found != [APPLICATION_ID, VERSION]:
        raise NotAnOfficeDatabase(f"{path} is not an authority of an office of version {VERSION}")


def _walk(connection: sqlite3.Connection, database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield "", f"SQLite says: {line}"
    for number, certificate, key, state in connection.execute(
        "SELECT number, certificate, key, state FROM authorities ORDER BY number"
    ):
        wrong = _wrong_authority(certificate, key, state)
        if wrong:
            yield f"authority {number}", wrong
    yield from _certificates(connection)
    yield from _forgotten(connection, database)


def _wrong_authority(certificate: bytes, key: bytes | None, state: str) -> str:
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
        if key is not None and public_bytes(load_private(key).public_key()) != public_bytes(public):  # type: ignore[arg-type]
            return "its key is not the one of its certificate"
    except (ValueError, TypeError):
        return "its certificate or its key cannot be read"
    return "its key should have been forgotten" if key is not None and state in (OLD, GONE) else ""


def _certificates(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    names = {name for (name,) in connection.execute("SELECT name FROM gateways")}
    rows = connection.execute("SELECT fingerprint, gateway, raw, public FROM certificates ORDER BY issued_ms")
    for fingerprint, gateway, raw, public in rows:
        where = f"certificate of gateway {gateway}"
        if hashlib.sha256(raw).digest() != fingerprint:
            yield where, "raw bytes and digest do not belong together"
            continue
        try:
            is_its_key = public_bytes(x509.load_der_x509_certificate(raw).public_key()) == public  # type: ignore[arg-type]
        except (ValueError, TypeError):
            yield where, "it cannot be read"
            continue
        if not is_its_key:
            yield where, "the key beside it is another one"
        if gateway not in names:
            yield where, "there is no such gateway"


def _forgotten(connection: sqlite3.Connection, database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    revoked = {
        name for (name,) in connection.execute("SELECT name FROM gateways WHERE revoked_ms IS NOT NULL")
    }
    rows = database.execute("SELECT place FROM findings WHERE kind = ? ORDER BY place", (GATEWAY_REVOKED,))
    for (name,) in rows:
        if name not in revoked:
            yield f"gateway {name}", "the database says that it was revoked: this authority is an older copy"
    taken = dict(connection.execute("SELECT fingerprint, until_ms FROM certificates").fetchall())
    for (certificate,) in connection.execute("SELECT certificate FROM authorities WHERE state <> ?", (GONE,)):
        # Until an end that is never reached: whether one is trusted is no question of time.
        taken[hashlib.sha256(certificate).digest()] = 1 << 62
    ended = database.execute(
        "SELECT fingerprint, gateway, until_ms FROM ended_certificates ORDER BY gateway, until_ms"
    )
    for digest, name, until_ms in ended:
        if taken.get(digest, 0) > until_ms:
            what = f"certificate of gateway {name}" if name else "authority"
            yield what, "the database says that it ended: this authority is an older copy"
