"""What the office stores, refuses, keeps as evidence and answers, whatever a gateway brings."""

import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from office_ingest.errors import StoreUnavailable
from protocol import errors, keys
from protocol.event import DECISION, encode_events
from protocol.messages import parse_time_token
from protocol.segment import Header, parse_segment, seal_segment
from protocol.uplink import DUPLICATE, FORK, HEARTBEAT_SEEN, HEARTBEAT_TAKEN, QUARANTINED, STORED
from tests.support.device_model import DeviceModel, ctr
from tests.support.office_desk import OfficeDesk


@pytest.fixture
def device(desk):
    """A registered device."""
    made = DeviceModel()
    desk.add(made)
    return made


def _refused(code):
    return QUARANTINED + code


def test_segments_are_stored_and_receipted(desk, device):
    """A run of good segments is stored, and the receipt reaches its last."""
    raws = [device.seal(0) for _ in range(3)]
    answer = desk.take(*raws)

    assert [STORED] * 3 == answer.outcomes
    receipt = device.read_receipt(answer.receipts[0])
    assert (0, 0, 2, device.lanes[0].segments[2].digest, 0) == (
        *(receipt.lane, receipt.epoch, receipt.number, receipt.digest, receipt.generation),
    )


def test_receipt_waits_for_the_first_missing_number(desk, device):
    """A receipt never reaches over a gap, and the gap is wanted."""
    raws = [device.seal(0) for _ in range(5)]
    answer = desk.take(raws[0], raws[1], raws[4])

    assert {(0, 0): 1} == desk.receipts(answer)
    assert [(device.device, 0, 0, 2, 4)] == answer.wants
    answer = desk.take(raws[2], raws[3])
    assert {(0, 0): 4} == desk.receipts(answer)
    assert [] == answer.wants
    assert [("filled", 2, 4)] == desk.rows("gaps", "state, start, stop")


def test_same_segment_twice_is_one_row(desk, device):
    """Equal bytes of a verified segment are a duplicate, in one request and in two."""
    raw = device.seal(0)

    assert [STORED, DUPLICATE] == desk.take(raw, raw).outcomes
    assert [DUPLICATE] == desk.take(raw).outcomes
    assert 1 == len(desk.rows("segments"))
    assert [(1, 1, 2)] == desk.rows("tallies", "segments, events, duplicates")


def test_refused_bytes_are_never_a_duplicate(desk, device):
    """Bytes whose seal does not fit are refused each time they come, and counted."""
    forged = bytearray(device.seal_only(0, [device.sample([1, 2])]))
    forged[-1] ^= 1
    outcomes = [desk.take(bytes(forged)).outcomes for _ in range(3)]

    assert [[_refused(errors.SEAL)]] * 3 == outcomes
    assert [(errors.SEAL, 3)] == desk.rows("quarantine", "code, times")
    assert [] == desk.rows("segments")


@pytest.mark.parametrize("cut", [0, 1, 2, 50, -1])
def test_truncated_segment_is_quarantined(desk, device, cut):
    """Cut bytes are kept as they came, and nothing is stored."""
    raw = device.seal(0)[: cut or 1]
    answer = desk.take(raw)

    assert [_refused(errors.MALFORMED)] == answer.outcomes
    assert [(raw, None)] == desk.rows("quarantine", "raw, device")


def test_oversized_segment_is_quarantined(desk, device):
    """More than segment_bytes_max bytes are refused by size alone."""
    assert [_refused(errors.TOO_LARGE)] == desk.take(device.seal(0) + bytes(512)).outcomes


def test_wrong_version_is_quarantined(desk, device):
    """An unknown version is refused, never guessed."""
    raw = device.seal(0).replace(b"\x82\x8b\x01\x48", b"\x82\x8b\x02\x48", 1)

    assert [_refused(errors.VERSION)] == desk.take(raw).outcomes


def test_unknown_device_is_quarantined_without_a_name(desk):
    """A device that was never registered fills only the common corner of the quarantine."""
    assert [_refused(errors.UNKNOWN_DEVICE)] == desk.take(DeviceModel(7).seal(0)).outcomes
    assert [(None,)] == desk.rows("quarantine", "device")


def test_device_without_keys_does_not_stop_the_others(desk, device):
    """A registered device that the keystore lacks is put aside; the rest of the request is stored."""
    other = DeviceModel(8)
    desk.registry.add_device(other.device, name="x", site="s", now_ms=1)
    answer = desk.take(other.seal(0), device.seal(0), heartbeats=[other.heartbeat()])

    assert [_refused(errors.UNKNOWN_DEVICE), STORED] == answer.outcomes
    assert [_refused(errors.UNKNOWN_DEVICE)] == answer.heartbeat_outcomes


def test_wrong_key_is_quarantined(desk, device):
    """A segment sealed with another device's key does not pass as this one's."""
    stranger = DeviceModel(9)
    stranger.device = device.device
    stranger.lanes[0] = type(stranger.lanes[0])(device.device, 0, 0, 0)

    assert [_refused(errors.SEAL)] == desk.take(stranger.seal(0)).outcomes


def test_wrong_generation_is_quarantined(desk, device):
    """A number has one generation; a valid seal of another one is refused."""
    first = device.seal(0)
    wrong = device.seal_only(0, [device.sample([1, 2])], generation=1)

    assert [STORED, _refused(errors.GENERATION)] == desk.take(first, wrong).outcomes


def test_first_segment_of_epoch_0_cannot_begin_above_0(desk, device):
    """Base 0 is the only one for epoch 0, even before anything of it was verified."""
    raw = device.seal_only(0, [device.sample([1, 2])], generation=3)

    assert [_refused(errors.GENERATION)] == desk.take(raw).outcomes


def test_new_epoch_cannot_use_a_generation_again(desk, device):
    """The base of a new epoch is above every generation that was verified of that lane."""
    old = [device.seal(0) for _ in range(33)]
    device.new_epoch()
    device.lanes[0].base = 1
    again = device.seal_only(0, [device.sample([1, 2])])
    device.lanes[0].base = 2
    good = device.seal(0)

    assert _refused(errors.GENERATION) == desk.take(*old, again).outcomes[-1]
    assert [STORED] == desk.take(good).outcomes


def test_old_epoch_cannot_reach_into_the_new_one(desk, device):
    """Once a later epoch is known, an earlier one ends below its base."""
    for _ in range(32):
        device.seal(0)
    device.new_epoch()
    device.lanes[0].base = 1
    desk.take(device.seal(0))
    old = device.past[0]
    header = Header(device.device, 0, 0, 32, 32, 1, old.previous, 1, keys.OFFICE, 0)
    tag_key = keys.tag_key(device.seal_key(0, 1))
    plaintext = encode_events(1, [device.sample([1, 2])])
    raw = seal_segment(header, plaintext, tag_key, *device.view_keys(keys.OFFICE, 0), ctr)

    assert [_refused(errors.GENERATION)] == desk.take(raw).outcomes


def test_far_generation_is_refused_before_keys_are_derived(desk, device):
    """A number far ahead is refused cheaply: no key is derived for it."""
    device.new_epoch()
    device.lanes[0].base = 4097
    raw = device.seal(0)
    derived = []
    desk.keystore.seal_key = lambda *of: derived.append(of)

    assert [_refused(errors.FAR_GENERATION)] == desk.take(raw).outcomes
    assert [] == derived


def test_generation_at_the_limit_is_taken(desk, device):
    """4,096 above the highest verified is still within reach."""
    device.new_epoch()
    device.lanes[0].base = 4096

    assert [STORED] == desk.take(device.seal(0)).outcomes
    assert [(0,), (4096,)] == desk.keystore._connection.execute(
        "SELECT generation FROM seal_keys WHERE lane = 0 ORDER BY 1"
    ).fetchall()


def test_fork_keeps_both_and_stops_receipts(desk, device):
    """Another sealed segment for a held number is evidence: the first keeps the place, receipts stop below."""
    first, second = device.seal(0), device.seal_only(0, [device.sample([9, 9])], number=1)
    fork = device.seal_only(0, [device.sample([8, 8])])
    device.seal(0)
    fork_of_1 = device.lanes[0].segments[1].raw
    answer = desk.take(first, second, fork_of_1)

    assert [STORED, STORED] == answer.outcomes[:2]
    assert FORK == answer.outcomes[2]
    assert {(0, 0): 0} == desk.receipts(answer)
    assert [(1, 1, fork_of_1)] == desk.rows("forks", "number, contested, raw")
    assert [second] == [row[0] for row in desk.rows("segments", "raw", "number = 1")]
    assert [("fork", "critical epoch 0 number 1")] == desk.findings()
    assert [FORK] == desk.take(fork_of_1).outcomes
    assert fork != fork_of_1


def test_forged_segment_first_does_not_take_the_place(desk, device):
    """A forged segment that comes first is put aside, and the real one finds its place free."""
    forged = bytearray(device.seal(0))
    real = bytes(forged)
    forged[-1] ^= 1
    answer = desk.take(bytes(forged), real)

    assert [_refused(errors.SEAL), STORED] == answer.outcomes
    assert [] == desk.rows("forks")
    assert {(0, 0): 0} == desk.receipts(answer)


@pytest.mark.parametrize("first", ["before", "after"])
def test_segment_that_does_not_continue_its_neighbour_is_evidence(desk, device, first):
    """A sealed contradiction in the chain is found from both sides, and receipts stop below the number in doubt."""
    zero, other_zero = device.seal_only(0, [device.sample([1, 1])]), device.seal(0)
    one = device.seal(0)
    segments = [zero, one] if first == "before" else [one, zero]
    answer = desk.take(*segments)

    assert [STORED, FORK] == answer.outcomes
    assert [("chain", 0)] == desk.rows("forks", "kind, contested")
    assert {} == desk.receipts(answer)
    assert zero != other_zero


def test_sequence_that_jumps_is_evidence(desk, device):
    """A first_sequence that does not follow from the count before is a contradiction too."""
    zero = device.seal(0)
    one = device.seal_only(0, [device.sample([1, 1])], first_sequence=7)

    assert [STORED, FORK] == desk.take(zero, one).outcomes


def test_segment_0_must_begin_at_the_genesis(desk, device):
    """A sealed number 0 that names another digest before it is evidence, not a start."""
    raw = device.seal_only(0, [device.sample([1, 1])], previous=bytes(32))

    assert [FORK] == desk.take(raw).outcomes


def test_period_far_ahead_is_quarantined(desk, device):
    """The view ratchet is not moved by thousands of steps at once."""
    device.period = 5000

    assert [_refused(errors.PERIOD)] == desk.take(device.seal(0)).outcomes


def test_erased_period_is_stored_unread(desk, device):
    """Erasing a period's key takes the words, not the segment: its seal still holds."""
    desk.keystore.erase_period(device.device, keys.OFFICE, 0)

    assert [STORED] == desk.take(device.seal(0)).outcomes


def test_tombstone_turns_a_gap_into_a_lost_one(desk, device):
    """What a tombstone covers counts for the receipt, and stands as lost."""
    raws = [device.seal(1) for _ in range(6)]
    stone = device.tombstone(1, 2, 4)
    answer = desk.take(raws[0], raws[1], raws[5], stone)

    assert {(1, 0): 6} == desk.receipts(answer)
    assert [("lost", 2, 5)] == desk.rows("gaps", "state, start, stop")
    assert [] == answer.wants


def test_receipt_ends_on_a_tombstones_last(desk, device):
    """Where the settled run ends in what a tombstone covers, the receipt carries the tombstone's last digest."""
    raws = [device.seal(1) for _ in range(5)]
    stone = device.tombstone(1, 1, 2)
    answer = desk.take(raws[0], stone)
    receipt = device.read_receipt(answer.receipts[0])

    assert (2, parse_segment(raws[2]).digest) == (receipt.number, receipt.digest)


def test_lost_segment_that_still_arrives_fills_its_gap(desk, device):
    """A gap declared lost is filled by the segment itself."""
    raws = [device.seal(1) for _ in range(4)]
    stone = device.tombstone(1, 1, 2)
    desk.take(raws[0], raws[3], stone)
    desk.take(raws[1])

    assert [("filled", 1, 2), ("lost", 2, 3)] == sorted(desk.rows("gaps", "state, start, stop"))
    assert [] == desk.findings()


LIES = {"before": bytes(32), "last_digest": bytes(32), "event_count": 7}


@pytest.mark.parametrize("first", ["stone", "segments"])
@pytest.mark.parametrize("lie", LIES)
def test_tombstone_that_contradicts_what_is_held_excuses_nothing(desk, device, lie, first):
    """A tombstone is compared with the held segments around it, whichever came first."""
    raws = [device.seal(1) for _ in range(4)]
    stone = device.tombstone(1, 1, 2, **{lie: LIES[lie]})
    segments = [raws[0], raws[3]]
    answer = desk.take(*([stone, *segments] if first == "stone" else [*segments, stone]))

    assert {(1, 0): 0} == desk.receipts(answer)
    assert [("open", 1, 3)] == desk.rows("gaps", "state, start, stop")
    assert [("tombstone", "routine epoch 0 number 4")] == desk.findings()


def test_contradicted_tombstone_is_still_known_after_a_restart(desk, device):
    """What contradicts is computed from what is held, not remembered."""
    raws = [device.seal(1) for _ in range(4)]
    desk.take(raws[0], raws[3], device.tombstone(1, 1, 2, event_count=9))
    desk.start()
    answer = desk.take(device.seal(1))

    assert {(1, 0): 0} == desk.receipts(answer)


def test_heartbeat_head_opens_a_gap(desk, device):
    """A sealed head that is not held shows what was cut off, and it is wanted."""
    raws = [device.seal(0) for _ in range(3)]
    answer = desk.take(raws[0], heartbeats=[device.heartbeat()])

    assert [HEARTBEAT_TAKEN] == answer.heartbeat_outcomes
    assert [(device.device, 0, 0, 1, 3)] == answer.wants
    assert [device.device] == desk.heard


def test_heartbeat_is_answered_with_time(desk, device):
    """Each fresh heartbeat gets a sealed time token for itself; the same one again gets none."""
    beat = device.heartbeat()
    token = parse_time_token(desk.take(heartbeats=[beat]).time_tokens[0])
    token.verify(keys.downlink_key(device.downlink, "time"))
    again = desk.take(heartbeats=[beat])

    assert (1, 1) == (token.fields.boot, token.fields.counter)
    assert ([HEARTBEAT_SEEN], []) == (again.heartbeat_outcomes, again.time_tokens)


def test_older_heartbeat_is_refused(desk, device):
    """(epoch, boot, counter) rises strictly; an older one says nothing and gets no time."""
    old, new = device.heartbeat(), device.heartbeat()
    desk.take(heartbeats=[new])
    answer = desk.take(heartbeats=[old])

    assert ([_refused(errors.REPLAY)], []) == (answer.heartbeat_outcomes, answer.time_tokens)
    assert [device.device] == desk.heard


def test_two_heartbeats_of_one_counter_tell_of_a_clone(desk, device):
    """Two sealed heartbeats with one counter come from two devices with the same keys."""
    first = device.heartbeat()
    device.counter -= 1
    second = device.heartbeat(tick_ms=99)
    answer = desk.take(heartbeats=[first, second])

    assert [HEARTBEAT_TAKEN, _refused(errors.REPLAY)] == answer.heartbeat_outcomes
    assert [("clone", "epoch 0 boot 1")] == desk.findings()


@pytest.mark.parametrize("first", ["segment", "heartbeat"])
def test_head_with_another_digest_is_a_fork(desk, device, first):
    """A heartbeat that names another digest for a held number is evidence, whichever came first."""
    raw = device.seal(0)
    beat = device.heartbeat(critical=(0, 0, bytes(32)))
    if first == "segment":
        desk.take(raw)
        answer = desk.take(heartbeats=[beat])
    else:
        desk.take(heartbeats=[beat])
        answer = desk.take(raw)

    assert [("head", beat)] == desk.rows("forks", "kind, raw")
    assert [("fork", "critical epoch 0 number 0")] == desk.findings()
    assert first == "segment" or {} == desk.receipts(answer)


def test_head_that_goes_back_is_told(desk, device):
    """A device whose head falls within an epoch has lost or hides segments."""
    raws = [device.seal(0) for _ in range(2)]
    desk.take(*raws, heartbeats=[device.heartbeat()])
    desk.take(heartbeats=[device.heartbeat(critical=(0, 0, parse_segment(raws[0]).digest))])

    assert [("head", "critical epoch 0")] == desk.findings()


def test_pruned_without_tombstone_is_marked(desk, device):
    """Numbers below kept_from that are missing and not covered are a gap that the device cannot fill."""
    for _ in range(3):
        device.seal(1)
    device.lanes[1].kept_from = 2
    desk.take(heartbeats=[device.heartbeat()])

    assert [(0, 2, 1), (2, 3, 0)] == sorted(desk.rows("gaps", "start, stop, pruned"))


def test_forged_heartbeat_is_refused(desk, device):
    """A heartbeat whose tag does not fit opens no gap and is not heard."""
    beat = bytearray(device.heartbeat())
    beat[-1] ^= 1

    assert [_refused(errors.SEAL)] == desk.take(heartbeats=[bytes(beat)]).heartbeat_outcomes
    assert [] == desk.heard


def test_heartbeat_of_a_far_generation_is_refused(desk, device):
    """The office derives at most 4,096 steps ahead for a heartbeat too."""
    beat = device.heartbeat(generation=4097)

    assert [_refused(errors.FAR_GENERATION)] == desk.take(heartbeats=[beat]).heartbeat_outcomes


def test_flood_of_refused_bytes_is_bounded(desk, device):
    """Refused bytes of one device fill no more than their corner; the rest is counted in a finding."""
    forged = []
    for i in range(300):
        raw = bytearray(device.seal_only(0, [device.sample([i, 0])]))
        raw[-1] ^= 1
        forged.append(bytes(raw))
    desk.take(*forged)

    assert [(256,)] == desk.rows("quarantine", "count(*)")
    assert [("quarantine-full", 44)] == desk.rows("findings", "kind, times")


def test_refused_then_good_leaves_quarantine(desk, device):
    """Bytes that were refused for being far ahead are taken out of quarantine when they can be stored."""
    device.new_epoch()
    device.lanes[0].base = 4000
    near = device.seal(0)
    device.new_epoch()
    device.lanes[0].base = 8000
    far = device.seal(0)

    assert [_refused(errors.FAR_GENERATION)] == desk.take(far).outcomes
    assert [STORED, STORED] == desk.take(near, far).outcomes
    assert [] == desk.rows("quarantine")


def test_decisions_are_counted(desk, device):
    """The tally says how many decisions are held."""
    decision = device.row(DECISION, 1, 1, 2, bytes(32), 0, [1], [0], 1, 0, [0], [0], [[1, 1, 0, None]])
    desk.take(device.seal(0, [decision]))

    assert [(1, 1)] == desk.rows("tallies", "events, decisions")


def test_restart_changes_nothing(desk, device):
    """An office that forgot its memory goes on where the database is."""
    raws = [device.seal(0) for _ in range(6)]
    desk.take(raws[0], raws[1], raws[4])
    desk.start()
    answer = desk.take(raws[2], raws[3], raws[5])

    assert {(0, 0): 5} == desk.receipts(answer)
    assert [("filled", 2, 4)] == desk.rows("gaps", "state, start, stop")


def test_what_is_receipted_is_committed(desk, device):
    """When a receipt is given, another process already finds what it covers."""
    answer = desk.take(*[device.seal(0) for _ in range(3)])
    other = sqlite3.connect(f"file:{desk.folder}/office.db?mode=ro", uri=True)
    numbers = [row[0] for row in other.execute("SELECT number FROM segments ORDER BY number")]
    receipts = other.execute("SELECT number, raw FROM receipts").fetchall()
    other.close()

    assert [0, 1, 2] == numbers
    assert [(2, answer.receipts[0])] == receipts


def test_full_disk_keeps_nothing_and_answers_nothing(desk, device):
    """A batch that does not fit leaves no trace in file or memory; the same batch is taken later."""
    desk.take(device.seal(0))
    pages = desk.store.connection.execute("PRAGMA page_count").fetchone()[0]
    desk.store.connection.execute(f"PRAGMA max_page_count = {pages}")
    raws = [device.seal(0) for _ in range(200)]
    with pytest.raises(StoreUnavailable, match="full"):
        desk.take(*raws)
    before = len(desk.rows("segments"))
    desk.store.connection.execute("PRAGMA max_page_count = 100000")

    assert 1 == before
    assert {(0, 0): 0} == desk.receipts(desk.take(raws[150]))
    assert {(0, 0): 200} == desk.receipts(desk.take(*raws))


def _site():
    """Return a device and all it sealed: two lanes, two epochs, several generations and periods, tombstones."""
    device = DeviceModel(5)
    for number in range(70):
        device.period = number // 30
        device.seal(0)
        device.seal(1)
        if number in (20, 60):
            device.tombstone(1, 3, 9)
    device.new_epoch()
    for _ in range(5):
        device.seal(0)
        device.seal(1)
    device.tombstone(0, 0, 2)
    return device


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_order_of_arrival_does_not_matter(tmp_path_factory, seed):
    """Any order, any batches, repeats and a restart lead to the same tables as the order of sealing."""
    chance = random.Random(seed)
    device = _site()
    beat = device.heartbeat()
    raws = [s.raw for s in device.all_segments() if chance.random() < 0.9]
    contents = []
    for order in (raws, chance.sample(raws, len(raws))):
        desk = OfficeDesk(tmp_path_factory.mktemp("desk"))
        desk.add(device)
        rest = [*order, *order[:20]]
        at_beat = chance.randrange(len(rest)) if order is not raws else 0
        while rest:
            size = chance.randint(1, 40)
            if len(rest) <= len(raws) + 20 - at_beat:
                desk.take(heartbeats=[beat])
            desk.take(*rest[:size])
            rest = rest[size:]
            if chance.random() < 0.2:
                desk.start()
        desk.take(heartbeats=[beat])
        contents.append(desk.contents())
        desk.close()

    assert contents[0] == contents[1]


def test_segment_brought_by_another_sites_gateway_is_stored_under_its_name(desk, device):
    """A seal proves a segment whoever carries it; which gateway did is kept beside it, and its receipt goes back that way."""
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-2", token="another token, of site 2", now_ms=1)
    answer = desk.ingest.take("gw-2", [device.seal(0)], [])

    assert [STORED] == answer.outcomes
    assert {(0, 0): 0} == desk.receipts(answer)
    assert [("gw-2",)] == desk.rows("segments", "gateway")
