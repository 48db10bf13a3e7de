"""The office gives a device other keys: it goes on verifying what was sealed before, and takes nothing more that is sealed so.

The device is the real agent over flash in memory; what it sealed is brought to the real office in whatever order.
"""

import copy
import random
import sqlite3

import pytest

from agent.keystore import Keystore as DeviceKeystore
from office_ingest.errors import StoreUnavailable
from office_ingest.govern.commands import CommandRefused, give_command
from office_ingest.govern.rekey import GIVEN, IN_FORCE, REFUSED, TAKEN, give_rekey, rekey_status
from office_ingest.overview import open_read_only
from office_ingest.prove.verify import verify_database
from office_ingest.receive.epoch_ends import KEYS
from office_ingest.receive.keystore import VERSION, VERSION_REKEYED, Keystore
from office_ingest.storage.downward import Downward
from protocol.command import DONE, OUT_OF_RANGE, REKEY, REPORT, SET_SETTING, parse_command
from protocol.errors import FAR_GENERATION, REPLAY, SEAL, SUPERSEDED
from protocol.event import EPOCH_START
from protocol.keys import (
    CRITICAL,
    LANE_NAMES,
    LANES,
    OFFICE,
    ROUTINE,
    SITE,
    body_keys,
    downlink_key,
    rekey_root,
    rekeyed,
    seal_ahead,
    view_key,
)
from protocol.limits import generation_ahead_max
from protocol.messages import parse_receipt
from protocol.uplink import HEARTBEAT_TAKEN, QUARANTINED, STORED
from tests.agent import desk as agent_desk
from tests.agent.desk import DEVICE, DOWNLINK, SEAL_ROOT, VIEW_ROOT
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

DAY_MS = 86_400_000
# Far more than any list of a device's epochs that is cut short would hold.
EPOCHS_SINCE = 150


class Pair:
    """A device and its office; the gateway between is the test's."""

    def __init__(self, folder):
        self.device = agent_desk.Desk()
        self.office = OfficeDesk(folder)
        self.office.registry.add_device(DEVICE, name="pump", site="site-1", now_ms=1)
        self.office.keystore.enrol(DEVICE, SEAL_ROOT, VIEW_ROOT, DOWNLINK)
        self.office.registry.add_bundle(agent_desk.BUNDLE)
        self.office.registry.add_schema(agent_desk.SCHEMA)
        self.gateway = self.device.gateway
        self._brought = set()
        self._beats = 0

    def now_ms(self):
        return self.device.clock.wall_ms()

    def rekey(self):
        """Give other keys, and hand the command down."""
        given = give_rekey(
            self.office.store,
            self.office.keystore,
            DEVICE,
            author="test",
            now_ms=self.now_ms(),
            lasts_ms=30 * DAY_MS,
        )
        self.gateway.keys.expect(given.number, given.demand)
        self.hand_down()
        return given

    def command(self, demand):
        """Give any other command, and hand it down."""
        given = give_command(
            self.office.store,
            self.office.keystore,
            DEVICE,
            demand,
            author="test",
            now_ms=self.now_ms(),
            lasts_ms=30 * DAY_MS,
        )
        self.hand_down()
        return given

    def hand_down(self):
        """Let the gateway hold what the office has waiting."""
        rows = Downward(self.office.store).commands(DEVICE)
        self.gateway.commands = {row.number: row.raw for row in rows if row.verdict is None}

    def waiting(self, only=lambda segment: True):
        """Return the segments that were not brought yet, the oldest first."""
        found = [
            one for key, one in sorted(self.gateway.segments.items(), key=_age) if key not in self._brought
        ]
        return [one for one in found if only(one)]

    def bring(self, segments=None, beats=True):
        """Bring segments (all that wait) and heartbeats; return the answer."""
        segments = self.waiting() if segments is None else segments
        self._brought |= {_key(one) for one in segments}
        heartbeats = self.gateway.raw_heartbeats[self._beats :][-200:] if beats else []
        self._beats = len(self.gateway.raw_heartbeats) if beats else self._beats
        answer = None
        for at in range(0, max(1, len(segments)), 500):
            part = segments[at : at + 500]
            answer = self.office.take(*[one.raw for one in part], heartbeats=heartbeats if not at else ())
            assert set(answer.outcomes) <= {STORED}, answer.outcomes
        return answer

    def wrong(self):
        """Return what is missing, refused, or to be looked at."""
        missing = self.office.rows("gaps", "*", "state <> 'filled'")
        return missing, self.office.rows("quarantine"), self.office.findings()

    def status(self):
        return rekey_status(self.office.store, DEVICE)["state"]


def _key(segment):
    return segment.header.lane, segment.header.epoch, segment.header.number


def _age(item):
    return item[0][1], item[0][0], item[0][2]


@pytest.fixture
def pair(tmp_path):
    """A device that ran for a while and is known."""
    made = Pair(tmp_path)
    made.device.run(2)
    made.bring()
    yield made
    made.office.close()


def _rekeyed(pair):
    given = pair.rekey()
    pair.device.run(3)
    return given


def test_everything_before_during_and_after_is_held_and_verified(pair, tmp_path):
    """No gap, nothing in quarantine, no finding; an auditor with the keystore finds every seal and decision as it was."""
    _rekeyed(pair)
    answer = pair.bring()
    connection = open_read_only(tmp_path / "office.db")
    report = verify_database(connection, pair.office.keystore)
    connection.close()
    counts = report.counts

    assert set(answer.heartbeat_outcomes) == {HEARTBEAT_TAKEN}
    assert pair.status() == IN_FORCE
    assert pair.wrong() == ([], [], [])
    assert {row[0] for row in pair.office.rows("segments", "epoch")} == {0, 1}
    assert [finding.text() for finding in report.findings] == []
    assert counts["decisions"] == counts["decisions_replayed_equal"] > 0
    assert counts["run_replay_coverage"] == 1.0
    assert counts["commands_verified"] == 1
    assert counts["receipts_verified"] == 4


@pytest.mark.parametrize("seed", range(6))
def test_order_of_arrival_does_not_matter(pair, seed):
    """New epoch first, old epoch last, or all mixed: the same is held in the end, and nothing is refused on the way."""
    _rekeyed(pair)
    segments = pair.waiting()
    random.Random(seed).shuffle(segments)
    for one in segments:
        pair.bring([one], beats=False)
    pair.bring([])

    assert pair.wrong() == ([], [], [])
    assert len(pair.office.rows("segments")) == len(pair.gateway.segments)
    assert Downward(pair.office.store).command(DEVICE, 1).verdict == DONE


def test_old_epoch_that_comes_after_the_proof_spoils_no_key(pair):
    """A seal key of before that was looked up once more leads nowhere across the place where the others begin."""
    pair.device.run(2)
    _rekeyed(pair)
    old = pair.waiting(lambda one: one.header.lane == ROUTINE and one.header.epoch == 0)
    new = pair.waiting(lambda one: one.header.lane == ROUTINE and one.header.epoch == 1)
    assert old and new
    pair.bring([])
    pair.bring(old, beats=False)
    pair.bring(new, beats=False)

    assert pair.office.rows("quarantine") == []


def test_receipts_of_every_epoch_that_came_are_given(pair):
    """A gateway keeps what no receipt covers; what comes late from three epochs back gets its receipt all the same."""
    late = []
    for _ in range(3):
        pair.device.run(1)
        late += pair.waiting(lambda one: one.header.lane == ROUTINE)
        pair._brought |= {_key(one) for one in late}
        _rekeyed(pair)
        pair.bring()
    answer = pair.office.take(*[one.raw for one in late])
    given = {
        (receipt.lane, receipt.epoch) for receipt in (parse_receipt(raw).fields for raw in answer.receipts)
    }

    assert {(one.header.lane, one.header.epoch) for one in late} <= given


def test_first_heartbeat_alone_proves_the_other_keys(pair):
    """Its time token and what follows are sealed under the new downlink key."""
    _rekeyed(pair)
    answer = pair.office.take(heartbeats=pair.gateway.raw_heartbeats[-1:])

    assert answer.heartbeat_outcomes == [HEARTBEAT_TAKEN]
    assert pair.office.keystore.downlink(DEVICE) == pair.gateway.keys.downlink
    assert pair.office.keystore.downlinks(DEVICE)[1:] == [DOWNLINK]


def test_answer_alone_settles_nothing(pair):
    """The device says that it took it, under the keys of before; a cut may have kept it from that. Its old keys stay good until more is there."""
    _rekeyed(pair)
    pair.bring(pair.waiting(lambda one: one.header.epoch == 0), beats=False)

    assert pair.status() == TAKEN
    assert pair.office.keystore.downlink(DEVICE) == DOWNLINK


def test_receipts_of_the_old_epoch_are_sealed_anew(pair):
    """The device can believe them, and so it gives up what it kept of before."""
    _rekeyed(pair)
    pair.bring(pair.waiting(lambda one: one.header.epoch == 0), beats=False)
    answer = pair.bring()
    key = downlink_key(pair.gateway.keys.downlink, "receipt")

    assert {parse_receipt(raw).fields.epoch for raw in answer.receipts} == {0, 1}
    for raw in [*answer.receipts, *(row[0] for row in pair.office.rows("receipts", "raw"))]:
        parse_receipt(raw).verify(key)


def test_command_given_meanwhile_is_sealed_anew_and_carried_out(pair):
    """It waited behind the rekey under the old key; once that is proved it comes under the new one."""
    pair.rekey()
    pair.command([SET_SETTING, 2, 5000])
    pair.device.run(3)
    assert pair.device.agent.setting(2) != 5000
    pair.bring()
    pair.hand_down()
    pair.device.run(2)
    pair.bring()

    assert [row.verdict for row in Downward(pair.office.store).commands(DEVICE)] == [DONE, DONE]
    assert pair.device.agent.setting(2) == 5000


def test_second_rekey_waits_for_the_first(pair):
    """One at a time; it is refused in words, and nothing was given."""
    pair.rekey()
    with pytest.raises(CommandRefused, match="command 1 to take other keys waits already"):
        pair.rekey()

    assert [row.number for row in Downward(pair.office.store).commands(DEVICE)] == [1]


def test_devices_that_are_rekeyed_again_go_on(pair):
    """Three times in a row, each under what the one before began."""
    for _ in range(3):
        _rekeyed(pair)
        pair.bring()

    assert pair.status() == IN_FORCE
    assert len(pair.office.keystore.downlinks(DEVICE)) == 4
    assert pair.wrong() == ([], [], [])


def test_rekey_that_a_device_refused_is_forgotten(pair):
    """Its chains go on over where the other keys would have begun."""
    demand = [REKEY, 0, 0, 1, 2]
    pair.office.keystore.add_rekey(DEVICE, 1, demand)
    pair.command(demand)
    pair.device.run(2)
    pair.bring()

    assert Downward(pair.office.store).command(DEVICE, 1).verdict == OUT_OF_RANGE
    assert pair.office.keystore.pending_rekeys(DEVICE) == []
    assert pair.status() == REFUSED


def test_rekey_that_never_arrived_does_no_harm(pair):
    """The device goes on under its own chain past the place where the others would have begun."""
    pair.rekey()
    pair.gateway.commands.clear()
    model = DeviceModel()
    model.device, model.seal_root, model.view_root = DEVICE, SEAL_ROOT, VIEW_ROOT
    model.period, model.epoch = 70, 5
    model.lanes = []
    pair.device.run(2)
    pair.bring()
    keystore = pair.office.keystore

    assert pair.status() == GIVEN
    assert keystore.seal_key(DEVICE, CRITICAL, 1500) == model.seal_key(CRITICAL, 1500)


def test_keys_of_before_stay_for_what_was_sealed_before(pair):
    """View keys below the new period are rows, seal keys below the new generation are derived as ever."""
    keystore = pair.office.keystore
    before = {
        "seal": [keystore.seal_key(DEVICE, lane, 1023) for lane in LANES],
        "view": [keystore.view_key(DEVICE, view_class, 3) for view_class in (SITE, OFFICE)],
    }
    given = _rekeyed(pair)
    pair.bring()

    assert [keystore.seal_key(DEVICE, lane, 1023) for lane in LANES] == before["seal"]
    assert [keystore.view_key(DEVICE, view_class, 3) for view_class in (SITE, OFFICE)] == before["view"]
    assert all(keystore.view_key(DEVICE, SITE, period) for period in range(given.demand[2]))


def test_what_was_erased_stays_erased(pair):
    """A rekey brings no view key back."""
    pair.office.keystore.erase_period(DEVICE, SITE, 1)
    _rekeyed(pair)
    pair.bring()

    assert pair.office.keystore.view_key(DEVICE, SITE, 1) is None


def _thief(pair):
    """Return a copy of the device as it was: its flash and its own way of going on."""
    image = bytes(pair.device.flash.image)
    gateway = pair.device.gateway
    thief = agent_desk.Desk()
    thief.flash.image[:] = image
    thief.gateway.segments = dict(gateway.segments)
    thief.gateway.highest = dict(gateway.highest)
    thief.clock.now = pair.device.clock.now
    return thief


def test_copied_flash_can_add_nothing_to_the_epoch_of_before(pair):
    """What it seals fits the old keys, and lies above the head that the device named when it was given others."""
    pair.rekey()
    thief = _thief(pair)
    pair.device.run(3)
    pair.bring()
    thief.gateway.gives_receipts = thief.gateway.gives_time = False
    thief.run(4)
    ends = _ends(pair)
    forged = [one for key, one in thief.gateway.segments.items() if key[1] == 0 and key[2] > ends[key[0]]]
    assert forged
    answer = pair.office.take(*[one.raw for one in forged], heartbeats=thief.gateway.raw_heartbeats[-1:])

    assert set(answer.outcomes) == {QUARANTINED + SUPERSEDED}
    assert answer.heartbeat_outcomes == [QUARANTINED + REPLAY]
    assert answer.receipts == [] or {parse_receipt(raw).fields.number for raw in answer.receipts}


def test_copied_flash_that_came_first_is_told_of(pair, tmp_path):
    """What it sealed continues the old epoch without a contradiction, until the device's own word says where that ended."""
    pair.rekey()
    pair.device.points["before_rekey"] = 1
    pair.device.run(3)
    thief = _thief(pair)
    keystore = DeviceKeystore(thief.flash, 2)
    keystore.open()
    keystore.drop_intent()
    thief.run(1)
    pair.device.run(3)
    ends = _ends(pair)
    first = [one for key, one in sorted(thief.gateway.segments.items()) if key[2] > ends[key[0]]]
    assert first
    pair.bring(pair.waiting(lambda one: one.header.epoch == 0), beats=False)
    assert set(pair.office.take(*[one.raw for one in first]).outcomes) == {STORED}
    assert pair.wrong() == ([], [], [])
    pair.bring(beats=False)
    lanes = sorted({one.header.lane for one in first})
    connection = open_read_only(tmp_path / "office.db")
    walked = [finding.text() for finding in verify_database(connection, pair.office.keystore).findings]
    connection.close()

    assert pair.office.findings() == [
        ("fork", f"{LANE_NAMES[lane]} epoch 0 number {ends[lane] + 1}") for lane in lanes
    ]
    assert len([text for text in walked if "sealed by a copy of it" in text]) == len(lanes)


@pytest.mark.parametrize("epoch", [1, 9])
def test_heartbeat_under_keys_of_before_shuts_no_device_out(pair, epoch):
    """Sealed by who copied them, of its own epoch or one above: what the device itself says counts as before."""
    _rekeyed(pair)
    pair.bring()
    thief = DeviceModel()
    thief.device, thief.seal_root = DEVICE, SEAL_ROOT
    forged = thief.heartbeat(epoch=epoch, boot=99, generation=5, critical=None, routine=None)
    answer = pair.office.take(heartbeats=[forged])
    pair.device.run(1)

    assert answer.heartbeat_outcomes == [QUARANTINED + SUPERSEDED]
    assert set(pair.bring().heartbeat_outcomes) == {HEARTBEAT_TAKEN}


def test_segment_under_keys_of_before_takes_no_place_in_the_epoch_of_other_keys(pair):
    """The device was heard under them, and what it sealed first waits at its gateway still."""
    _rekeyed(pair)
    pair.office.take(heartbeats=pair.gateway.raw_heartbeats[-1:])
    thief = DeviceModel()
    thief.device, thief.seal_root, thief.view_root = DEVICE, SEAL_ROOT, VIEW_ROOT
    thief.lanes[CRITICAL].base = 200
    thief.new_epoch()
    answer = pair.office.take(thief.seal(CRITICAL))
    pair.bring(beats=False)

    assert answer.outcomes == [QUARANTINED + SUPERSEDED]
    assert pair.wrong()[2] == []


def _ends(pair):
    return {lane: max(key[2] for key in pair.gateway.segments if key[:2] == (lane, 0)) for lane in LANES}


def test_keys_of_before_seal_nothing_of_a_later_generation(pair):
    """Who has the old chain can compute it as far as he likes: from where the others begin it fits nothing."""
    given = _rekeyed(pair)
    pair.bring()
    keystore = pair.office.keystore
    model = DeviceModel()
    model.seal_root = SEAL_ROOT
    for generation in (given.demand[1], given.demand[1] + 1, given.demand[1] + 3000):
        assert keystore.seal_key(DEVICE, ROUTINE, generation) != model.seal_key(ROUTINE, generation)


def test_batch_that_fails_behind_the_proof_is_made_good_by_the_next(pair):
    """The keystore followed and the database did not: receipts and commands are sealed anew all the same."""
    pair.rekey()
    pair.command([REPORT])
    pair.device.run(3)
    pair.office.store.connection.execute(
        "CREATE TEMP TRIGGER broken BEFORE INSERT ON heartbeats BEGIN SELECT RAISE(FAIL, 'disk'); END"
    )
    raws = [one.raw for one in pair.waiting()][:400]
    with pytest.raises((StoreUnavailable, sqlite3.DatabaseError)):
        pair.office.take(*raws, heartbeats=pair.gateway.raw_heartbeats[-1:])
    pair.office.store.connection.execute("DROP TRIGGER broken")
    assert pair.office.keystore.settled_rekeys() == [DEVICE]
    pair.office.start()
    pair.office.take(*raws, heartbeats=pair.gateway.raw_heartbeats[-1:])
    key = downlink_key(pair.office.keystore.downlink(DEVICE), "command")

    assert pair.office.keystore.settled_rekeys() == []
    parse_command(Downward(pair.office.store).command(DEVICE, 2).raw).verify(key)
    for row in pair.office.rows("receipts", "raw"):
        parse_receipt(row[0]).verify(downlink_key(pair.office.keystore.downlink(DEVICE), "receipt"))


class Rekeyed(DeviceModel):
    """A device as the office sees it, with other keys from a generation and a period on."""

    fresh = None

    def take(self, given):
        """Take a rekey command, and begin the epoch that it means."""
        self.fresh = (
            given.demand[1:3],
            rekeyed(rekey_root(self.downlink, self.device, given.number, given.demand)),
        )
        self.new_epoch()
        self.period = given.demand[2]
        for lane in self.lanes:
            lane.base = given.demand[1] + 1

    def seal_key(self, lane, generation):
        if self.fresh is None or generation < self.fresh[0][0]:
            return super().seal_key(lane, generation)
        return seal_ahead(self.fresh[1][lane], generation - self.fresh[0][0])

    def view_keys(self, view_class, period):
        if self.fresh is None or period < self.fresh[0][1]:
            return super().view_keys(view_class, period)
        assert period == self.fresh[0][1]
        return body_keys(view_key(self.fresh[1][1 + view_class]))


@pytest.fixture
def lagging(tmp_path):
    """A device whose critical lane is 8,000 generations ahead of its routine one, and its office."""
    office, device = OfficeDesk(tmp_path), Rekeyed()
    office.add(device)
    for base in (0, 4000, 8000):
        device.lanes[CRITICAL].base = base
        answer = office.take(device.seal(CRITICAL), device.seal(ROUTINE))
        assert answer.outcomes == [STORED, STORED]
        device.new_epoch()
    given = give_rekey(
        office.store, office.keystore, device.device, author="test", now_ms=office.now_ms, lasts_ms=DAY_MS
    )
    device.take(given)
    yield office, device
    office.close()


@pytest.mark.parametrize("first", LANES)
def test_lane_that_lags_far_behind_the_other_takes_other_keys_too(lagging, first):
    """Where they begin is far above all that is verified of it, and near to what the office gave: whichever lane comes first."""
    office, device = lagging
    segments = [device.seal(lane) for lane in LANES]
    outcomes = [office.take(segments[lane]).outcomes for lane in (first, 1 - first)]

    assert outcomes == [[STORED], [STORED]]
    assert office.rows("quarantine") == []


def test_generation_far_above_all_that_was_given_is_refused_before_any_key_is_derived(lagging):
    """A rekey opens no way to let the office count for hours."""
    office, device = lagging
    device.lanes[ROUTINE].base += generation_ahead_max
    answer = office.take(device.seal(ROUTINE))

    assert answer.outcomes == [QUARANTINED + FAR_GENERATION]


@pytest.fixture
def long_lived(tmp_path):
    """An office, a device that was given other keys and began many epochs since, and a copy of it from before that."""
    office, device = OfficeDesk(tmp_path), Rekeyed()
    office.add(device)
    assert office.take(*[device.seal(lane) for lane in LANES]).outcomes == [STORED, STORED]
    thief = copy.deepcopy(device)
    device.take(
        give_rekey(
            office.store, office.keystore, device.device, author="t", now_ms=office.now_ms, lasts_ms=DAY_MS
        )
    )
    ended = [[lane.number - 1, lane.previous, lane.next_sequence] for lane in device.past]
    device.seal(CRITICAL, [device.row(EPOCH_START, KEYS, 0, *ended)])
    for _ in range(EPOCHS_SINCE):
        device.new_epoch()
        device.seal(CRITICAL)
    raws = [
        segment.raw for lane in [*device.past, *device.lanes] for segment in lane.segments if lane.place[2]
    ]
    assert set(office.take(*raws).outcomes) == {STORED}
    yield office, thief
    office.close()


def test_end_of_an_epoch_holds_however_many_came_since(long_lived):
    """A copy of the first keys waits for years, and until the office has started anew: where they ended is known still."""
    office, thief = long_lived
    office.start()

    assert office.take(*[thief.seal(lane) for lane in LANES]).outcomes == 2 * [QUARANTINED + SUPERSEDED]
    assert office.findings() == []


def test_forgery_settles_nothing(pair):
    """Bytes that fit neither the old keys nor those that were given leave a pending rekey pending."""
    _rekeyed(pair)
    good = pair.waiting(lambda one: one.header.epoch == 1)[0].raw
    answer = pair.office.take(good[:-1] + bytes([good[-1] ^ 1]))

    assert answer.outcomes == [QUARANTINED + SEAL]
    assert pair.office.keystore.downlink(DEVICE) == DOWNLINK


def test_keystore_of_an_older_office_takes_rekeys(tmp_path):
    """Its tables are added when it is opened to write; an older program takes it until a rekey was given."""
    path = tmp_path / "keystore.db"
    keystore = Keystore.create(path)
    keystore.enrol(DEVICE, SEAL_ROOT, VIEW_ROOT, DOWNLINK)
    keystore.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE rekeys; DROP TABLE downlinks")
    connection.close()
    reader = Keystore.open(path, read_only=True)
    assert reader.downlinks(DEVICE) == [DOWNLINK]
    reader.close()
    writer = Keystore.open(path)
    assert writer._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
    writer.add_rekey(DEVICE, 1, [REKEY, 1024, 64, 1, 2])

    assert writer._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION_REKEYED
    assert [one.number for one in writer.pending_rekeys(DEVICE)] == [1]
    writer.close()
