"""The auditor's walk: says what in a database does not agree with itself and with the devices' seals.

It opens nothing for writing, needs no service and trusts no column: whatever the sealed bytes say is compared with them.
Without keys: that rows are what was written, that chains close, that gaps, heads and receipts are what the rows give, that reports and
commands repeat their sealed bytes (prove/downward.py), that releases are what their roots signed (prove/released.py).
With the keystore: seals, heartbeats, receipts, bodies, orders, decisions, adoptions and answers too (prove/sealed.py).
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from office_ingest.prove.downward import check_downward
from office_ingest.prove.progress import Progress, no_progress
from office_ingest.prove.released import check_released
from office_ingest.prove.report import Report, place_text
from office_ingest.prove.sealed import check_sealed
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.lane import Lane, contradiction, holes, intersect
from office_ingest.receive.lanes import EPOCHS_RECEIPTED
from office_ingest.storage.accepted import accepted_ranges
from office_ingest.storage.damage import is_body
from office_ingest.storage.interface import GapRow, Head, Held, HeldLane, Place
from office_ingest.storage.rows import COLUMNS, KEYS, ROW_DIGEST_BYTES, is_as_written, read_row_sum
from protocol.errors import ProtocolError
from protocol.messages import parse_heartbeat, parse_receipt
from protocol.ranges import Ranges
from protocol.segment import Segment, genesis, parse_segment

# ruff: noqa: S608 - tables and columns in SQL text are ours; every value is bound

_SEGMENT_FIELDS = {
    "device": "device",
    "lane": "lane",
    "epoch": "epoch",
    "number": "number",
    "first_sequence": "first_sequence",
    "count": "count",
    "previous": "previous",
    "generation": "generation",
    "class": "view_class",
    "period": "period",
}
_PROGRESS_EVERY = 500


def verify_database(
    connection: sqlite3.Connection, keystore: Keystore | None, progress: Progress = no_progress
) -> Report:
    """Walk a whole database and return what was found. connection: opened read-only."""
    report = Report(has_keys=keystore is not None)
    # One read transaction: a service that goes on writing does not disturb the walk.
    connection.execute("BEGIN")
    try:
        _walk(connection, keystore, report, progress)
    except sqlite3.DatabaseError as error:
        report.find("database", "", f"it cannot be read to the end: {error}")
    except (TypeError, ValueError, AttributeError) as error:
        # Columns of a kind that is never written; the walk over all rows has named them before.
        if not report.findings:
            raise
        report.find("database", "", f"it cannot be compared to the end: {type(error).__name__}: {error}")
    finally:
        connection.execute("ROLLBACK")
    return report


def _walk(
    connection: sqlite3.Connection, keystore: Keystore | None, report: Report, progress: Progress
) -> None:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            report.find("database", "", f"SQLite says: {line}")
    for table in COLUMNS:
        _check_rows(connection, table, report)
    for table in ("bundles", "schemas"):
        for digest, body in connection.execute(f"SELECT digest, body FROM {table}"):
            if not is_body(body, digest):
                report.find(table, _shown("", digest).strip(), "the body does not have this digest")
    for table in (*COLUMNS, "bundles", "schemas"):
        _check_row_sum(connection, table, report)
    _check_segments(connection, report, progress)
    for check in (
        *(_check_lanes, _check_heartbeats, check_downward, check_released),
        *(_check_evidence, _check_references, _check_tallies),
    ):
        check(connection, report)
    if keystore is not None:
        check_sealed(connection, keystore, report, progress)


def _check_rows(connection: sqlite3.Connection, table: str, report: Report) -> None:
    columns = COLUMNS[table]
    keys = [columns.index(name) for name in KEYS[table]]
    for row in connection.execute(f"SELECT {', '.join(columns)}, row_digest FROM {table}"):
        if not is_as_written(row[:-1], row[-1]):
            where = " ".join(_shown(columns[at], row[at]) for at in keys)
            if table == "segments":
                where = place_text(row[0], row[1], row[2], row[3])
            report.find(table, where, "the row is not as it was written: its row_digest does not fit")
        report.count(f"{table}_rows")


def _check_row_sum(connection: sqlite3.Connection, table: str, report: Report) -> None:
    """Compare the rows of a table with how many were written: what nothing else repeats is missed here."""
    column = "row_digest" if table in COLUMNS else "digest"
    rows, total = 0, 0
    for (digest,) in connection.execute(f"SELECT {column} FROM {table}"):
        rows += 1
        total ^= int.from_bytes(digest[:ROW_DIGEST_BYTES], "big") if isinstance(digest, bytes) else 0
    written, written_sum = read_row_sum(connection, table)
    if rows != written:
        report.find(
            table,
            "",
            f"{rows} rows are there, {written} were written: {'deleted' if rows < written else 'added'}?",
        )
    elif total != written_sum:
        report.find(table, "", "as many rows as were written, and not the same ones: one was exchanged")


def _shown(name: str, value: Any) -> str:
    return f"{name} {value.hex() if isinstance(value, bytes) else value}"


# segments by themselves


def _check_segments(connection: sqlite3.Connection, report: Report, progress: Progress) -> None:
    total = report.counts.get("segments_rows", 0)
    columns = COLUMNS["segments"]
    for at, row in enumerate(connection.execute(f"SELECT {', '.join(columns)} FROM segments")):
        if at % _PROGRESS_EVERY == 0:
            progress("segments", at, total)
        _check_segment(dict(zip(columns, row, strict=True)), report)


def _check_segment(row: dict[str, Any], report: Report) -> None:
    where = place_text(row["device"], row["lane"], row["epoch"], row["number"])
    if hashlib.sha256(row["raw"]).digest() != row["digest"]:
        report.find("segments", where, "raw bytes and digest do not belong together")
    try:
        segment = parse_segment(row["raw"])
    except ProtocolError as error:
        report.find("segments", where, f"raw bytes are no segment: {error}")
        return
    for column, field in _SEGMENT_FIELDS.items():
        sealed = getattr(segment.header, field)
        if row[column] != sealed:
            shown = _shown(column, row[column])
            report.find(
                "segments", where, f"column {shown} differs from the sealed bytes ({_shown(column, sealed)})"
            )
    report.count("segments_checked")


# chains, gaps, heads and receipts of each lane


def _check_lanes(connection: sqlite3.Connection, report: Report) -> None:
    places = connection.execute(
        "SELECT device, lane, epoch FROM segments UNION SELECT device, lane, epoch FROM heads"
        " UNION SELECT device, lane, epoch FROM gaps UNION SELECT device, lane, epoch FROM receipts ORDER BY 1, 2, 3"
    ).fetchall()
    newest: dict[tuple[bytes, int], list[int]] = {}
    for device, lane, epoch in places:
        newest.setdefault((device, lane), []).append(epoch)
    for place in places:
        lane_held = _check_chain(connection, place, report)
        _check_gaps(connection, place, lane_held, report)
        _check_head(connection, place, lane_held, report)
        is_receipted = place[2] in newest[place[:2]][-EPOCHS_RECEIPTED:]
        _check_receipt(connection, place, lane_held, is_receipted, report)


def _chain(connection: sqlite3.Connection, place: Place) -> Iterator[tuple[int, bytes, bytes, int, int]]:
    return connection.execute(
        "SELECT number, digest, previous, first_sequence, count FROM segments"
        " WHERE device = ? AND lane = ? AND epoch = ? ORDER BY number",
        place,
    )


def _check_chain(connection: sqlite3.Connection, place: Place, report: Report) -> Lane:
    """Walk one chain; return its lane as the rows give it, tombstones compared with what is held."""
    runs: list[tuple[int, int]] = []
    before: Held | None = None
    for row in _chain(connection, place):
        held = Held(*row)
        where = place_text(*place, held.number)
        if held.number == 0 and (held.previous != genesis(*place) or held.first_sequence):
            report.find("segments", where, "it does not begin at the genesis of its lane and epoch")
        if before is not None and before.number + 1 == held.number:
            if held.previous != before.digest:
                report.find(
                    "segments", where, f"it names another digest before it than number {before.number} has"
                )
            if held.first_sequence != before.next_sequence():
                report.find(
                    "segments",
                    where,
                    f"it begins at sequence {held.first_sequence}, not {before.next_sequence()}",
                )
            runs[-1] = (runs[-1][0], held.number + 1)
        else:
            runs.append((held.number, held.number + 1))
        before = held
    lane = Lane(place, _held_lane(connection, place, runs))
    for number in list(lane.tombstones):
        wrong = _tombstone_contradiction(connection, lane, number)
        if wrong is not None:
            report.find("segments", place_text(*place, number), f"this tombstone {wrong}")
            lane.contradict(number)
    return lane


def _held_lane(connection: sqlite3.Connection, place: Place, runs: list[tuple[int, int]]) -> HeldLane:
    where = "WHERE device = ? AND lane = ? AND epoch = ?"
    clear = connection.execute(
        f"SELECT number, raw FROM segments {where} AND class = 0 ORDER BY number", place
    )
    tombstones = [(number, raw) for number, raw in clear if _is_tombstone(raw)]
    contested = connection.execute(f"SELECT min(contested) FROM forks {where}", place).fetchone()[0]
    head = connection.execute(
        f"SELECT kept_from, number, digest, boot, counter FROM heads {where}", place
    ).fetchone()
    accepted = accepted_ranges(connection, place)
    return HeldLane(
        runs, None, -1, tombstones, contested, Head(*head) if head else None, [], [], None, accepted
    )


def _is_tombstone(raw: bytes) -> bool:
    try:
        return parse_segment(raw).tombstone is not None
    except ProtocolError:
        return False  # Said where the segment itself was checked.


def _tombstone_contradiction(connection: sqlite3.Connection, lane: Lane, number: int) -> str | None:
    stone = lane.tombstones[number]
    near = {}
    for at in (stone.first - 1, stone.first, stone.last, stone.last + 1):
        held = _held(connection, lane.place, at)
        if held is not None:
            near[at] = held
    return contradiction(lane.place, stone, near)


def _held(connection: sqlite3.Connection, place: Place, number: int) -> Held | None:
    row = connection.execute(
        "SELECT number, digest, previous, first_sequence, count FROM segments"
        " WHERE device = ? AND lane = ? AND epoch = ? AND number = ?",
        (*place, number),
    ).fetchone()
    return Held(*row) if row else None


def _check_gaps(connection: sqlite3.Connection, place: Place, lane: Lane, report: Report) -> None:
    rows = connection.execute(
        "SELECT state, start, stop, pruned FROM gaps WHERE device = ? AND lane = ? AND epoch = ?", place
    ).fetchall()
    recorded = {
        GapRow(state, start, stop, bool(pruned)) for state, start, stop, pruned in rows if state != "filled"
    }
    actual = lane.gap_rows()
    known, missing = _numbers(recorded), lane.missing()
    for start, stop in _less(missing, known):
        what = f"numbers {start}..{stop - 1} are missing and not recorded as a gap: deleted?"
        report.find("segments", place_text(*place, start), what)
    for start, stop in _less(known, missing):
        report.find("gaps", place_text(*place, start), f"recorded as a gap up to {stop - 1}, and held")
    for gap in sorted(recorded):
        same = [one for one in actual if one.state == gap.state and one.pruned == gap.pruned]
        for start, stop in _less(intersect(_numbers({gap}), missing), _numbers(set(same))):
            what = f"recorded as {gap.state}{' and pruned' if gap.pruned else ''} up to {stop - 1}, and that is not so"
            report.find("gaps", place_text(*place, start), what)
    for gap in actual:
        report.count(f"segments_missing_{gap.state}", gap.stop - gap.start)
    for state, start, stop, _ in rows:
        if state == "filled" and any(start < high and low < stop for low, high in lane.missing()):
            report.find(
                "gaps", place_text(*place, start), f"recorded as filled up to {stop - 1}, and not all held"
            )


def _numbers(gaps: set[GapRow]) -> list[tuple[int, int]]:
    return Ranges([(gap.start, gap.stop) for gap in gaps]).pairs


def _less(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges that are in the first list and not in the second."""
    return intersect(first, holes(second, first[-1][1] if first else 0))


def _check_head(connection: sqlite3.Connection, place: Place, lane: Lane, report: Report) -> None:
    head = lane.head
    if head is None:
        return
    where = place_text(*place, head.number)
    held = _held(connection, place, head.number)
    if held is None and head.number >= (lane.held.pairs[-1][1] if lane.held.pairs else 0):
        report.count("heads_not_held")
    if held is not None and held.digest != head.digest:
        report.find("heads", where, "the newest sealed head names another digest than the one held")
    row = connection.execute(
        "SELECT raw FROM heartbeats WHERE device = ? AND epoch = ? AND boot = ? AND counter = ?",
        (place[0], place[2], head.boot, head.counter),
    ).fetchone()
    eldest = connection.execute(
        "SELECT epoch, boot, counter FROM heartbeats WHERE device = ? ORDER BY epoch, boot, counter LIMIT 1",
        (place[0],),
    ).fetchone()
    if row is None and (eldest is None or (place[2], head.boot, head.counter) >= eldest):
        report.find(
            "heartbeats", where, f"heartbeat ({head.boot}, {head.counter}) that said this head is missing"
        )
    if row is not None and _parsed(parse_heartbeat, row[0]) is not None:
        fields = parse_heartbeat(row[0]).fields
        if fields.epoch != place[2] or fields.head(place[1]) != (head.kept_from, head.number, head.digest):
            report.find("heads", where, "the head is not what its heartbeat says")


def _check_receipt(
    connection: sqlite3.Connection, place: Place, lane: Lane, is_receipted: bool, report: Report
) -> None:
    row = connection.execute(
        "SELECT number, digest, generation, raw FROM receipts WHERE device = ? AND lane = ? AND epoch = ?",
        place,
    ).fetchone()
    due = lane.known_digest_at_or_below(lane.receipt_number())[0]
    if row is None:
        if due >= 0 and is_receipted:
            report.find(
                "receipts",
                place_text(*place, due),
                "everything up to here is held and no receipt says so: deleted?",
            )
        return
    number, digest, generation, raw = row
    where = place_text(*place, number)
    message = _parsed(parse_receipt, raw)
    if message is None:
        report.find("receipts", where, "raw bytes are no receipt")
    elif [getattr(message.fields, name) for name in message.fields.__slots__] != [
        *place,
        number,
        digest,
        generation,
    ]:
        report.find("receipts", where, "columns differ from the sealed bytes")
    if lane.passed() <= number:
        what = f"it covers number {lane.passed()}, which is neither held nor covered by a tombstone, nor accepted"
        report.find("receipts", where, what)
    if due > number and is_receipted:
        report.find("receipts", where, f"everything up to {due} is held and the receipt stops here")
    held = _held(connection, place, number)
    known = held.digest if held else lane.known_digest_at_or_below(number)[1]
    if known is not None and known != digest:
        report.find("receipts", where, "it names another digest than the one held")
    report.count("receipts_checked")


# heartbeats, evidence, references, tallies


def _check_heartbeats(connection: sqlite3.Connection, report: Report) -> None:
    newest: dict[tuple[bytes, int], Any] = {}
    rows = connection.execute(
        "SELECT device, boot, counter, generation, epoch, digest, raw FROM heartbeats ORDER BY device, epoch, boot, counter"
    )
    for device, boot, counter, generation, epoch, digest, raw in rows:
        where = f"device {device.hex()} epoch {epoch} boot {boot} counter {counter}"
        if hashlib.sha256(raw).digest() != digest:
            report.find("heartbeats", where, "raw bytes and digest do not belong together")
        message = _parsed(parse_heartbeat, raw)
        if message is None:
            report.find("heartbeats", where, "raw bytes are no heartbeat")
            continue
        h = message.fields
        if (h.device, h.boot, h.counter, h.generation, h.epoch) != (device, boot, counter, generation, epoch):
            report.find("heartbeats", where, "columns differ from the sealed bytes")
        newest[device, epoch] = h
    for (device, _), h in newest.items():
        for lane in (0, 1):
            said = h.head(lane)
            row = connection.execute(
                "SELECT number FROM heads WHERE device = ? AND lane = ? AND epoch = ?",
                (device, lane, h.epoch),
            ).fetchone()
            if said is not None and (row is None or row[0] < said[1]):
                where = place_text(device, lane, h.epoch, said[1])
                report.find("heads", where, "the newest heartbeat's head is not recorded")


def _check_evidence(connection: sqlite3.Connection, report: Report) -> None:
    forks = connection.execute(
        "SELECT digest, device, lane, epoch, number, contested, kind, raw FROM forks"
    ).fetchall()
    places = set()
    for digest, device, lane, epoch, number, contested, kind, raw in forks:
        where = place_text(device, lane, epoch, number)
        places.add((device, where))
        report.find(
            "forks",
            where,
            f"the device sealed two different things ({kind}); receipts stop below {contested}",
        )
        if hashlib.sha256(raw).digest() != digest:
            report.find("forks", where, "raw bytes and digest do not belong together")
        sealed = _parsed(parse_heartbeat if kind == "head" else parse_segment, raw)
        if sealed is None:
            report.find("forks", where, "raw bytes are not what was kept as evidence")
        elif isinstance(sealed, Segment) and sealed.header.key() != (device, lane, epoch, number):
            report.find("forks", where, "columns differ from the sealed bytes")
    for device, kind, place in connection.execute(
        "SELECT device, kind, place FROM findings WHERE kind IN ('fork', 'clone')"
    ):
        where = f"device {device.hex()} {place}"
        if kind == "clone":
            report.find(
                "findings",
                where,
                "it sealed two different heartbeats: two devices have these keys, or its flash was put back",
            )
        elif (device, where) not in places:
            report.find("forks", where, "a fork was found here and its evidence is missing: deleted?")
    for digest, raw in connection.execute("SELECT digest, raw FROM quarantine"):
        if hashlib.sha256(raw).digest() != digest:
            report.find("quarantine", digest.hex(), "raw bytes and digest do not belong together")


def _check_references(connection: sqlite3.Connection, report: Report) -> None:
    for table in (
        *("segments", "heartbeats", "forks", "reports", "adoptions", "commands", "device_traits"),
        *("accepted_gaps", "revoked"),
    ):
        strays = connection.execute(
            f"SELECT DISTINCT device FROM {table} WHERE device NOT IN (SELECT id FROM devices)"
        ).fetchall()
        for (device,) in strays:
            report.find(
                "devices",
                f"device {device.hex()}",
                f"{table} names a device that is not registered: deleted?",
            )
    for table in ("segments", "heartbeats", "forks"):
        gateways = connection.execute(
            f"SELECT DISTINCT gateway FROM {table} WHERE gateway NOT IN (SELECT id FROM gateways)"
        ).fetchall()
        for (gateway,) in gateways:
            report.find("gateways", gateway, f"{table} names a gateway that is not registered: deleted?")


def _check_tallies(connection: sqlite3.Connection, report: Report) -> None:
    rows = connection.execute(
        "SELECT s.device, count(*), sum(s.count), max(t.segments), max(t.events) FROM segments s"
        " LEFT JOIN tallies t ON t.device = s.device GROUP BY s.device"
    ).fetchall()
    for device, segments, events, tally_segments, tally_events in rows:
        if (segments, events) != (tally_segments, tally_events):
            what = f"{segments} segments of {events} events are held, {tally_segments} of {tally_events} were taken"
            report.find("tallies", f"device {device.hex()}", what)
    held = {row[0] for row in rows}
    for device, taken in connection.execute("SELECT device, segments FROM tallies WHERE segments > 0"):
        if device not in held:
            report.find("tallies", f"device {device.hex()}", f"no segment is held, {taken} were taken")


def _parsed(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return parse(raw)
    except ProtocolError:
        return None
