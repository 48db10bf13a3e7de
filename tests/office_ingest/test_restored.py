"""Heartbeats of a device whose flash was put back: it counts boots again, and is heard from the epoch on that it begins then."""

import pytest

from office_ingest.prove.verify import verify_database
from office_ingest.storage.sqlite import HEARTBEATS_KEPT, SqliteStore
from protocol.errors import GENERATION, REPLAY
from protocol.messages import parse_time_token
from protocol.uplink import FORK, HEARTBEAT_SEEN, HEARTBEAT_TAKEN, QUARANTINED, STORED
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk
from tests.support.older_office import make_older

REFUSED = QUARANTINED + REPLAY
BOOTS = 5


@pytest.fixture
def device(desk):
    """A registered device."""
    made = DeviceModel()
    desk.add(made)
    return made


def _live(desk, device):
    """Boot often and be heard each time; return an image of the first boot."""
    desk.take(device.seal(0), device.seal(1), heartbeats=[device.heartbeat()])
    image = device.image()
    for _ in range(BOOTS):
        device.restart()
        desk.take(device.seal(0), heartbeats=[device.heartbeat(), device.heartbeat()])
    return image


def _put_back(device, image):
    """Boot from an older image, and learn it."""
    device.put_back(image)
    device.restart()
    device.new_epoch()
    device.bundle = (7, bytes(range(32)))


def _beat(desk, device, **fields):
    return desk.take(heartbeats=[device.heartbeat(**fields)])


def test_receipt_names_the_generation_of_its_own_epoch_and_those_before(desk, device):
    """A device compares it with the one its own epoch began with: what later epochs brought must not be in it."""
    desk.take(*[device.seal(0) for _ in range(70)])
    device.new_epoch()
    desk.take(device.seal(0))
    answer = desk.take(heartbeats=[device.heartbeat()])
    receipts = [device.read_receipt(raw) for raw in answer.receipts]

    assert {0: 2, 1: 3} == {receipt.epoch: receipt.generation for receipt in receipts}


def test_epoch_begun_by_a_stale_receipt_is_refused_and_its_device_can_tell(desk, device):
    """The office held generation 2 of the epoch before when the device, told of generation 1, began with 2."""
    desk.take(*[device.seal(0) for _ in range(70)])
    device.new_epoch()
    device.lanes[0].base = 2
    answer = desk.take(device.seal(0))
    receipts = [device.read_receipt(raw) for raw in answer.receipts]

    assert [QUARANTINED + GENERATION] == answer.outcomes
    assert [(0, 2)] == [(receipt.epoch, receipt.generation) for receipt in receipts]


def test_device_that_was_put_back_is_heard_from_its_new_epoch_on(desk, device):
    """Its boots are below those of its former life: heartbeats are taken all the same, with heads, report and time."""
    image = _live(desk, device)
    _put_back(device, image)
    segment = device.seal(0)
    heard = len(desk.heard)
    answers = [desk.take(segment, heartbeats=[device.heartbeat()]), _beat(desk, device)]

    assert [[HEARTBEAT_TAKEN]] * 2 == [answer.heartbeat_outcomes for answer in answers]
    assert heard + 2 == len(desk.heard)
    tokens = [parse_time_token(answer.time_tokens[0]).fields for answer in answers]
    assert [(2, 1), (2, 2)] == [(token.boot, token.counter) for token in tokens]
    assert [(0, 2, 2)] == desk.rows("heads", "number, boot, counter", "epoch = 1")
    assert [(2, 2, 7)] == desk.rows("reports", "boot, counter, version")
    assert [] == desk.findings()


def test_heartbeat_of_an_older_epoch_stays_a_replay(desk, device):
    """Whatever boot it names: neither the former life nor the time before the new epoch is heard any more."""
    image = _live(desk, device)
    late = device.heartbeat()
    device.put_back(image)
    device.restart()
    before = device.heartbeat()
    assert [REFUSED] == desk.take(heartbeats=[before]).heartbeat_outcomes
    _put_back(device, image)
    _beat(desk, device)
    answer = desk.take(heartbeats=[late, before])

    assert ([REFUSED] * 2, []) == (answer.heartbeat_outcomes, answer.time_tokens)
    assert [(1, 2)] == desk.rows("heartbeats", "epoch, boot", "epoch = 1")


def test_same_boot_and_counter_of_another_epoch_is_no_clone(desk, device):
    """Boots are counted again after an image: only two heartbeats of one epoch, boot and counter tell of two devices."""
    image = _live(desk, device)
    _put_back(device, image)
    beat = device.heartbeat()
    desk.take(heartbeats=[beat])
    again = desk.take(heartbeats=[beat])
    assert ([HEARTBEAT_SEEN], []) == (again.heartbeat_outcomes, desk.findings())
    device.counter -= 1
    answer = _beat(desk, device, tick_ms=99)

    assert [REFUSED] == answer.heartbeat_outcomes
    assert [("clone", "epoch 1 boot 2")] == desk.findings()


def test_evidence_about_a_head_is_the_heartbeat_of_its_own_epoch(desk, device):
    """The former life had a heartbeat of the same boot and counter: it is not what contradicts the new one's segment."""
    image = _live(desk, device)
    _put_back(device, image)
    beat = device.heartbeat(critical=(0, 0, bytes(32)))
    answer = desk.take(device.seal(0), heartbeats=[beat])

    assert [STORED] == answer.outcomes
    assert [("head", 1, beat)] == desk.rows("forks", "kind, epoch, raw")
    # What the auditor makes of the same two things.
    found = verify_database(desk.store.connection, desk.keystore).findings
    assert {"forks", "heads", "events"} == {finding.table for finding in found}


@pytest.mark.parametrize("beats", [1, HEARTBEATS_KEPT + 6])
def test_what_is_kept_of_a_device_that_was_put_back_agrees(desk, device, beats):
    """The newest epoch's heartbeats are kept longest, and the auditor finds nothing wrong with them, however many there were."""
    image = _live(desk, device)
    _put_back(device, image)
    desk.take(device.seal(0), heartbeats=[device.heartbeat() for _ in range(beats)])
    kept = desk.rows("heartbeats", "counter", "epoch = 1")

    assert min(beats, HEARTBEATS_KEPT) == len(kept)
    assert beats == max(kept)[0]
    found = verify_database(desk.store.connection, desk.keystore).findings
    # Orders are used again: that a flash was put back is said there, and nowhere else.
    assert ["events"] == [finding.table for finding in found]


def test_segment_of_the_life_before_is_evidence_and_the_new_epoch_goes_on(desk, device):
    """What was sealed between the image and the moment the device learned of it is a fork of the old epoch, and of that alone."""
    image = _live(desk, device)
    device.put_back(image)
    device.restart()
    fork = device.seal(0, [device.sample([9, 9])])
    device.new_epoch()
    answer = desk.take(fork, device.seal(0), heartbeats=[device.heartbeat()])

    assert ([FORK, STORED], [HEARTBEAT_TAKEN]) == (answer.outcomes, answer.heartbeat_outcomes)
    assert {(0, 0): BOOTS, (0, 1): 0} == {
        key: number for key, number in desk.receipts(answer).items() if key[0] == 0
    }


def test_heartbeats_of_an_older_file_are_carried_over(tmp_path, monkeypatch):
    """A database that knew heartbeats by boot and counter alone keeps every row as it was written, and takes a second epoch's."""
    with monkeypatch.context() as older:
        make_older(older.setattr, "0005")
        desk = OfficeDesk(tmp_path)
        device = DeviceModel()
        desk.add(device)
        image = _live(desk, device)
        before = desk.rows("heartbeats")
        desk.close()
    SqliteStore.open(tmp_path / "office.db").close()
    desk = OfficeDesk(tmp_path, is_there=True)
    after = desk.rows("heartbeats")
    found = verify_database(desk.store.connection, desk.keystore).findings
    _put_back(device, image)
    answer = _beat(desk, device)
    again = verify_database(desk.store.connection, desk.keystore).findings
    desk.close()

    assert (before, 1 + 2 * BOOTS) == (after, len(after))
    assert ([], [HEARTBEAT_TAKEN], []) == (found, answer.heartbeat_outcomes, again)
