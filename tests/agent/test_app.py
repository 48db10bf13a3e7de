"""The agent as a whole, in virtual time: nothing lost, nothing decided twice, whatever ends it and whenever."""

import asyncio
import hashlib
from itertools import pairwise

import pytest

from agent.checkpoint import PRUNE, PartJoiner, decode_checkpoint
from agent.flash import PowerCut
from protocol.command import DONE, SET_ACTUATOR
from protocol.event import (
    ACTION,
    BOOT,
    CHECKPOINT,
    COMMAND,
    DECISION,
    EPOCH_START,
    HEALTH,
    SAMPLE,
    THINNING,
    TIME_MARK,
)
from protocol.keys import CRITICAL, ROUTINE
from protocol.messages import Receipt
from rules import grammar as g
from rules.bundle import read_bundle
from rules.engine import Engine
from rules.guard import ALLOWED
from rules.limits import value_max
from rules.replay import StepReplay
from tests.agent.desk import BUNDLE, DEVICE, SAMPLE_MS, SCHEMA, Desk, KillPoint
from tests.agent.model_gateway import MAX_AGE_S
from tools.rule_tree import act, bundle, gate, if_, register, rule, set_register

POINTS = (
    "before_seal",
    "after_seal",
    "before_program",
    "after_program",
    "before_readback",
    "after_readback",
    "before_actuate",
    "after_actuate",
    "before_send",
    "after_answer",
)


def _heads(desk):
    return desk.agent._journal.offer()


def _is_complete(desk):
    """Everything that the device sealed in its epoch is held, or covered by a tombstone."""
    epoch = desk.agent._journal.epoch
    return all(
        head is None or desk.gateway.watermark(lane, epoch) == head[1] + 1
        for lane, head in enumerate(_heads(desk))
    )


def _decisions(desk):
    return [event for _, event in desk.gateway.events(CRITICAL) if event[2] == DECISION]


def _check_evidence(desk):
    """What holds after every story: chains close, orders are unique, every decision replays, each act once."""
    _check_evidence_of(desk, [BUNDLE])


def _check_evidence_of(desk, bundles):
    desk.gateway.check_chains()
    orders = [event[0] for _, event in desk.gateway.events()]
    assert len(orders) == len(set(orders))
    replays = {hashlib.sha256(body).digest(): StepReplay(read_bundle(body)) for body in bundles}
    allowed = set()
    for order, _, _, fields in _decisions(desk):
        assert replays[fields[3]].differences(fields[1:3] + fields[4:]) == []
        allowed |= {(order, act[0]) for act in fields[-1] if act[2] == ALLOWED}
    allowed |= {
        (event[0], event[3][1][1])
        for _, event in desk.gateway.events(CRITICAL)
        if event[2] == COMMAND and event[3][1][0] == SET_ACTUATOR and event[3][2] == DONE
    }
    acted = [
        (event[0] - event[3][0], event[3][1])
        for _, event in desk.gateway.events(CRITICAL)
        if event[2] == ACTION
    ]
    assert sorted(acted) == sorted(allowed)


def test_undisturbed_run_is_held_completely_and_receipted():
    """Every event recorded is at the gateway when the agent stops in order, and nothing came twice."""
    desk = Desk()

    assert desk.run(10) is None
    assert _is_complete(desk)
    assert desk.gateway.duplicates == 0
    held = [event[0] for _, event in desk.gateway.events() if event[2] != EPOCH_START]
    assert held == sorted(order for _, order in desk.recorded)
    _check_evidence(desk)


def test_sample_precedes_its_decisions_and_they_their_actions():
    """`back` of a decision leads to the sample of its tick, `back` of an action to its decision."""
    desk = Desk()
    desk.run(5)
    events = {event[0]: event for _, event in desk.gateway.events()}
    caused = [event for event in events.values() if event[2] in (DECISION, ACTION)]

    assert caused
    for order, tick, kind, fields in caused:
        cause = events[order - fields[0]]
        assert cause[2] == (SAMPLE if kind == DECISION else DECISION)
        assert cause[1] == tick or kind == ACTION


def test_samples_lie_on_the_grid_of_the_device_clock():
    """Sample after sample at one distance, however the loop was late."""
    desk = Desk()
    desk.run(3)
    ticks = [event[1] for _, event in desk.gateway.events(ROUTINE) if event[2] == SAMPLE]

    assert ticks == [SAMPLE_MS * (n + 1) for n in range(len(ticks))]


def test_actuator_moves_only_after_its_decision_is_durable():
    """Killed right before the first actuation, the decision is on flash and the actuator has not moved since boot."""
    desk = Desk()
    desk.points = {"before_actuate": 1}
    assert isinstance(desk.run(10), KillPoint)
    moved = list(desk.moves)
    desk.run(1)

    assert moved == [(1, 0), (2, 0)]
    first = _decisions(desk)[0]
    action, value = first[3][-1][0][:2]
    assert (action, value) in desk.moves[2:4]


@pytest.mark.parametrize("count", [1, 3, 8, 17])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_nothing_is_lost(point, count):
    """Whatever was offered before the kill, and everything sealed after it, is held; all evidence stands."""
    desk = Desk()
    desk.points = {point: count}

    assert isinstance(desk.run(10), KillPoint)
    assert desk.run(4) is None
    assert _is_complete(desk)
    _check_evidence(desk)


@pytest.mark.parametrize("mode", ["clean", "torn", "noise"])
@pytest.mark.parametrize("operations", [0, 1, 2, 3, 4, 5, 9, 17, 38, 59])
def test_power_cut_in_any_flash_operation_loses_nothing_durable(operations, mode):
    """A torn write is skipped, the chain goes on, orders and decisions stay unique."""
    desk = Desk()
    desk.run(1)

    assert isinstance(desk.run(10, cut=(operations, mode)), PowerCut)
    assert desk.run(4) is None
    assert _is_complete(desk)
    _check_evidence(desk)


def _fold_all(events):
    """Return the engine state that the critical events say, folded from all of them by the test's own reading."""
    engine = Engine(read_bundle(BUNDLE))
    joiner = PartJoiner()
    for _, (_, _, kind, fields) in events:
        if kind == CHECKPOINT:
            whole = joiner.add(fields)
            if whole is not None:
                engine.restore(decode_checkpoint(whole).engine)
        elif kind == DECISION:
            engine.apply(fields[1:3] + fields[4:])
    return engine.state()


@pytest.mark.parametrize("seconds", [0.5, 1.3, 2.2, 4.4])
def test_state_after_a_reboot_is_the_fold_of_what_is_durable(seconds):
    """Registers, gates and actuators after a boot are those that the journal tells the office."""
    desk = Desk()
    desk.run(seconds)
    events = desk.gateway.events(CRITICAL)
    positions = {act[0]: act[1] for event in _decisions(desk) for act in event[3][-1] if act[2] == ALLOWED}
    moves = len(desk.moves)
    agent = desk.boot()

    assert agent.engine.state() == _fold_all(events)
    assert dict(desk.moves[moves:]) == {1: 0, 2: 0, **positions}


def test_state_after_a_long_run_is_the_fold_of_what_is_durable():
    """The same without a parameter: four seconds of decisions after the checkpoint of the boot."""
    test_state_after_a_reboot_is_the_fold_of_what_is_durable(4.4)


def test_rule_tick_rises_over_boots_above_every_durable_event():
    """now_base of a boot is above the rule tick of everything durable of the boots before, samples included."""
    desk = Desk()
    for count in (40, 90, 140):
        desk.points = {"after_program": count}
        desk.run(5)
    desk.run(3)
    bases = {}
    highest = -1
    for boot, (_, tick, kind, fields) in desk.gateway.events():
        if kind == BOOT:
            assert fields[1] > highest
            bases[boot] = fields[1]
        if boot in bases:
            highest = max(highest, bases[boot] + tick // 100)

    assert len(bases) == 4


def test_undecided_action_of_a_cut_is_told_at_the_next_boot():
    """A decision whose action was cut off gets its action event after the boot, and exactly one."""
    desk = Desk()
    desk.points = {"after_actuate": 2}
    desk.run(10)
    desk.run(0.3)
    actions = [(boot, event) for boot, event in desk.gateway.events(CRITICAL) if event[2] == ACTION]

    assert [boot for boot, _ in actions][:2] == [1, 2]
    _check_evidence(desk)


def test_act_outlives_a_checkpoint_that_made_room_before_it():
    """
    In a ring so small that sealing a decision costs the newest checkpoint, a cut before any actuation loses no act: the new
    checkpoint names what was decided and not yet done.
    """
    made_room = 0
    for count in (14, 15, 16, 22, 36, 37, 38):
        desk = Desk(sectors=8)
        desk.points = {"before_actuate": count}
        assert isinstance(desk.run(20), KillPoint)
        desk.run(1)
        made_room += sum(point.reason == PRUNE for point in _checkpoints(desk) if point.pending)
        _check_evidence(desk)

    assert made_room > 0


def _checkpoints(desk):
    joiner = PartJoiner()
    wholes = [joiner.add(event[3]) for _, event in desk.gateway.events(CRITICAL) if event[2] == CHECKPOINT]
    return [decode_checkpoint(whole) for whole in wholes if whole is not None]


def _large_decisions():
    """Return a bundle of five rules that all decide at the same samples, with decisions of which two fill a segment."""
    gates = [gate(action, 0, 1, safe=0) for action in range(1, 6)]
    turn = [set_register(0, 0), set_register(1, [g.SUBTRACT, 1, register(1)])]
    rules = [
        rule(
            action,
            [0, 0] + [value_max] * 10,
            [
                set_register(0, [g.ADD, register(0), 1]),
                if_([g.AT_LEAST, register(0), 20], [*turn, act(action, register(1))]),
            ],
        )
        for action in range(1, 6)
    ]
    return bundle(rules, gates, schema=hashlib.sha256(SCHEMA).digest()[:8])


def test_decisions_of_one_sample_are_never_parted_by_a_checkpoint():
    """Registers of a decision that is not yet durable stand in no checkpoint: a cut would lose that decision for good."""
    desk = Desk(sectors=8)
    desk.bundle = _large_decisions()
    desk.run(30)
    orders = {}
    for order, _, _, fields in _decisions(desk):
        orders.setdefault(order - fields[0], []).append(order)

    assert len(orders) > 30
    assert {(len(found), found[-1] - found[0]) for found in orders.values()} == {(5, 4)}
    assert any(point.reason == PRUNE and len(point.pending) == 5 for point in _checkpoints(desk))


def test_lost_answers_make_duplicates_and_nothing_else():
    """An answer that is lost makes the same bytes come again."""
    desk = Desk()
    desk.gateway.lose_answers = 7

    assert desk.run(6) is None
    assert _is_complete(desk)
    _check_evidence(desk)


def test_reboot_after_a_lost_answer_sends_nothing_that_is_in_custody():
    """Custody is asked for before anything is sent: what the gateway holds does not travel again."""
    desk = Desk()
    desk.run(3)
    held = len(desk.gateway.received)
    desk.run(1)

    assert not set(desk.gateway.received[:held]) & set(desk.gateway.received[held:])


def test_replayed_old_answers_change_nothing():
    """A gateway that answers with an old answer for ever costs at most duplicates; healed, all is complete."""
    desk = Desk()
    desk.run(2)
    desk.gateway.replayed_answer = desk.gateway.sent_answers[3]
    desk.run(3)
    desk.gateway.replayed_answer = None
    desk.run(3)

    assert _is_complete(desk)
    assert desk.agent._journal.epoch == 0
    _check_evidence(desk)


def test_long_outage_grows_only_the_backlog_on_flash():
    """With the link down the device samples and decides as ever; when it is back everything drains."""
    desk = Desk()
    desk.gateway.is_down = True
    desk.settings["drain_ms"] = 100
    assert desk.run(8) is None
    assert desk.agent._journal.open_events(ROUTINE) == 0
    assert desk.gateway.segments == {}
    desk.gateway.is_down = False
    desk.settings["drain_ms"] = 5000
    desk.run(2)

    assert _is_complete(desk)
    samples = [event for boot, event in desk.gateway.events(ROUTINE) if event[2] == SAMPLE and boot == 1]
    assert len(samples) >= 8000 * 1000 // SAMPLE_MS - 1
    _check_evidence(desk)


def test_refused_custody_waits_as_long_as_it_was_told():
    """5.03 for routine: critical goes on, routine comes again only after Max-Age, and then is whole."""
    desk = Desk()
    desk.gateway.refused_lanes = (ROUTINE,)
    desk.settings["drain_ms"] = 100
    desk.run(3 * MAX_AGE_S)
    times = [time for time, _ in desk.gateway.refusals]

    assert len(times) >= 2
    assert min(later - earlier for earlier, later in pairwise(times)) >= MAX_AGE_S - 0.001
    assert desk.gateway.watermark(CRITICAL, 0) > 3
    assert desk.gateway.watermark(ROUTINE, 0) == 0
    desk.gateway.refused_lanes = ()
    desk.settings["drain_ms"] = 5000
    desk.run(1)
    assert _is_complete(desk)


def test_gateway_that_loses_what_it_took_asks_again_and_gets_it():
    """Segments that a gateway lost while the device ran on are wanted, and come again."""
    desk = Desk()
    desk.after(1.5, lambda: [desk.gateway.segments.pop((ROUTINE, 0, number), None) for number in (1, 2)])
    desk.run(4)

    assert desk.gateway.received.count((ROUTINE, 0, 1)) == 2
    assert _is_complete(desk)


def test_no_sequence_number_is_sent_twice_over_cuts():
    """Each boot has an ID Context of its own, and within it the numbers of all requests rise: a nonce is used once for ever."""
    desk = Desk()
    for count in (5, 30, 60):
        desk.points = {"after_answer": count}
        desk.run(5)
    desk.run(1)

    assert len(desk.gateway.sequences) > 90
    assert len(desk.gateway.contexts) == 4
    for context in desk.gateway.contexts:
        numbers = [number for known, number in desk.gateway.sequences if known == context]
        assert numbers == sorted(set(numbers))


def test_flash_that_was_put_back_sends_nothing_under_keys_that_were_used():
    """It looks like any other at boot, and nobody has told it yet: all the same its first request has keys of its own."""
    desk = Desk()
    desk.run(1)
    copy = bytes(desk.flash.image)
    desk.run(2)
    desk.flash.image[:] = copy
    desk.run(2)

    assert len(desk.gateway.contexts) == 3 + desk.agent._session.renewals
    assert len(desk.gateway.sequences) == len(set(desk.gateway.sequences))


def test_replaced_gateway_gets_what_is_still_on_flash():
    """A new gateway that holds nothing is given everything again."""
    desk = Desk()
    desk.run(3)
    desk.gateway.segments.clear()
    desk.run(1)

    assert _is_complete(desk)


def test_restored_flash_starts_an_epoch_above_and_forks_nothing():
    """An old copy of the flash learns from the office's receipts that it is one, before it sends a segment."""
    desk = Desk()
    desk.run(1)
    copy = bytearray(desk.flash.image)
    desk.run(4)
    highest = dict(desk.gateway.highest)
    desk.flash.image[:] = copy
    assert desk.run(4) is None

    assert desk.agent._journal.epoch == 1
    starts = [
        segment.header.generation for key, segment in desk.gateway.segments.items() if key[1:] == (1, 0)
    ]
    assert len(starts) == 2
    assert min(starts) > max(highest.values())
    first = desk.gateway.events(CRITICAL, 1)[0][1]
    assert first[2] == EPOCH_START
    assert first[3][0] == 1
    assert desk.agent._session.renewals == 1
    assert _is_complete(desk)
    desk.gateway.check_chains()


def test_state_outlives_a_cut_between_an_epochs_start_and_its_checkpoint():
    """The epoch before still says where the actuators are, what the rules know and how late it was: nothing of it is forgotten."""
    desk = Desk()
    desk.run(1.3)
    agent = desk.boot()
    late = agent._clock.rule_tick(agent._clock.tick_ms())
    # The first seal is that of epoch_start.
    desk.points = {"before_seal": 2}
    with pytest.raises(KillPoint):
        agent.restored([Receipt(DEVICE, CRITICAL, 0, 0, bytes(32), 9)])
    again = desk.boot()

    assert desk.cell().epoch == 1
    assert agent.actuators.positions == again.actuators.positions != {1: 0, 2: 0}
    assert agent.engine.state() == again.engine.state()
    assert again._clock.now_base > late > 1000


def test_forged_receipts_make_nobody_forget_or_start_over():
    """A receipt whose seal does not fit is no receipt."""
    desk = Desk()
    desk.gateway.keys.downlink = bytes(32)
    desk.settings["drain_ms"] = 1000
    desk.run(3)

    assert not desk.agent._journal.is_receipted()
    assert desk.agent._journal.epoch == 0
    assert desk.agent._clock.wall() is None


def test_small_ring_wraps_and_accounts_for_everything_pruned():
    """With an outage longer than the ring every number is held or named by a tombstone."""
    desk = Desk(sectors=4 + 8)
    desk.settings["drain_ms"] = 100
    desk.gateway.is_down = True
    desk.run(40)
    desk.gateway.is_down = False
    desk.settings["drain_ms"] = 5000
    assert desk.run(2) is None

    assert desk.gateway.lost_below(ROUTINE, 0)
    assert _is_complete(desk)
    desk.gateway.check_chains()


def test_view_period_moves_on_with_the_device_clock():
    """After a period both lanes are sealed under the next view key, and its checkpoint is the state."""
    desk = Desk(period_s=1800)
    desk.run(6)
    periods = {segment.header.period for segment in desk.gateway.segments.values()}

    assert periods == {0, 1, 2, 3}
    _check_evidence(desk)
    desk.run(1)
    assert desk.agent._journal.period == 3


def test_time_mark_holds_the_true_time():
    """The office's clock lies within each recorded mark."""
    desk = Desk()
    desk.run(2)
    marks = [event for _, event in desk.gateway.events(CRITICAL) if event[2] == TIME_MARK]

    assert marks
    for _, tick, _, (wall_ms, error_ms) in marks:
        true_ms = 1_700_000_000_000 + tick // 1000
        assert abs(wall_ms - true_ms) <= error_ms


def test_health_is_recorded_and_carried_by_heartbeats():
    """A boot's first heartbeat carries the counters, later ones again, and now and then they are an event."""
    desk = Desk(sample_ms=360_000)
    desk.run(300)
    carried = [beat.health for beat in desk.gateway.heartbeats if beat.health]

    assert desk.gateway.heartbeats[0].health == carried[0]
    assert carried[-1][6] > carried[0][6]
    assert [event for _, event in desk.gateway.events(ROUTINE) if event[2] == HEALTH]


def test_device_that_cannot_keep_pace_says_so():
    """Samples that were given up are an event of their own."""
    desk = Desk()
    desk.run(1, late_s=10)
    dropped = [event[3] for _, event in desk.gateway.events(ROUTINE) if event[2] == THINNING]
    samples = [event for _, event in desk.gateway.events(ROUTINE) if event[2] == SAMPLE]

    assert dropped == [(ROUTINE, 212, 1)]
    assert 212 + len(samples) == samples[-1][1] // SAMPLE_MS


def test_heartbeat_counters_rise_strictly_over_boots():
    """(boot, counter) never comes twice."""
    desk = Desk()
    desk.run(2)
    desk.run(2)
    stamps = [(beat.boot, beat.counter) for beat in desk.gateway.heartbeats]

    assert stamps == sorted(set(stamps))


def test_backlog_over_a_slow_link_starves_nobody():
    """An exchange that is never done, because more is sealed than a slow link takes, is alive all the same."""
    desk = Desk(sample_ms=360_000, routine_seal_ms=1_000_000, ack_timeout_ms=2000)
    answered = desk.gateway.recv

    async def late(timeout_ms):
        await asyncio.sleep(1.9)
        return await answered(timeout_ms)

    desk.gateway.recv = late
    desk.run(700)

    assert [] == desk.starved
    assert len(desk.gateway.received) > 100


def test_loop_whose_exchange_hangs_starves_the_watchdog():
    """A part that never comes back ends the feeding; before that it is fed at every turn."""
    desk = Desk(sample_ms=3_600_000)
    desk.gateway.hangs = True
    desk.run(400)

    assert desk.starved[0] == (["exchange"],)
    assert desk.fed > 1000


def test_second_link_doubt_takes_fresh_keys():
    """A gateway that twice does not know the sender is met with a fresh ID Context and sequence 0."""
    desk = Desk()
    desk.run(2)
    desk.gateway.contexts.clear()
    desk.gateway.knows_nobody = 2
    assert desk.run(3) is None

    assert desk.gateway.unprotected == 2
    assert desk.agent._session.renewals == 1
    assert len(desk.gateway.contexts) == 1
    assert _is_complete(desk)


def test_segments_of_an_earlier_epoch_are_still_sent():
    """An epoch that a lost cell began does not strand what the one before had sealed."""
    desk = Desk(drain_ms=100)
    desk.gateway.is_down = True
    desk.run(2)
    desk.flash.image[: 2 * 4096] = b"\xff" * (2 * 4096)
    desk.gateway.is_down = False
    desk.settings["drain_ms"] = 5000
    desk.run(3)
    old = {number for lane, epoch, number in desk.gateway.segments if (lane, epoch) == (CRITICAL, 0)}

    assert desk.agent._journal.epoch == 1
    assert len(old) > 3
    assert old == set(range(len(old)))
    assert _is_complete(desk)
    desk.gateway.check_chains()
