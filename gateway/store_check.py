"""Says what in a store is not what was written: bits that flipped on the disk, pages that cannot be read.

Found for certain: any change of a segment, of its place, or of what a receipt, a release, a part, a command or a session's
sequence says. SQLite's integrity_check compares each row's place and digest with the index, which repeats both; a digest covers
each segment's bytes; the rest says its own place or has a sum. Not covered are numbers that only spare traffic (`kept_from`,
`lost`, `forks`, `wanted`): wrong ones are put right by the office's wants, its next answer, or the next heartbeat.

Mended by `store_repair`. Reads only.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gateway.store_identity import APPLICATION_ID, table_names
from gateway.store_links import load_links
from gateway.store_readings import COLUMNS as READINGS
from gateway.store_readings import is_reading, is_view
from gateway.store_usage import COLUMNS as USAGE
from gateway.store_witness import COLUMNS as WITNESS
from gateway.store_witness import is_witness
from protocol.command import parse_command
from protocol.errors import ProtocolError
from protocol.manifest import parse_release
from protocol.messages import parse_heartbeat, parse_receipt
from protocol.sqlite_door import READ, open_database
from protocol.sqlite_file import gather, structure

SESSION_SUM_BYTES = 8
IDENTITY_BYTES = 8
# Steps of SQLite between two looks at whether the gateway is about to end.
_STEPS_MAX = 10_000


class Damage(NamedTuple):
    """One thing that is not as it was written. table: "database" where pages themselves are damaged; place: for people."""

    table: str
    place: str
    text: str


def check_store(connection: sqlite3.Connection) -> list[Damage]:
    """Return what is damaged in a store, at most DAMAGES_MAX. Raises sqlite3.Error: the disk's own errors.

    Some seconds for each gigabyte. connection: may be read-only; nothing is written. Tables that an older version has not
    made yet are left out.
    """
    return gather(connection, _damages, lambda text: Damage("database", "", text))


def _damages(connection: sqlite3.Connection) -> Iterator[Damage]:
    for text in structure(connection):
        yield Damage("database", "", text)
    if not table_names(connection) and connection.execute("PRAGMA page_count").fetchone()[0] <= 1:
        # A first start that was cut; where a damaged file lost its list of tables, there are more pages.
        return
    steps = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    for step, checks in _CHECKS:
        for check in checks if step in steps else ():
            yield from check(connection)


def check_file(path: Path, is_ending: Callable[[], bool] | None = None) -> list[Damage]:
    """Return what is damaged in the store at path, which a gateway may be using meanwhile. Raises sqlite3.Error.

    is_ending: asked now and then whether to stop, which is one of those errors.
    """
    with contextlib.closing(open_database(path, READ)) as connection:
        connection.set_progress_handler(is_ending, _STEPS_MAX)
        return check_store(connection)


def session_sum(device: bytes, context: bytes, state: str, reserved: int) -> bytes:
    """Return what covers one row of sessions: a sequence that went back by itself would be used twice."""
    text = b"%s %s %s %d" % (device.hex().encode(), context.hex().encode(), state.encode(), reserved)
    return hashlib.sha256(text).digest()[:SESSION_SUM_BYTES]


def _segments(connection: sqlite3.Connection) -> Iterator[Damage]:
    # Place and digest were compared with the index above; here the bytes with the digest.
    rows = connection.execute(
        "SELECT device, lane, epoch, number, digest, raw FROM segments WHERE raw IS NOT NULL"
    )
    for *place, digest, raw in rows:
        if not isinstance(raw, bytes) or hashlib.sha256(raw).digest() != digest:
            yield Damage("segments", _place(*place), "raw bytes and digest do not belong together")


def _lanes(connection: sqlite3.Connection) -> Iterator[Damage]:
    rows = connection.execute("SELECT device, lane, epoch, receipted, digest, receipt FROM lanes")
    for device, lane, epoch, receipted, digest, receipt in rows:
        if not is_receipt_of(receipt, device, lane, epoch, receipted=receipted, digest=digest):
            yield Damage("lanes", _place(device, lane, epoch, receipted), "it is not what its receipt says")


def is_receipt_of(raw: Any, device: Any, lane: Any, epoch: Any, *, receipted: Any, digest: Any) -> bool:
    """Return whether a row of lanes agrees with its receipt, or has none and claims nothing."""
    if raw is None:
        return receipted == 0 and digest is None
    fields = _parsed(parse_receipt, raw)
    if fields is None:
        return False
    said = (fields.device, fields.lane, fields.epoch, fields.number + 1, fields.digest)
    return said == (device, lane, epoch, receipted, digest)


def _heartbeats(connection: sqlite3.Connection) -> Iterator[Damage]:
    for table, column in (("devices", "heartbeat"), ("heartbeat_queue", "raw")):
        sql = f"SELECT device, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - names above
        for device, raw in connection.execute(sql):
            if not is_heartbeat_of(raw, device):
                yield Damage(table, _device(device), "raw bytes are no heartbeat of this device")


def is_heartbeat_of(raw: Any, device: Any) -> bool:
    """Return whether these bytes are a heartbeat of the device; its seal only the office can check."""
    fields = _parsed(parse_heartbeat, raw)
    return fields is not None and fields.device == device


def _down(connection: sqlite3.Connection) -> Iterator[Damage]:
    for number, raw in connection.execute("SELECT number, raw FROM releases"):
        if not is_release(raw, number):
            yield Damage("releases", f"release {number}", "raw bytes are not this release")
    for digest, body in connection.execute("SELECT digest, body FROM parts"):
        if not is_part(body, digest):
            yield Damage("parts", _device(digest), "the body does not have this digest")
    for device, number, raw in connection.execute("SELECT device, number, raw FROM commands"):
        if not is_command_of(raw, device, number):
            yield Damage("commands", f"{_device(device)} command {number}", "raw bytes are not this command")


def is_release(raw: Any, number: Any) -> bool:
    """Return whether these bytes are the release of this number; whether it is genuine, devices find out."""
    try:
        return isinstance(raw, bytes) and parse_release(raw).manifest.number == number
    except ProtocolError:
        return False


def is_part(body: Any, digest: Any) -> bool:
    """Return whether a part is the one of this digest."""
    return isinstance(body, bytes) and hashlib.sha256(body).digest() == digest


def is_command_of(raw: Any, device: Any, number: Any) -> bool:
    """Return whether these bytes are this command; its seal only the device can check."""
    fields = _parsed(parse_command, raw)
    return fields is not None and (fields.device, fields.number) == (device, number)


def _sessions(connection: sqlite3.Connection) -> Iterator[Damage]:
    for row in connection.execute("SELECT device, context, state, reserved, sum FROM sessions"):
        if not is_session(row):
            yield Damage("sessions", _device(row[0]), "the row does not have its sum")


def is_session(row: tuple[Any, ...]) -> bool:
    """Return whether a row (device, context, state, reserved, sum) is as it was written."""
    *fields, total = row
    return is_session_text(tuple(fields)) and session_sum(*fields) == total


def is_session_text(row: tuple[Any, ...]) -> bool:
    """Return whether (device, context, state, reserved) are of their kinds, so that a sum can cover them."""
    return [type(field) for field in row] == [bytes, bytes, str, int]


def _health(connection: sqlite3.Connection) -> Iterator[Damage]:
    for (body,) in connection.execute("SELECT body FROM health"):
        if not is_health(body):
            yield Damage("health", "", "it is no document any more")


def is_health(body: Any) -> bool:
    """Return whether a document of health can be read again; a wrong number in it is only a wrong number."""
    try:
        counts = json.loads(body).get("counts", {})
        return all(isinstance(count, int) for count in counts.values())
    except (ValueError, TypeError, AttributeError):
        return False


# What the gateway reads and no check above: their columns must at least be there.
_ALSO_READ = (
    "SELECT id, outcome, times, received_ms FROM segments",
    "SELECT kept_from FROM lanes",
    "SELECT device, lane, epoch, start, stop FROM lost",
    "SELECT device, lane, epoch, number, digest, seen_ms FROM forks",
    "SELECT heard_ms, boot, counter, epoch, heartbeat_ms FROM devices",
    "SELECT id FROM heartbeat_queue",
    "SELECT id, saved_ms FROM health",
)


def _columns(connection: sqlite3.Connection) -> Iterator[Damage]:
    for sql in _ALSO_READ:
        yield from connection.execute(f"{sql} LIMIT 0")


def _down_columns(connection: sqlite3.Connection) -> Iterator[Damage]:
    yield from connection.execute("SELECT device, number FROM wanted LIMIT 0")


def _identity(connection: sqlite3.Connection) -> Iterator[Damage]:
    (said,) = connection.execute("PRAGMA application_id").fetchone()
    if said != APPLICATION_ID:
        yield Damage("database", "", f"its application_id is {said}, not a gateway's ({APPLICATION_ID})")


def _revoked(connection: sqlite3.Connection) -> Iterator[Damage]:
    for (device,) in connection.execute("SELECT device FROM revoked"):
        if not is_identity(device):
            yield Damage("revoked", "", "it names no device")


def is_identity(device: Any) -> bool:
    """Return whether a value is the identity of a device."""
    return isinstance(device, bytes) and len(device) == IDENTITY_BYTES


def _views(connection: sqlite3.Connection) -> Iterator[Damage]:
    for row in connection.execute("SELECT device, period, key FROM views"):
        if not is_view(row):
            yield Damage("views", _device(row[0]), "it is no key of a period")
    for row in connection.execute(f"SELECT {READINGS} FROM readings"):  # noqa: S608 - names are ours
        if not is_reading(row):
            yield Damage("readings", f"{_device(row[0])} channel {row[1]}", "the row does not have its sum")


def _links(connection: sqlite3.Connection) -> Iterator[Damage]:
    is_told = connection.execute("SELECT count(*) FROM link_set").fetchone()[0]
    if is_told and load_links(connection)[0] is None:
        yield Damage("links", "", "the set does not have its mark")


def _usage(connection: sqlite3.Connection) -> Iterator[Damage]:
    # A row that is no number any more is passed over where it is read.
    yield from connection.execute(f"SELECT {', '.join(USAGE)} FROM usage LIMIT 0")  # noqa: S608 - names are ours


def _witness(connection: sqlite3.Connection) -> Iterator[Damage]:
    for row in connection.execute(f"SELECT {', '.join(WITNESS)} FROM witness"):  # noqa: S608 - names are ours
        if not is_witness(row):
            yield Damage("witness", f"root {row[0]!r}", "the envelope does not have its mark")


# With the schema step that made what they look at.
_CHECKS: tuple[tuple[str, tuple[Callable[[sqlite3.Connection], Iterator[Damage]], ...]], ...] = (
    ("0001_initial", (_segments, _lanes, _heartbeats, _health, _columns)),
    ("0002_down", (_down, _down_columns)),
    ("0003_sums", (_sessions,)),
    ("0004_identity", (_identity,)),
    ("0005_revoked", (_revoked,)),
    ("0007_views", (_views,)),
    ("0008_links", (_links,)),
    ("0010_lives", (_usage,)),
    ("0011_witness", (_witness,)),
)


def _parsed(parse: Callable[[bytes], Any], raw: Any) -> Any:
    try:
        return parse(raw).fields if isinstance(raw, bytes) else None
    except ProtocolError:
        return None


def _place(device: Any, lane: Any, epoch: Any, number: Any) -> str:
    return f"{_device(device)} lane {lane} epoch {epoch} number {number}"


def _device(device: Any) -> str:
    return f"device {device.hex()}" if isinstance(device, bytes) else f"device {device!r}"
