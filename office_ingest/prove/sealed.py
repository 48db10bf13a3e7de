"""The part of the auditor's walk that needs the keystore: seals, bodies, orders, decisions, and what rows repeat of bodies.

Nobody without a device's keys can make bytes that pass it, however well all columns were made to fit.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

from office_ingest.errors import KeyUnknown
from office_ingest.govern.rollout import rules_digest
from office_ingest.prove.downward import Told
from office_ingest.prove.lives import Lives, by_epoch, mark_losses
from office_ingest.prove.progress import Progress
from office_ingest.prove.replay import Counts, DeviceReplay
from office_ingest.prove.report import Report, place_text
from office_ingest.prove.takeover import Takeover
from office_ingest.receive.body import open_events
from office_ingest.receive.epoch_ends import ends_of
from office_ingest.receive.keystore import Keystore
from protocol.command import parse_command
from protocol.errors import ProtocolError
from protocol.event import DECISION
from protocol.keys import CLEAR, CRITICAL, LANES, downlink_key, heartbeat_key
from protocol.limits import generation_segments, natural_max
from protocol.manifest import parse_manifest
from protocol.messages import Message, parse_heartbeat, parse_receipt
from protocol.segment import Segment, parse_segment
from rules.bundle import Bundle, read_bundle

_PROGRESS_EVERY = 500


class Opened(NamedTuple):
    """One event with where it was held: sorted by order. is_after_loss: what its lane holds before it is missing, or cannot be read."""

    order: int
    lane: int
    place: str
    digest: bytes
    boot: int
    event: tuple[int, int, int, tuple[Any, ...]]
    epoch: int = 0
    received_ms: int = 0
    is_after_loss: bool = False


_At = tuple[int, int]  # epoch, order


class Unread:
    """Between which events of a lane bodies lie that are held and cannot be read: what rows say of them nobody can check."""

    def __init__(self) -> None:
        self._last: _At = (-1, -1)
        self._open_epoch: int | None = None  # Of the newest body that does not open, behind _last.
        self._spans: list[tuple[_At, _At]] = []

    def note_unread(self, epoch: int) -> None:
        """A body of this epoch does not open."""
        self._open_epoch = epoch

    def note_read(self, epoch: int, order: int) -> None:
        """An event of this epoch and order was read."""
        if self._open_epoch is not None:
            self._spans.append((self._last, (epoch, order)))
        self._open_epoch = None
        self._last = (epoch, order)

    def may_hold(self, order: int, epoch: int | None = None) -> bool:
        """Say whether an event of this order may lie in a body that cannot be read. epoch: None where nothing says which is its own."""
        spans = list(self._spans)
        if self._open_epoch is not None:
            spans.append((self._last, (self._open_epoch, natural_max + 1)))
        return any(_may_lie(low, high, order, epoch) for low, high in spans)


def _may_lie(low: _At, high: _At, order: int, epoch: int | None) -> bool:
    if epoch is not None:
        return low < (epoch, order) < high
    if low[0] == high[0]:
        return low[1] < order < high[1]
    # Above the end of one epoch, or below the start of another, whose orders may have gone back.
    return order > low[1] or order < high[1]


def check_sealed(
    connection: sqlite3.Connection, keystore: Keystore, report: Report, progress: Progress
) -> None:
    """Check everything that only keys can show, device by device."""
    total = report.counts.get("segments_rows", 0)
    bundle_of = bundles(connection)
    counts = Counts()
    devices = "SELECT device FROM segments UNION SELECT device FROM adoptions UNION SELECT device FROM commands ORDER BY 1"
    for (device,) in connection.execute(devices).fetchall():
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
    report.counts["events_thinned"] = counts.thinned


def open_lane(
    connection: sqlite3.Connection,
    keystore: Keystore,
    device: bytes,
    lane: int,
    report: Report,
    done: Callable[[int], None] = lambda at: None,
    unread: Unread | None = None,
) -> Iterator[Opened]:
    """Give every event of a lane, epoch by epoch, that verifies and opens; what does not is found, noted as unread and left out."""
    unread = Unread() if unread is None else unread
    bases: dict[int, int] = {}
    rows = connection.execute(
        "SELECT raw, epoch, number, received_ms FROM segments WHERE device = ? AND lane = ? ORDER BY epoch, number",
        (device, lane),
    )
    due, is_after_loss = (0, 0), False
    for raw, epoch, number, received_ms in rows:
        where = place_text(device, lane, epoch, number)
        # An epoch begins anew whatever was lost of the one before.
        is_after_loss = is_after_loss or number != (due[1] if epoch == due[0] else 0)
        due = (epoch, number + 1)
        segment = _verified(keystore, raw, (device, lane, epoch, number), report)
        events = None
        if segment is not None:
            report.count("segments_verified")
            if report.counts["segments_verified"] % _PROGRESS_EVERY == 0:
                done(report.counts["segments_verified"])
            _check_base(segment, bases, where, report)
            events = _open_segment(keystore, segment, where, report)
        if segment is None or events is None:
            unread.note_unread(epoch)
            is_after_loss = True
            continue
        for boot, event in events:
            unread.note_read(epoch, event[0])
            yield Opened(
                event[0], lane, where, segment.digest, boot, event, epoch, received_ms, is_after_loss
            )
            is_after_loss = False


def _verified(
    keystore: Keystore, raw: bytes, place: tuple[bytes, int, int, int], report: Report
) -> Segment | None:
    """Return a segment whose seal holds and that belongs to this place; find what does not."""
    try:
        segment = parse_segment(raw)
        segment.verify(
            keystore.tag_key(segment.header.device, segment.header.lane, segment.header.generation)
        )
    except (ProtocolError, KeyUnknown) as error:
        report.find("segments", place_text(*place), f"the seal does not hold: {error}")
        return None
    if segment.header.key() != place:
        report.find("segments", place_text(*place), "the sealed bytes belong to another place")
        return None
    return segment


def _check_base(segment: Segment, bases: dict[int, int], where: str, report: Report) -> None:
    header = segment.header
    base = header.generation - header.number // generation_segments
    if bases.setdefault(header.epoch, base) != base:
        report.find("segments", where, f"its generation {header.generation} is not the one of its number")


def _open_segment(
    keystore: Keystore, segment: Segment, where: str, report: Report
) -> list[tuple[int, Any]] | None:
    """Return (boot, event) of each event, none for a tombstone; None if the body cannot be read."""
    header = segment.header
    if header.view_class == CLEAR:
        report.count("tombstones")
        return []
    try:
        view_key = keystore.view_key(header.device, header.view_class, header.period)
        if view_key is None:
            report.count("bodies_erased")
            return None
        boot, events = open_events(segment, view_key)
    except ProtocolError as error:
        report.find("segments", where, f"the body does not open: {error}")
        return None
    report.count("bodies_opened")
    report.count("events_opened", len(events))
    return [(boot, event) for event in events]


def _check_device(
    connection: sqlite3.Connection,
    keystore: Keystore,
    device: bytes,
    bundle_of: Callable[[bytes], Bundle | None],
    report: Report,
    done: Callable[[int], None],
) -> Counts:
    place = ""
    lives = Lives(device, report)

    def found(order: int, what: str, *, of_run: bool = False) -> None:
        where = f"device {device.hex()} order {order} ({place.partition(' ')[2]})"
        lives.found(order, where, what, of_run=of_run)

    takeover = Takeover(_rules_of(connection), _provisioned(connection, device))
    replay = DeviceReplay(bundle_of, found, takeover, partial(found, of_run=True))
    told, unread = Told(device), Unread()
    lanes = [
        open_lane(connection, keystore, device, lane, report, done, unread if lane == CRITICAL else None)
        for lane in LANES
    ]
    decisions = 0
    ends: dict[tuple[int, int], int] = {}
    for opened in mark_losses(by_epoch(lanes)):
        told.take(opened.epoch, opened.boot, opened.event, opened.received_ms)
        decisions += opened.event[2] == DECISION
        ends.update(ends_of([opened.event]))
        if lives.begins(opened.epoch):
            # What is settled now is of the epoch before, and is found where that one ended.
            replay.begin_anew()
        place = opened.place
        lives.take(opened)
        replay.feed(opened.boot, opened.event, is_after_loss=opened.is_after_loss)
    counts = replay.finish()
    lives.finish()
    _check_ends(connection, device, ends, report)
    _check_decision_tally(connection, device, decisions, report)
    told.compare(connection, report, unread.may_hold)
    return counts


def _check_ends(
    connection: sqlite3.Connection, device: bytes, ends: dict[tuple[int, int], int], report: Report
) -> None:
    """Find what lies above the heads that a device named when it was given other keys: whoever sealed it had a copy of those of before."""
    for (lane, epoch), end in ends.items():
        row = connection.execute(
            "SELECT min(number) FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number > ?",
            (device, lane, epoch, end),
        ).fetchone()
        if row[0] is not None:
            what = f"this lane ended with {end} when the device was given other keys: sealed by a copy of it"
            report.find("segments", place_text(device, lane, epoch, row[0]), what)


def _rules_of(connection: sqlite3.Connection) -> Callable[[bytes], bytes | None]:
    """Return a lookup of a release's rules by the digest of its manifest; None for one that is not held or cannot be read."""

    @cache
    def rules_of(manifest: bytes) -> bytes | None:
        row = connection.execute("SELECT manifest FROM releases WHERE digest = ?", (manifest,)).fetchone()
        try:
            return rules_digest(parse_manifest(row[0])) if row else None
        except ProtocolError:
            return None

    return rules_of


def _provisioned(connection: sqlite3.Connection, device: bytes) -> bytes | None:
    row = connection.execute("SELECT bundle FROM device_traits WHERE device = ?", (device,)).fetchone()
    return row[0] if row and row[0] else None


def _check_decision_tally(
    connection: sqlite3.Connection, device: bytes, decisions: int, report: Report
) -> None:
    row = connection.execute("SELECT decisions FROM tallies WHERE device = ?", (device,)).fetchone()
    if row is not None and row[0] != decisions and not report.counts.get("bodies_erased"):
        what = f"{decisions} decisions can be read, {row[0]} were taken"
        report.find("tallies", f"device {device.hex()}", what)


def _check_messages(connection: sqlite3.Connection, keystore: Keystore, report: Report) -> None:
    heartbeats = connection.execute("SELECT device, epoch, boot, counter, raw FROM heartbeats")
    for device, epoch, boot, counter, raw in heartbeats:
        where = f"device {device.hex()} epoch {epoch} boot {boot} counter {counter}"
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
            _verify_down(parse_receipt(raw), keystore.downlinks(device), "receipt")
            report.count("receipts_verified")
        except (ProtocolError, KeyUnknown) as error:
            report.find("receipts", where, f"the seal does not hold: {error}")
    commands = connection.execute("SELECT device, number, raw FROM commands WHERE raw IS NOT NULL")
    for device, number, raw in commands:
        try:
            _verify_down(parse_command(raw), keystore.downlinks(device), "command")
            report.count("commands_verified")
        except (ProtocolError, KeyUnknown) as error:
            where = f"device {device.hex()} number {number}"
            report.find("commands", where, f"the seal does not hold: {error}")


def _verify_down(message: Message, downlinks: list[bytes], label: str) -> None:
    """Check a seal under the downlink key, or one of those that rekeys ended: what was said then stays in the database."""
    for downlink in downlinks[1:]:
        with contextlib.suppress(ProtocolError):
            message.verify(downlink_key(downlink, label))
            return
    message.verify(downlink_key(downlinks[0], label))


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
