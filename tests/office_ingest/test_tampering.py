"""What a hostile carrier can do to a journal on its way: each of it is detected at the office, and named; it has no key to do more."""

import random
import sqlite3

import pytest

from office_ingest.founding import found_office
from office_ingest.prove.verify import verify_database
from protocol.keys import LANE_NAMES
from protocol.uplink import FORK, QUARANTINED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk
from tools.provision import DevicePlan, GatewayPlan, Office, provision_device, provision_gateway

LENGTH = 6


def _journal():
    """Return a device and (lane, number) -> bytes of all it sealed."""
    device = DeviceModel(7)
    raws = {(lane, number): device.seal(lane) for number in range(LENGTH) for lane in (0, 1)}
    return device, raws


def _flip(device, raws, place):
    changed = bytearray(raws[place])
    at = random.Random(repr(place)).randrange(len(changed))
    changed[at] ^= 1 << at % 8
    return {**raws, place: bytes(changed)}


def _drop(device, raws, place):
    return {at: raw for at, raw in raws.items() if at != place}


def _insert(device, raws, place):
    """Put a record of its own making in the place of one, sealed with the only keys it can have: its own."""
    forger = DeviceModel(8)
    forger.device = device.device
    lane, number = place
    for _ in range(number):
        forger.seal(lane)
    return {**raws, place: forger.seal(lane)}


def _truncate(device, raws, place):
    return {at: raw for at, raw in raws.items() if at[0] != place[0] or at[1] < place[1]}


TAMPERING = {"flip": _flip, "drop": _drop, "insert": _insert, "truncate": _truncate}


@pytest.mark.proves("S40")
@pytest.mark.parametrize("place", [(lane, number) for lane in (0, 1) for number in (0, 2, LENGTH - 1)])
@pytest.mark.parametrize("way", TAMPERING)
def test_record_that_was_changed_dropped_inserted_or_cut_off_is_detected(desk, way, place):
    """The place is an open gap that is asked for, no receipt reaches it, and what was forged lies in quarantine."""
    device, raws = _journal()
    desk.add(device)
    brought = TAMPERING[way](device, raws, place)
    answer = desk.take(*brought.values(), heartbeats=[device.heartbeat()])
    lane, number = place
    wanted = {
        at for of, in_lane, _, start, stop in answer.wants if in_lane == lane for at in range(start, stop)
    }
    refused = [outcome for outcome in answer.outcomes if outcome >= QUARANTINED]

    assert number in wanted
    assert desk.receipts(answer).get((lane, 0), -1) == number - 1
    assert desk.receipts(answer)[1 - lane, 0] == LENGTH - 1
    assert len(refused) == (way in ("flip", "insert"))
    assert [] == verify_database(desk.store.connection, desk.keystore).findings
    # And nothing is lost by it: the true record still finds its place.
    healed = desk.take(*raws.values())
    assert desk.receipts(healed)[lane, 0] == LENGTH - 1


@pytest.mark.proves("S40")
@pytest.mark.parametrize("number", range(LENGTH))
def test_fork_of_any_record_is_detected(desk, number):
    """Two sealed histories of one place: the second is kept as evidence, a person is told, receipts stop below."""
    device, raws = _journal()
    clone = DeviceModel(7)
    for _ in range(number):
        for lane in (0, 1):
            clone.seal(lane)
    desk.add(device)
    other = clone.seal_only(0, [clone.sample([1, 1])])
    first = [raw for (lane, at), raw in raws.items() if lane == 1 or at < number]
    desk.take(*first, other)
    answer = desk.take(*(raw for at, raw in raws.items() if at[0] == 0 and at[1] >= number))

    assert FORK in answer.outcomes
    assert ("fork", f"{LANE_NAMES[0]} epoch 0 number {number}") in desk.findings()
    assert desk.receipts(answer).get((0, 0), -1) <= number
    assert any(finding.table == "forks" for finding in verify_database(desk.store.connection, None).findings)


@pytest.mark.proves("S40")
def test_gateway_is_given_no_key_of_a_journal(tmp_path):
    """Of a device's keys nothing but the link secret lies in the gateway's folder, as bytes or as text."""
    config = found_office(tmp_path / "office", now_ms=1_700_000_000_000)
    (tmp_path / "recording.csv").write_text("100,200\n,201\n")
    with Office(config) as office:
        provision_gateway(office, tmp_path / "gateway", GatewayPlan("gw", "north", "https://127.0.0.1:1", 0))
        plan = DevicePlan(
            name="pump",
            site="north",
            host="127.0.0.1",
            port=1,
            journal_sectors=10,
            recording=tmp_path / "recording.csv",
            recording_offset=0,
            more=(),
        )
        provision_device(office, tmp_path / "gateway", tmp_path / "device", plan)
    keystore = sqlite3.connect(tmp_path / "office" / "keystore.db")
    secrets = [
        row[0]
        for sql in ("SELECT key FROM seal_keys", "SELECT r FROM ratchets", "SELECT downlink FROM devices")
        for row in keystore.execute(sql)
    ]
    keystore.close()
    held = b"".join(path.read_bytes() for path in (tmp_path / "gateway").rglob("*") if path.is_file())
    flash = (tmp_path / "device" / "flash.bin").read_bytes()

    assert len(secrets) == 5
    assert all(secret in flash for secret in secrets)
    assert not any(secret in held or secret.hex().encode() in held for secret in secrets)


@pytest.mark.proves("S17")
@pytest.mark.parametrize("seed", range(4))
def test_everything_replayed_three_times_in_any_order_changes_nothing(tmp_path_factory, seed):
    """Each segment and heartbeat three times, in random order and batches: the office ends as if each had come once."""
    chance = random.Random(seed)
    device, raws = _journal()
    device.tombstone(1, 1, 2)
    device.new_epoch()
    segments = [segment.raw for segment in device.all_segments()]
    segments += [device.seal(0), device.seal(1)]
    beat = device.heartbeat()
    ends = []
    for times in (1, 3):
        desk = OfficeDesk(tmp_path_factory.mktemp("desk"))
        desk.add(device)
        brought = [(raw, False) for raw in segments * times] + [(beat, True)] * times
        if times > 1:
            chance.shuffle(brought)
        while brought:
            batch, brought = brought[:9], brought[9:]
            desk.take(
                *(raw for raw, is_beat in batch if not is_beat),
                heartbeats=[raw for raw, is_beat in batch if is_beat],
            )
        duplicates = desk.rows("tallies", "duplicates")
        ends.append({**desk.contents(), "tallies": desk.rows("tallies", "segments, events, decisions")})
        desk.close()

    assert [(2 * len(segments),)] == duplicates
    assert ends[0] == ends[1]
