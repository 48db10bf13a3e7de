"""The office proves the run: what lies on the devices' flash against what the office holds, and every byte of that verified.

"Recorded" is taken from the newest heads on the flash images, never from what arrived. Each head gives how many events its
lane ever recorded (its next sequence); tombstones on flash and the heads of epochs that ended are checked against the office's rows.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from office_ingest.prove.report import Report
from office_ingest.prove.verify import verify_database
from office_ingest.receive.keystore import Keystore
from protocol.keys import LANE_NAMES
from protocol.segment import parse_segment
from tools.demo.ages import Ages, measure, read_log
from tools.demo.layout import JOURNAL_SECTORS
from tools.demo.story import Told
from tools.flashimage import FlashImage, LaneImage, read_image
from tools.site import Site

_RING_BYTES = JOURNAL_SECTORS * 4096


@dataclass
class LaneProof:
    """One device's lane in one epoch: recorded on flash, held at the office; None where the head was not found."""

    name: str
    lane: str
    epoch: int
    recorded: int
    held: int
    segments: int
    tombstones: int
    head_held: bool


@dataclass
class Proof:
    """All that was proved, and what speaks against it."""

    lanes: list[LaneProof] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Say whether nothing speaks against the run."""
        return not self.faults


def prove(site: Site, told: Told, plan_cut_s: float) -> Proof:
    """Return the proof of a run whose processes have all ended."""
    proof = Proof()
    database = site.office_folder / "office.db"
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        report = verify_database(connection, keystore)
        proof.faults += [finding.text() for finding in report.findings]
        for device, service in zip(site.device_ids, site.devices, strict=True):
            _prove_device(
                proof, connection, device, service.name, read_image(site.folder / service.name / "flash.bin")
            )
        rows = connection.execute("SELECT raw, committed_ms FROM segments").fetchall()
        drained_ms = _drained_ms(rows, site, told, keystore)
        ages = _ages(rows, site, told, keystore, drained_ms)
        proof.figures = _figures(proof, report, told, connection) | _timing(
            told, plan_cut_s, drained_ms, ages
        )
    finally:
        keystore.close()
        connection.close()
    _judge(proof, told)
    return proof


def _prove_device(
    proof: Proof, connection: sqlite3.Connection, device: bytes, name: str, image: FlashImage
) -> None:
    proof.faults += [f"{name}: flash image: {fault}" for fault in image.faults]
    if image.device != device:
        proof.faults.append(f"{name}: the flash image holds no segment of this device")
    for lane in image.lanes:
        head = lane.head
        held, segments, tombstones = connection.execute(
            "SELECT coalesce(sum(count), 0), count(*), coalesce(sum(class = 0), 0) FROM segments"
            " WHERE device = ? AND lane = ? AND epoch = ?",
            (device, lane.lane, lane.epoch),
        ).fetchone()
        row = connection.execute(
            "SELECT digest FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number = ?",
            (device, lane.lane, lane.epoch, head.number),
        ).fetchone()
        head_held = row is not None and row[0] == head.digest
        proof.lanes.append(
            LaneProof(
                name,
                LANE_NAMES[lane.lane],
                lane.epoch,
                head.next_sequence,
                held,
                segments,
                tombstones,
                head_held,
            )
        )
        if not head_held:
            proof.faults.append(
                f"{name} {LANE_NAMES[lane.lane]}: the office does not hold head {head.number}"
            )
        proof.faults += _tombstone_faults(connection, device, name, lane)


def _tombstone_faults(connection: sqlite3.Connection, device: bytes, name: str, lane: LaneImage) -> list[str]:
    """Compare what tombstones on flash say was pruned with the rows that the office holds of it."""
    faults = []
    for segment in lane.tombstones:
        stone = segment.tombstone
        assert stone is not None
        numbers, events = connection.execute(
            "SELECT count(*), coalesce(sum(count), 0) FROM segments"
            " WHERE device = ? AND lane = ? AND epoch = ? AND number BETWEEN ? AND ?",
            (device, lane.lane, lane.epoch, stone.first, stone.last),
        ).fetchone()
        if numbers == stone.last - stone.first + 1 and events != stone.event_count:
            faults.append(
                f"{name}: tombstone {segment.header.number} counts {stone.event_count} events, the office {events}"
            )
    return faults


def _drained_ms(rows: list[tuple], site: Site, told: Told, keystore: Keystore) -> int:
    """Return when the last event recorded before the uplink came back was committed."""
    drained = told.mend_ms
    logs = _logs(site)
    from tools.demo.ages import orders

    for raw, committed_ms in rows:
        segment = parse_segment(raw)
        log = logs.get(segment.header.device, {})
        if committed_ms > drained and any(
            log.get(order, told.end_ms) < told.mend_ms for order in orders(segment, keystore)
        ):
            drained = committed_ms
    return drained


def _logs(site: Site) -> dict[bytes, dict[int, int]]:
    return {
        device: read_log(site.folder / service.name / "record.log")
        for device, service in zip(site.device_ids, site.devices, strict=True)
    }


def _ages(rows: list[tuple], site: Site, told: Told, keystore: Keystore, drained_ms: int) -> Ages:
    segments = ((parse_segment(raw), committed_ms) for raw, committed_ms in rows)
    return measure(segments, _logs(site), keystore, (told.cut_ms, told.mend_ms), drained_ms)


def _figures(proof: Proof, report: Report, told: Told, connection: sqlite3.Connection) -> dict[str, Any]:
    recorded = sum(lane.recorded for lane in proof.lanes)
    held = sum(lane.held for lane in proof.lanes)
    counts = report.counts
    return {
        "events_recorded": recorded,
        "events_at_office": held,
        "lost": sum(max(0, lane.recorded - lane.held) for lane in proof.lanes),
        "duplicated": sum(max(0, lane.held - lane.recorded) for lane in proof.lanes),
        "segments": counts.get("segments_rows", 0),
        "segments_verified": counts.get("segments_verified", 0),
        "tombstones": sum(lane.tombstones for lane in proof.lanes),
        "receipts_verified": counts.get("receipts_verified", 0),
        "heartbeats_verified": counts.get("heartbeats_verified", 0),
        "decisions": counts.get("decisions", 0),
        "decisions_replayed_equal": counts.get("decisions_replayed_equal", 0),
        "run_replay_coverage": counts.get("run_replay_coverage", 0.0),
        "ring_wraps": min(_wraps(connection), default=0),
        "gateway_kills": told.gateway_kills,
        "device_power_cuts": told.power_cuts,
    }


def _wraps(connection: sqlite3.Connection) -> list[int]:
    """Return how often each device's ring was written from end to end: whole pages of all segments over its bytes."""
    rows = connection.execute("SELECT sum((length(raw) + 255) / 256 * 256) FROM segments GROUP BY device")
    return [written // _RING_BYTES for (written,) in rows]


def _timing(told: Told, cut_s: float, drained_ms: int, ages: Ages) -> dict[str, Any]:
    return {
        "uplink_cut_s": round((told.mend_ms - told.cut_ms) / 1000, 3) if told.mend_ms else cut_s,
        "drain_s": round((drained_ms - told.mend_ms) / 1000, 3),
        "age_ms_p50": ages.p50,
        "age_ms_p99": ages.p99,
        "age_ms_p99_settled": ages.settled_p99,
        "events_aged": ages.events,
        "seconds": round((told.stop_ms - told.start_ms) / 1000, 3),
    }


def _judge(proof: Proof, told: Told) -> None:
    figures = proof.figures
    for lane in proof.lanes:
        if lane.recorded != lane.held:
            proof.faults.append(
                f"{lane.name} {lane.lane}: {lane.recorded} events recorded, {lane.held} held at the office"
            )
    checks = (
        (figures["segments"] == figures["segments_verified"], "not every segment was verified"),
        (figures["decisions"] == figures["decisions_replayed_equal"], "not every decision replayed equal"),
        (figures["decisions"] > 0, "no decision was made"),
        (figures["ring_wraps"] >= 2, f"a ring wrapped only {figures['ring_wraps']} times"),
        (told.power_cuts == 1 and told.gateway_kills == 1, "the story was not told to its end"),
        (told.drained, "the gateway's outbox was not drained"),
        (figures["run_replay_coverage"] > 0, "run replay covered nothing"),
    )
    proof.faults += [text for good, text in checks if not good]
