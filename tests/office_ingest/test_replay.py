"""Replay finds every decision that should have been made otherwise, and nothing else."""

import pytest

from office_ingest.prove.verify import verify_database
from protocol.adoption import DAMAGED, RESTARTS, ROLLED_BACK, STAGED, TRIAL
from protocol.command import DONE, SET_ACTUATOR, SET_SETTING
from protocol.event import DECISION, HEALTH, RULE_FAULT
from protocol.keys import CRITICAL, ROUTINE
from rules.engine import D_AFTER, D_FLAGS, D_INPUTS
from tests.support.deciding_device import (
    ADOPTED,
    AT_BOOT,
    BUNDLE,
    COUNTED,
    READINGS,
    TO_MAKE_ROOM,
    DecidingDevice,
    newer,
)

SECOND, THIRD = newer(2), newer(3)
RELAY = 2


@pytest.fixture
def device(desk):
    """A registered device that has booted, its bundle known to the office."""
    made = DecidingDevice()
    desk.add(made)
    desk.registry.add_bundle(BUNDLE)
    made.start()
    return made


def _walk(desk, device):
    for segment in device.all_segments():
        desk.take(segment.raw)
    return verify_database(desk.store.connection, desk.keystore)


def _said(report):
    return [finding.what for finding in report.findings]


def test_every_decision_and_sample_replays(desk, device):
    """A device that did as its rules say is replayed whole, step and run."""
    device.live()
    report = _walk(desk, device)

    assert [] == _said(report)
    counts = report.counts
    assert (6, 6) == (counts["decisions"], counts["decisions_replayed_equal"])
    assert (len(READINGS), 1.0) == (counts["samples"], counts["run_replay_coverage"])
    assert 2 == counts["checkpoints"]


def _changed(at, change):
    def keep(decision):
        parts = list(decision)
        parts[at] = change(parts[at])
        return tuple(parts)

    return keep


def test_step_replay_finds_a_decision_that_the_rules_do_not_make(desk, device):
    """A recorded decision with other registers than the rule leaves is named by step replay."""
    device.live(keep=_changed(D_AFTER, lambda after: [*after[:-1], after[-1] + 1]))
    said = _said(_walk(desk, device))

    assert 6 == sum("step replay decides otherwise" in what for what in said)


def test_run_replay_finds_inputs_that_were_not_read(desk, device):
    """Inputs that differ from the sample's are found even where they would lead to the same outcome."""
    device.live(READINGS[:9], keep=_changed(D_INPUTS, lambda inputs: [inputs[0] + 1, inputs[1]]))

    assert 1 == sum("run replay decides otherwise" in what for what in _said(_walk(desk, device)))


def test_run_replay_finds_registers_that_do_not_follow(desk, device):
    """Registers before and after that fit each other, and not the readings before, are found by run replay alone."""
    other = DecidingDevice(2)
    other.start()
    for values in READINGS[3:]:
        other.take(values)
    device.engine = other.engine
    device.checkpoint()
    before = device.engine.state()
    device.engine = DecidingDevice(3).engine
    device.live(READINGS[:12])
    report = _walk(desk, device)

    assert before != device.engine.state()
    assert report.counts["decisions"] == report.counts["decisions_replayed_equal"]
    assert any("run replay" in what or "checkpoint's state" in what for what in _said(report))


def test_run_replay_finds_a_missing_decision(desk, device):
    """A rule that should have fired and did not is a finding, though every recorded decision is right."""
    dropped = []

    def keep(decision):
        if decision[0] == 1 and not dropped:
            dropped.append(decision)
            return None
        return decision

    device.live(READINGS[:20], keep=keep)
    report = _walk(desk, device)

    assert report.counts["decisions"] == report.counts["decisions_replayed_equal"] > 0
    assert 1 == len(dropped)
    assert [
        "run replay decides otherwise: 1 decisions where 0 are recorded; the first missing is of rule 1"
    ] == _said(report)


def test_run_replay_finds_a_decision_too_many(desk, device):
    """A decision that no rule made at its sample is found."""
    made = []
    device.take(READINGS[0])
    device.live(READINGS[1:8], keep=lambda decision: made.append(decision) or decision)
    sample = device.sample(READINGS[8], 36_000)
    device.waiting.append(sample)
    rule, mode, *rest = made[0]
    device.seal(CRITICAL, [device.row(DECISION, 1, rule, mode, device.digest, *rest)])
    device.flush()
    device.checkpoint(state=DecidingDevice().engine.state())

    assert any(
        "recorded where it makes" in what or "replay gives" in what for what in _said(_walk(desk, device))
    )


def test_run_replay_finds_a_checkpoint_that_does_not_follow(desk, device):
    """A checkpoint whose registers are not what the samples before it lead to is found."""
    device.live(READINGS[:10])
    device.checkpoint(state=DecidingDevice().engine.state())

    assert ["the checkpoint's state is not the one that run replay comes to"] == _said(_walk(desk, device))


def test_flags_are_taken_from_the_decision(desk, device):
    """Whether time was trusted is an input that only decisions record; replay takes it from there."""
    device.live(READINGS[:12], keep=_changed(D_FLAGS, lambda flags: flags | 1))

    assert [] == _said(_walk(desk, device))


def test_fault_that_is_not_recorded_as_made_is_found(desk, device):
    """Faults of rules are compared like decisions."""
    device.take(READINGS[0])
    device.seal(CRITICAL, [device.row(RULE_FAULT, 1, 1, 1)])
    device.take(READINGS[1])
    device.flush()

    assert 1 == sum("run replay" in what for what in _said(_walk(desk, device)))


def test_a_power_cut_is_no_finding(desk, device):
    """Samples that a power cut took leave a hole: replay stops there and goes on at the next checkpoint."""
    for values in READINGS[:6]:
        device.take(values)
    device.lose_power()
    device.start(now_base=device.now_base + device.tick_ms // 100 + 1)
    device.live(READINGS[6:20])
    report = _walk(desk, device)

    assert [] == _said(report)
    assert 14 == report.counts["samples_run_replayed"] == report.counts["samples"]


def test_a_lost_segment_of_samples_is_no_finding(desk, device):
    """Where samples are missing nobody can know the registers: nothing is claimed until the next checkpoint."""
    device.live()
    for segment in device.all_segments():
        if not (segment.header.lane == 1 and segment.header.number == 1):
            desk.take(segment.raw)
    report = verify_database(desk.store.connection, desk.keystore)

    assert [] == _said(report)
    assert 0.3 < report.counts["run_replay_coverage"] < 0.9


def test_a_checkpoint_to_make_room_may_stand_inside_a_samples_turn(desk, device):
    """Written while a sample is being recorded, it holds the state before that sample; replay is not misled."""
    for at, values in enumerate(READINGS[:20]):
        before = device.engine.state()
        device.take(values)
        if at in (8, 12):
            device.checkpoint(TO_MAKE_ROOM, before)
    device.flush()
    report = _walk(desk, device)

    assert [] == _said(report)
    assert 1.0 == report.counts["run_replay_coverage"]


def test_unknown_bundle_is_named(desk):
    """Decisions under a bundle that the office does not hold are named, not passed over."""
    device = DecidingDevice()
    desk.add(device)
    device.start()
    device.live(READINGS[:12])

    assert any("does not hold bundle" in what for what in _said(_walk(desk, device)))


def test_an_order_used_twice_is_found(desk, device):
    """Orders rise over both lanes and are never used again."""
    device.live(READINGS[:8])
    device.order -= 3
    device.take(READINGS[8])
    device.flush()

    assert any("is used again" in what for what in _said(_walk(desk, device)))


# A release that begins or ends, and commands, within a run


@pytest.fixture
def fleet(desk, device):
    """The device, at an office that holds the bundles of releases too."""
    return know(desk, device)


def know(desk, device):
    """Let the office hold the bundles of releases."""
    for body in (SECOND, THIRD):
        desk.registry.add_bundle(body)
    return device


def _live(device, first, stop):
    for values in READINGS[first:stop]:
        device.take(values)


def _whole(report, checkpoints):
    """Assert that every sample was replayed, from this many checkpoints."""
    counts = report.counts

    assert [] == _said(report)
    assert 1.0 == counts["run_replay_coverage"]
    assert counts["decisions"] == counts["decisions_replayed_equal"] > 0
    assert (counts["samples"], checkpoints) == (counts["samples_run_replayed"], counts["checkpoints"])


def test_run_goes_on_under_each_bundle_that_takes_over(desk, fleet):
    """A trial that is confirmed, a later one that is rolled back: one run, no sample of it left out."""
    device = fleet
    _live(device, 0, 12)
    device.adopt(SECOND, 1)
    _live(device, 12, 24)
    device.confirm(1)
    device.adopt(THIRD, 2)
    _live(device, 24, 36)
    device.roll_back(SECOND, 2)
    device.live(READINGS[36:])

    _whole(_walk(desk, device), 5)


def test_run_goes_on_over_commands(desk, fleet):
    """An order to an actuator moves its gate, which later decisions wait for; a setting and a refused order move none."""
    device = fleet
    device.obey(1, [SET_SETTING, 0, 5000], DONE, 1000)
    ordered = 1
    for at, values in enumerate(READINGS):
        device.take(values)
        if at % 7 == 3:
            ordered += 1
            device.obey(ordered, [SET_ACTUATOR, RELAY, at % 2])
    device.flush()

    _whole(_walk(desk, device), 1)


def test_order_to_an_actuator_is_heeded_over_a_switch(desk, fleet):
    """The gate that a command moved is carried over to the bundle of a release, and back."""
    device = fleet
    _live(device, 0, 9)
    device.obey(1, [SET_ACTUATOR, RELAY, 1])
    device.adopt(SECOND, 1)
    _live(device, 9, 20)
    device.obey(2, [SET_ACTUATOR, RELAY, 0])
    device.roll_back(BUNDLE, 1)
    device.live(READINGS[20:])

    _whole(_walk(desk, device), 4)


def _named(report):
    return [what for what in _said(report) if "no adoption event says that it takes over" in what]


@pytest.mark.parametrize("reason", [AT_BOOT, COUNTED, TO_MAKE_ROOM, ADOPTED])
def test_checkpoint_of_another_bundle_without_a_word_is_not_taken_up(desk, fleet, reason):
    """Whatever a checkpoint says it is for: rules that nothing in the journal brings do not decide, and a person is told."""
    device = fleet
    _live(device, 0, 8)
    device.flush()
    if reason in (AT_BOOT, TO_MAKE_ROOM):
        # Within a sample's turn one that makes room is passed over.
        device.reboot()
    device.use(SECOND)
    device.checkpoint(reason)
    device.live(READINGS[8:20])
    report = _walk(desk, device)

    assert len(_named(report)) >= 1
    assert 8 == report.counts["samples_run_replayed"] < report.counts["samples"]


@pytest.mark.parametrize(
    ("step", "number", "detail"),
    [(STAGED, 1, 0), (TRIAL, 1, 3)],
    ids=["only staged", "trial of another version"],
)
def test_event_that_does_not_say_that_this_bundle_takes_over_excuses_nothing(
    desk, fleet, step, number, detail
):
    """Staged is not on trial, and a trial names the version of its bundle."""
    device = fleet
    _live(device, 0, 8)
    device.tell(step, number, detail)
    device.take_over(SECOND)
    device.live(READINGS[8:20])

    assert _named(_walk(desk, device))


def test_old_event_excuses_no_later_switch(desk, fleet):
    """A trial begins before the next sample or never: an event of long ago brings no bundle now."""
    device = fleet
    device.tell(TRIAL, 1, 2)
    _live(device, 0, 8)
    device.take_over(SECOND)
    device.live(READINGS[8:20])

    assert _named(_walk(desk, device))


def test_roll_back_leads_to_the_bundle_before_and_to_no_other(desk, fleet):
    """What decides after a trial that failed is what decided before it."""
    device = fleet
    _live(device, 0, 8)
    device.adopt(SECOND, 1)
    _live(device, 8, 16)
    device.roll_back(THIRD, 1)
    device.live(READINGS[16:24])

    assert _named(_walk(desk, device))


def test_takeover_with_registers_or_gates_of_its_own_is_found(desk, fleet):
    """Another bundle begins at its first values, with the gates as the one before left them."""
    device = fleet
    _live(device, 0, 20)
    device.tell(TRIAL, 1, 2)
    device.use(SECOND)
    device.checkpoint(ADOPTED)
    device.live(READINGS[20:30])

    assert ["the checkpoint's state is not the one that run replay comes to"] == _said(_walk(desk, device))


def _cut_before_checkpoint(device):
    device.tell(TRIAL, 1, 2)
    device.use(SECOND)
    device.reboot()


def _cut_before_event(device):
    device.use(SECOND)
    device.reboot()
    device.tell(TRIAL, 1, 2)


def _cut_twice(device):
    device.use(SECOND)
    device.reboot()
    device.reboot()
    device.tell(TRIAL, 1, 2)


def _cut_often(device):
    _cut_before_event(device)
    device.use(BUNDLE)
    device.reboot()
    device.tell(ROLLED_BACK, 1, RESTARTS)


def _event_twice(device):
    _cut_before_checkpoint(device)
    device.tell(TRIAL, 1, 2)
    device.take(READINGS[7])
    device.roll_back(BUNDLE, 1)


def _slot_damaged(device):
    device.adopt(SECOND, 1)
    device.confirm(1)
    device.use(BUNDLE)
    device.reboot()
    device.tell(ROLLED_BACK, 1, DAMAGED)


def _room_was_made(device):
    device.reboot()
    device.tell(TRIAL, 1, 2)
    device.checkpoint(TO_MAKE_ROOM)
    gates = device.engine.state()[2]
    device.use(SECOND)
    device.engine.carry_gates(gates)
    device.checkpoint(TO_MAKE_ROOM)
    device.checkpoint(ADOPTED)


CUTS = (
    _cut_before_checkpoint,
    _cut_before_event,
    _cut_twice,
    _cut_often,
    _event_twice,
    _slot_damaged,
    _room_was_made,
)


@pytest.mark.parametrize("cut", CUTS)
def test_switch_that_a_power_cut_or_want_of_room_broke_up_is_still_one(desk, fleet, cut):
    """The event may stand before the boot whose checkpoint names the other bundle, or right behind that checkpoint."""
    device = fleet
    _live(device, 0, 8)
    device.flush()
    cut(device)
    device.live(READINGS[8:24])
    report = _walk(desk, device)

    assert [] == _said(report)
    assert 1.0 == report.counts["run_replay_coverage"]


def test_missing_critical_segments_excuse_a_switch_though_routine_ones_among_them_are_held(desk, fleet):
    """What follows them goes on from the order of a routine event that lies within their orders: what they told is lost all the same."""
    device = fleet
    _live(device, 0, 8)
    device.flush()
    start = device.lanes[CRITICAL].number
    device.adopt(SECOND, 1)
    device.live(READINGS[8:16])
    device.seal(ROUTINE, [device.row(HEALTH, {0: 1})])
    lost = device.lanes[CRITICAL].segments[start:]
    device.checkpoint()
    device.live(READINGS[16:24])
    desk.take(*(segment.raw for segment in device.all_segments() if segment not in lost))
    report = verify_database(desk.store.connection, desk.keystore)

    assert [] == _said(report)
    assert (24, 16) == (report.counts["samples"], report.counts["samples_run_replayed"])


def test_missing_critical_segment_excuses_the_switch_that_it_may_tell_of(desk, fleet):
    """Where critical events are missing nobody can know what they told: the next checkpoint is believed, and nothing is claimed."""
    device = fleet
    _live(device, 0, 8)
    device.flush()
    device.tell(TRIAL, 1, 2)
    lost = device.lanes[CRITICAL].segments[-1]
    device.take_over(SECOND)
    device.live(READINGS[8:24])
    desk.take(*(segment.raw for segment in device.all_segments() if segment is not lost))
    report = verify_database(desk.store.connection, desk.keystore)

    assert [] == _said(report)
    assert 1.0 == report.counts["run_replay_coverage"]
