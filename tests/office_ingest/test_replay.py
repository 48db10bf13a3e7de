"""Replay finds every decision that should have been made otherwise, and nothing else."""

import pytest

from office_ingest.prove.verify import verify_database
from protocol.event import DECISION, RULE_FAULT
from protocol.keys import CRITICAL
from rules.engine import D_AFTER, D_FLAGS, D_INPUTS
from tests.support.deciding_device import BUNDLE, READINGS, TO_MAKE_ROOM, DecidingDevice


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
