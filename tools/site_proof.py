"""Proves a site: what lies on the devices' flash against what the office holds, and every byte of that verified.

"Recorded" is taken from the newest heads on the flash images, never from what arrived. Each head gives how many events its
lane ever recorded (its next sequence); tombstones on flash and the heads of epochs that ended are checked against the office's
rows. It knows no story: what may happen to a site in the meantime changes nothing of what is asked here.
"""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from office_ingest.prove.report import Report
from office_ingest.prove.verify import verify_database
from office_ingest.receive.keystore import Keystore
from protocol.keys import LANE_NAMES
from protocol.sqlite_door import READ, open_database
from tools.flashimage import LaneImage, read_image
from tools.site import Site

# Cell and keys before it, two slots behind it.
_SECTORS_BESIDE_JOURNAL = 4 + 32
_SECTOR_BYTES = 4096
# What the office may note of a site in which processes are stopped: that it heard nothing of a device for a while, or that its ring filled;
# and of one whose gateway was enrolled, which code that took.
EXPECTED_FINDINGS = ("silence", "degraded", "gateway-code")


@dataclass
class LaneProof:
    """One device's lane in one epoch: events recorded on flash, events held at the office."""

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


def prove_site(site: Site, *, expected: tuple[str, ...] = EXPECTED_FINDINGS) -> Proof:
    """Return the proof of a site whose processes have all ended: figures, and a sentence for each thing that is not right.

    expected: kinds of findings that the site's story gave cause for.
    """
    proof = Proof()
    database = site.office_folder / "office.db"
    connection = open_database(database, READ)
    keystore = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        report = verify_database(connection, keystore)
        proof.faults += [finding.text() for finding in report.findings]
        wraps = [
            _prove_device(proof, connection, device, site.folder / service.name)
            for device, service in zip(site.device_ids, site.devices, strict=True)
        ]
        proof.figures = _figures(proof, report) | {"ring_wraps": min(wraps, default=0)}
        proof.faults += _evidence(connection, expected)
    finally:
        keystore.close()
        connection.close()
    _judge(proof)
    return proof


def _prove_device(proof: Proof, connection: sqlite3.Connection, device: bytes, folder: Any) -> int:
    """Add a device's lanes to the proof; return how often its ring was written from end to end."""
    path = folder / "flash.bin"
    image = read_image(path)
    proof.faults += [f"{folder.name}: flash image: {fault}" for fault in image.faults]
    if image.device != device:
        proof.faults.append(f"{folder.name}: the flash image holds no segment of this device")
    for lane in image.lanes:
        _prove_lane(proof, connection, device, folder.name, lane)
    # Whole pages of all segments over the ring's bytes.
    (written,) = connection.execute(
        "SELECT coalesce(sum((length(raw) + 255) / 256 * 256), 0) FROM segments WHERE device = ?", (device,)
    ).fetchone()
    return written // (path.stat().st_size - _SECTORS_BESIDE_JOURNAL * _SECTOR_BYTES)


def _prove_lane(
    proof: Proof, connection: sqlite3.Connection, device: bytes, name: str, lane: LaneImage
) -> None:
    place = (device, lane.lane, lane.epoch)
    head = lane.head
    held, segments, tombstones = connection.execute(
        "SELECT coalesce(sum(count), 0), count(*), coalesce(sum(class = 0), 0) FROM segments"
        " WHERE device = ? AND lane = ? AND epoch = ?",
        place,
    ).fetchone()
    row = connection.execute(
        "SELECT digest FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number = ?",
        (*place, head.number),
    ).fetchone()
    head_held = row is not None and row[0] == head.digest
    lane_name = LANE_NAMES[lane.lane]
    proof.lanes.append(
        LaneProof(name, lane_name, lane.epoch, head.next_sequence, held, segments, tombstones, head_held)
    )
    if not head_held:
        proof.faults.append(f"{name} {lane_name}: the office does not hold head {head.number}")
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


def _evidence(connection: sqlite3.Connection, expected: tuple[str, ...]) -> list[str]:
    """Return what the office itself found and an honest site never gives cause for."""
    faults = []
    for table in ("forks", "quarantine"):
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 -- ours
        if count:
            faults.append(f"{count} rows in {table}")
    for device, lane, epoch, start, stop, state in connection.execute(
        "SELECT device, lane, epoch, start, stop, state FROM gaps WHERE state != 'filled'"
    ):
        faults.append(
            f"{device.hex()} {LANE_NAMES[lane]} epoch {epoch}: segments {start}..{stop - 1} are {state}"
        )
    for kind, place, text in connection.execute("SELECT kind, place, text FROM findings"):
        if kind not in expected:
            faults.append(f"finding {kind}: {place}: {text}")
    return faults


def _figures(proof: Proof, report: Report) -> dict[str, Any]:
    counts = report.counts
    return {
        "events_recorded": sum(lane.recorded for lane in proof.lanes),
        "events_at_office": sum(lane.held for lane in proof.lanes),
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
    }


def _judge(proof: Proof) -> None:
    figures = proof.figures
    proof.faults += [
        f"{lane.name} {lane.lane}: {lane.recorded} events recorded, {lane.held} held at the office"
        for lane in proof.lanes
        if lane.recorded != lane.held
    ]
    checks = (
        (figures["segments"] == figures["segments_verified"], "not every segment was verified"),
        (figures["decisions"] == figures["decisions_replayed_equal"], "not every decision replayed equal"),
        (figures["decisions"] > 0, "no decision was made"),
    )
    proof.faults += [text for good, text in checks if not good]
