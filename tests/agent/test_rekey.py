"""A device whose keys are replaced by a command: nothing is lost, nothing of before seals any more, and nobody else can do it."""

import pytest

from agent.flash import PAGE_BYTES, SECTOR_BYTES, RamFlash
from agent.keystore import Keystore
from protocol.cbor import dumps
from protocol.command import DONE, OUT_OF_RANGE, REKEY, REPORT, SET_SETTING
from protocol.event import CHECKPOINT, EPOCH_START, SAMPLE
from protocol.keys import CRITICAL, LANES, ROUTINE, downlink_key, rekey_root, rekeyed
from protocol.messages import seal_frame
from tests.agent.desk import DEVICE, DOWNLINK, RATCHETS, SEAL_KEYS, Desk, KillPoint
from tests.agent.release_bench import make_command
from tests.agent.test_app import _is_complete
from tests.agent.way_down import COMMAND_POINTS, REKEY_POINTS, commands
from tests.agent.way_down import REKEY_DEMAND as DEMAND


def _desk(number=1, demand=DEMAND, **settings):
    """Return a desk about to be given other keys."""
    desk = Desk(**settings)
    give(desk, number, demand)
    return desk


def give(desk, number=1, demand=DEMAND):
    """Let the office give a rekey: sealed under the downlink key that it has of the device now."""
    key = downlink_key(desk.gateway.keys.downlink, "command")
    desk.gateway.commands[number] = make_command(number, demand, key=key)
    desk.gateway.keys.expect(number, demand)


def _keystore(desk):
    keystore = Keystore(RamFlash(desk.flash.sectors, desk.flash.image), 2)
    keystore.open()
    return keystore


def _starts(desk):
    """Return the fields of every epoch_start that arrived."""
    return [event[3] for _, event in desk.gateway.events(CRITICAL) if event[2] == EPOCH_START]


@pytest.mark.proves("S07")
def test_device_is_given_other_keys_and_every_event_is_there():
    """The command's event under the keys of before, an epoch of reason `keys` under the new ones, and no hole between."""
    desk = _desk()
    desk.run(4)
    gateway = desk.gateway

    assert commands(desk) == [(1, DEMAND, DONE, None)]
    assert [start[0] for start in _starts(desk)] == [0, 2]
    assert gateway.keys.settled == 1
    assert {key[1] for key in gateway.segments} == {0, 1}
    assert _is_complete(desk)
    gateway.check_chains()
    orders = [event[0] for _, event in gateway.events()]
    assert len(orders) == len(set(orders))
    samples = [event[0] for _, event in gateway.events(ROUTINE) if event[2] == SAMPLE]
    assert len(samples) == desk.sensor.number


def test_epoch_start_names_the_heads_of_before_and_a_checkpoint_follows_it():
    """Who holds the old keys can add nothing above these heads; nobody needs the old view ratchets to go on."""
    desk = _desk()
    desk.run(3)
    start = _starts(desk)[-1]
    heads = [start[2], start[3]]
    for lane in LANES:
        numbers = [key[2] for key in desk.gateway.segments if key[:2] == (lane, 0)]
        head = heads[lane]
        assert (None if head is None else head[0]) == max(numbers, default=None)
        assert head is None or desk.gateway.segments[(lane, 0, head[0])].digest == head[1]
    kinds = [event[2] for _, event in desk.gateway.events(CRITICAL, 1)]
    assert kinds[:2] == [EPOCH_START, CHECKPOINT]


def test_keys_of_before_are_gone_from_the_flash_and_nothing_there_opens_the_command():
    """Neither old chains, nor old ratchets, nor old downlink key, nor the root lie in the key sector any more."""
    desk = _desk()
    before = _keystore(desk)
    old = [before.seal_key(lane)[1] for lane in LANES]
    old += [before.ratchet(view_class)[1] for view_class in (1, 2)]
    old += [before.downlink(), rekey_root(DOWNLINK, DEVICE, 1, DEMAND)]
    desk.run(2)
    image = bytes(desk.flash.image)
    after = _keystore(desk)

    assert not [key for key in old if key in image]
    assert [after.seal_key(lane)[0] > 1024 for lane in LANES] == [True, True]
    assert after.boot_periods() == (64,)
    assert after.intent() is None


def test_commands_and_receipts_go_on_under_the_new_downlink_key():
    """In the same boot: a command of after is taken, and all that is sealed is receipted."""
    desk = _desk()
    key = downlink_key(rekeyed(rekey_root(DOWNLINK, DEVICE, 1, DEMAND))[4], "command")
    desk.gateway.commands[2] = make_command(2, [SET_SETTING, 2, 5000], key=key)
    desk.run(4)

    assert [(number, verdict) for number, _, verdict, _ in commands(desk)] == [(1, DONE), (2, DONE)]
    assert desk.agent.setting(2) == 5000
    assert desk.agent._journal.is_receipted()


def test_state_goes_on_over_a_rekey_and_the_boot_behind_it():
    """Settings, floors and what the rules remember are in the checkpoint with which the new keys begin."""
    desk = Desk()
    desk.gateway.commands[1] = make_command(1, [SET_SETTING, 2, 5000])
    desk.after(1.5, lambda: give(desk, 2) if desk.gateway.keys.settled == 0 else None)
    desk.run(4)
    state = desk.agent.engine.state()
    desk.later.clear()
    agent = desk.boot()

    assert desk.cell().command_floor == 2
    assert agent.setting(2) == 5000
    assert agent.engine.state()[2] == state[2]


def test_rekey_is_done_again_and_again():
    """Each under the downlink key that the one before began."""
    desk = _desk()
    desk.run(2)
    give(desk, 2, [REKEY, 5000, 128, 1, 2])
    desk.run(2)
    give(desk, 3, [REKEY, 9000, 1280, 3, 4])
    desk.run(3)

    assert [verdict for _, _, verdict, _ in commands(desk)] == [DONE] * 3
    assert desk.gateway.keys.settled == 3
    assert _keystore(desk).boot_periods() == (1280,)
    assert _is_complete(desk)


@pytest.mark.parametrize(
    "demand", [[REKEY, 0, 64, 7, 9], [REKEY, 1024, 0, 7, 9], [REKEY, 1024, 1, 7, 9]], ids=str
)
def test_rekey_that_does_not_begin_above_what_is_in_use_is_refused(demand):
    """The event says so, the keys stay, and so does the epoch."""
    desk = _desk(demand=demand)
    desk.run(2)

    assert commands(desk) == [(1, demand, OUT_OF_RANGE, None)]
    assert desk.gateway.keys.settled == 0
    assert (desk.cell().epoch, _keystore(desk).downlink()) == (0, DOWNLINK)


def test_replayed_rekey_changes_nothing():
    """The gateway brings the command of before again, under its own number and under others: it is not even one any more."""
    desk = _desk()
    desk.run(2)
    old = desk.gateway.commands[1]
    downlink = _keystore(desk).downlink()
    desk.gateway.commands = {1: old, 2: old, 3: old}
    desk.run(2)

    assert [number for number, _, _, _ in commands(desk)] == [1]
    assert _keystore(desk).downlink() == downlink
    assert desk.cell().epoch == 1
    assert desk.agent._commander.refused > 0


def test_rekey_for_another_device_or_under_another_key_is_none():
    """Its random half and its numbers may be as they like: device and key must be this one's."""
    desk = Desk()
    desk.gateway.commands[1] = make_command(1, DEMAND, device=bytes(8))
    desk.run(1)
    desk.gateway.commands[1] = make_command(1, DEMAND, key=bytes(32))
    desk.run(1)

    assert commands(desk) == []
    assert (desk.cell().epoch, desk.cell().command_floor) == (0, 0)
    assert _keystore(desk).downlink() == DOWNLINK


def test_command_under_the_downlink_key_of_before_is_refused_afterwards():
    """Who kept the old key, and all that it sealed, commands nobody any more."""
    desk = _desk()
    desk.run(2)
    desk.gateway.commands[2] = make_command(2, [REPORT])
    desk.run(2)

    assert [number for number, _, _, _ in commands(desk)] == [1]
    assert desk.cell().command_floor == 1


def test_rekey_with_bytes_for_its_random_half_is_no_command():
    """The grammar has numbers there; nothing is taken of what has another form."""
    desk = Desk()
    key = downlink_key(DOWNLINK, "command")
    fields = [1, DEVICE, 1, 1 << 50, [REKEY, 1024, 64, dumps([1]), 9]]
    desk.gateway.commands[1] = seal_frame(b"outstation command v1", fields, key)
    desk.run(1)

    assert commands(desk) == []
    assert desk.cell().epoch == 0


@pytest.mark.parametrize("point", [*COMMAND_POINTS, *REKEY_POINTS])
def test_end_at_any_point_of_a_rekey_is_gone_on_with_at_the_next_boot(point):
    """One event, one epoch more, all events there."""
    desk = _desk()
    desk.points[point] = 1
    assert isinstance(desk.run(2), KillPoint)
    assert desk.run(3) is None

    assert [(number, verdict) for number, _, verdict, _ in commands(desk)] == [(1, DONE)]
    assert [start[0] for start in _starts(desk)] == [0, 2]
    assert desk.gateway.keys.settled == 1
    assert _keystore(desk).intent() is None
    assert _is_complete(desk)


def test_rekey_in_a_long_outage_arrives_with_what_was_sealed_before_it():
    """The gateway goes as soon as the command was taken; later both epochs come, the old one under its old keys."""
    desk = _desk()

    def go():
        desk.gateway.is_down = bool(desk.gateway.gets)

    for tenth in range(1, 30):
        desk.after(tenth / 10, go)
    desk.run(3)
    desk.later.clear()
    desk.gateway.is_down = False
    desk.run(4)

    assert desk.gateway.keys.settled == 1
    assert _is_complete(desk)
    assert [number for number, _, _, _ in commands(desk)] == [1]


def test_intent_outlives_a_cut_of_keys_that_move():
    """Of two sectors that hold the same keys the half erased one may lack the intent: a rekey that was answered is not forgotten."""
    flash = RamFlash(4)
    keystore = Keystore(flash, 2)
    keystore.provision(SEAL_KEYS, RATCHETS, DOWNLINK)
    keystore.intend(1, bytes(32), 1024, 64)
    # There and back again: what lies beside the keys is written first, and so it is what an erase takes first.
    keystore._move()
    keystore._move()
    source = flash.read(2 * SECTOR_BYTES, SECTOR_BYTES)
    keystore._move()
    flash.erase(2)
    flash.program(2 * SECTOR_BYTES + PAGE_BYTES, source[PAGE_BYTES:])
    recovered = Keystore(RamFlash(4, flash.image), 2)
    recovered.open()

    assert recovered.intent() == (1, 1024, 64)
