"""The part of the auditor's walk that needs the keystore: seals, bodies, orders and decisions.

Nobody without a device's keys can make bytes that pass it, however well all columns were made to fit.
"""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from office_ingest.errors import KeyUnknown
from office_ingest.prove.progress import Progress
from office_ingest.prove.replay import Counts, DeviceReplay
from office_ingest.prove.report import Report, place_text
from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from protocol.errors import ProtocolError
from protocol.event import DECISION
from protocol.keys import CLEAR, CRITICAL, LANES, downlink_key, heartbeat_key
from protocol.limits import generation_segments
from protocol.messages import parse_heartbeat, parse_receipt
from protocol.segment import Segment, parse_segment
from rules.bundle import Bundle, read_bundle

_PROGRESS_EVERY = 500


class Opened(NamedTuple):
    """One event with where it was held: sorted by order."""

    order: int
    lane: int
    place: str
    digest: bytes
    boot: int
    event: tuple[int, int, int, tuple[Any, ...]]


def check_sealed(
    connection: sqlite3.Connection, keystore: Keystore, report: Report, progress: Progress
) -> None:
    """Check everything that only keys can show, device by device."""
    total = report.counts.get("segments_rows", 0)
    bundle_of = bundles(connection)
    counts = Counts()
    for (device,) in connection.execute("SELECT DISTINCT device FROM segments ORDER BY 1").fetchall():
        try:
            keystore.downlink(device)
        except KeyUnknown as error:
            report.find("keystore", f"device {device.hex()}", str(error))
            continue
        counts.add(
            _check_device(
                connection, keystore, device, bundle_of, report, lambda at: progress("seals", at, total)
            )
        )
    _check_messages(connection, keystore, report)
    report.counts["decisions"] = counts.decisions
    report.counts["decisions_replayed_equal"] = counts.decisions_equal
    report.counts["samples"] = counts.samples
    report.counts["samples_run_replayed"] = counts.samples_run
    report.counts["run_replay_coverage"] = round(counts.coverage(), 6)
    report.counts["checkpoints"] = counts.checkpoints


def open_lane(
    connection: sqlite3.Connection,
    keystore: Keystore,
    device: bytes,
    lane: int,
    report: Report,
    done: Callable[[int], None] = lambda at: None,
) -> Iterator[Opened]:
    """Give every event of a lane, epoch by epoch, that verifies and opens; what does not is found and left out."""
    bases: dict[int, int] = {}
    rows = connection.execute(
        "SELECT raw, epoch, number FROM segments WHERE device = ? AND lane = ? ORDER BY epoch, number",
        (device, lane),
    )
    for raw, epoch, number in rows:
        where = place_text(device, lane, epoch, number)
        try:
            segment = parse_segment(raw)
            segment.verify(
                keystore.tag_key(segment.header.device, segment.header.lane, segment.header.generation)
            )
        except (ProtocolError, KeyUnknown) as error:
            report.find("segments", where, f"the seal does not hold: {error}")
            continue
        if segment.header.key() != (device, lane, epoch, number):
            report.find("segments", where, "the sealed bytes belong to another place")
            continue
        report.count("segments_verified")
        if report.counts["segments_verified"] % _PROGRESS_EVERY == 0:
            done(report.counts["segments_verified"])
        base = segment.header.generation - number // generation_segments
        if bases.setdefault(epoch, base) != base:
            report.find(
                "segments", where, f"its generation {segment.header.generation} is not the one of its number"
            )
        yield from _open_segment(keystore, segment, where, report)


def _open_segment(keystore: Keystore, segment: Segment, where: str, report: Report) -> Iterator[Opened]:
    header = segment.header
    if header.view_class == CLEAR:
        report.count("tombstones")
        return
    try:
        view_key = keystore.view_key(header.device, header.view_class, header.period)
        if view_key is None:
            report.count("bodies_erased")
            return
        boot, events = open_events(segment, view_key)
    except ProtocolError as error:
        report.find("segments", where, f"the body does not open: {error}")
        return
    report.count("bodies_opened")
    report.count("events_opened", len(events))
    for event in events:
        yield Opened(event[0], header.lane, where, segment.digest, boot, event)


def _check_device(
    connection: sqlite3.Connection,
    keystore: Keystore,
    device: bytes,
    bundle_of: Callable[[bytes], Bundle | None],
    report: Report,
    done: Callable[[int], None],
) -> Counts:
    place = ""

    def found(order: int, what: str) -> None:
        report.find("decisions", f"device {device.hex()} order {order} ({place.partition(' ')[2]})", what)

    replay = DeviceReplay(bundle_of, found)
    lanes = [open_lane(connection, keystore, device, lane, report, done) for lane in LANES]
    last = -1
    decisions = 0
    for opened in heapq.merge(*lanes, key=lambda opened: opened.order):
        place = opened.place
        if opened.order <= last:
            report.find(
                "events", opened.place, f"order {opened.order} is used again, or goes back below {last}"
            )
            continue
        last = opened.order
        decisions += opened.event[2] == DECISION
        replay.feed(opened.boot, opened.event)
    _check_decision_tally(connection, device, decisions, report)
    return replay.finish()


def _check_decision_tally(
    connection: sqlite3.Connection, device: bytes, decisions: int, report: Report
) -> None:
    row = connection.execute("SELECT decisions FROM tallies WHERE device = ?", (device,)).fetchone()
    if row is not None and row[0] != decisions and not report.counts.get("bodies_erased"):
        what = f"{decisions} decisions can be read, {row[0]} were taken"
        report.find("tallies", f"device {device.hex()}", what)


def _check_messages(connection: sqlite3.Connection, keystore: Keystore, report: Report) -> None:
    for device, boot, counter, raw in connection.execute("SELECT device, boot, counter, raw FROM heartbeats"):
        where = f"device {device.hex()} boot {boot} counter {counter}"
        try:
            message = parse_heartbeat(raw)
            message.verify(heartbeat_key(keystore.seal_key(device, CRITICAL, message.fields.generation)))
            report.count("heartbeats_verified")
        except (ProtocolError, KeyUnknown) as error:
            report.find("heartbeats", where, f"the seal does not hold: {error}")
    for device, lane, epoch, number, raw in connection.execute(
        "SELECT device, lane, epoch, number, raw FROM receipts"
    ):
        where = place_text(device, lane, epoch, number)
        try:
            parse_receipt(raw).verify(downlink_key(keystore.downlink(device), "receipt"))
            report.count("receipts_verified")
        except (ProtocolError, KeyUnknown) as error:
            report.find("receipts", where, f"the seal does not hold: {error}")


def bundles(connection: sqlite3.Connection) -> Callable[[bytes], Bundle | None]:
    """Return a lookup of bundles by digest; None for one that is not held or cannot be read."""

    @cache
    def bundle_of(digest: bytes) -> Bundle | None:
        row = connection.execute("SELECT body FROM bundles WHERE digest = ?", (digest,)).fetchone()
        try:
            return read_bundle(row[0]) if row else None
        except ProtocolError:
            return None

    return bundle_of
