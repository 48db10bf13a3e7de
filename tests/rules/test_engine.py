"""Promises of rules/engine.py that the vectors do not hold: its edges, recovery, and what it costs on a device."""

import subprocess

import pytest

from protocol.errors import RULE, ProtocolError
from protocol.event import DECISION, encode_events
from protocol.limits import events_bytes_max
from rules import grammar as g
from rules import guard
from rules.bundle import read_bundle
from rules.engine import D_ACTS, D_AFTER, D_AGES, Engine
from rules.limits import value_max
from tools.demo_rules import SAMPLE_TICKS, demo_bundle
from tools.rule_tree import NOW, act, bundle, gate, reading, rule, set_register
from tools.upy import ROOT, micropython_command, micropython_environment


def engine_of(rules, gates=()):
    """Return an engine for two channels."""
    return Engine(read_bundle(bundle(rules, list(gates))))


def step(engine, now, values, good=3):
    """Return the decisions of one sample with trusted time and a gateway."""
    return engine.sample(now, values, good, trusted_time=True, online=True)


def test_a_tick_that_goes_back_or_beyond_its_bound_is_refused():
    """The agent's mistake is an error at once, not a decision nobody can replay."""
    engine = engine_of([rule(1, [0], [set_register(0, NOW)])])
    step(engine, 10, [0, 0])
    for tick in (9, value_max + 1):
        with pytest.raises(ValueError, match="rule tick"):
            step(engine, tick, [0, 0])
    with pytest.raises(ValueError, match="3 values for 2 channels"):
        step(engine, 11, [0, 0, 0])


def test_a_decision_does_not_change_when_the_engine_goes_on():
    """What was handed out for the journal is a copy, not a view into the engine."""
    engine = engine_of([rule(1, [0], [set_register(0, reading(0)), act(1, 1)])])
    first = step(engine, 1, [5, 6])[0]
    before = repr(first)
    step(engine, 2, [7, 8])

    assert before == repr(first)


def test_engine_refuses_a_state_that_is_not_of_its_bundle_and_keeps_its_own():
    """Every part of a checkpoint is checked before any part is taken."""
    engine = engine_of([rule(1, [4], [set_register(0, NOW)])], [gate(9, 0, 1, 0)])
    step(engine, 5, [1, 2], good=1)
    good = engine.state()
    assert good == [[[1, 5], None], [[1, [5]]], [[9, None, None]]]
    for at, wrong in (
        (0, [[1, 5]]),
        (0, [[1, -5], None]),
        (0, [[True, 5], None]),
        (1, [[2, [5]]]),
        (1, [[1, [5, 6]]]),
        (1, [[1, [value_max + 1]]]),
        (2, [[8, None, None]]),
        (2, [[9, 5, None]]),
        (2, [[9, None, 1]]),
        (2, [[9, -1, 1]]),
        (2, None),
    ):
        state = list(good)
        state[at] = wrong
        with pytest.raises(ProtocolError) as refusal:
            engine.restore(state)

        assert refusal.value.code == RULE
        assert engine.state() == good


def test_engine_refuses_to_apply_a_decision_of_another_bundle():
    """A fold over the wrong bundle is an error, not a silent register."""
    engine = engine_of([rule(1, [0], [act(1, 1)])])
    decision = list(step(engine, 1, [0, 0])[0])
    for other in (engine_of([rule(2, [0], [act(1, 1)])]), engine_of([rule(1, [0, 0], [act(1, 1)])])):
        with pytest.raises(ProtocolError):
            other.apply(decision)


def test_a_restored_engine_may_not_be_replaced_before_it_has_seen_a_sample():
    """What was so before a power cut is not known to be so after it; where no condition is, nothing need be known."""
    for adopt, before in (([g.BELOW, reading(0), 10], False), (None, True)):
        engine = Engine(read_bundle(bundle([], [], adopt=adopt)))
        assert engine.may_adopt() is before
        step(engine, 5, [1, 2])
        assert engine.may_adopt() is True
        engine.restore(engine.state())

        assert engine.may_adopt() is before
        step(engine, 6, [1, 2])
        assert engine.may_adopt() is True


def test_a_command_does_not_change_what_the_newest_sample_said():
    """The condition of replacing sees the sample's tick and ages, however much later a command came."""
    engine = Engine(read_bundle(bundle([], [gate(5, 0, 1, 0)], adopt=[g.EQUAL, NOW, 7])))
    step(engine, 7, [0, 0])
    engine.ask(5, 1, 90, trusted_time=True, online=True)

    assert engine.may_adopt()


def test_a_commands_tick_never_goes_back_and_no_sample_goes_below_it():
    """Commands and samples share one time."""
    engine = engine_of([], [gate(5, 0, 1, 0)])
    step(engine, 10, [0, 0])
    for tick in (9, value_max + 1):
        with pytest.raises(ValueError, match="rule tick"):
            engine.ask(5, 1, tick, trusted_time=True, online=True)
    assert engine.state()[2] == [[5, None, None]]
    engine.ask(5, 1, 20, trusted_time=True, online=True)
    with pytest.raises(ValueError, match="rule tick"):
        step(engine, 19, [0, 0])


def test_what_is_no_outcome_of_a_command_is_refused_and_changes_nothing():
    """A fold takes acts as ask() gives them, and nothing else."""
    engine = engine_of([], [gate(5, 0, 1, 0)])
    engine.apply_act([5, 1, 0, None], 30)
    good = engine.state()
    for outcome, now in (
        ([5, 1, 0], 40),
        ([5, 1, 9, None], 40),
        ([5, 1, True, None], 40),
        ([5, value_max + 1, 0, None], 40),
        ([5, None, 0, None], 40),
        ([5, 1, 0, None], -1),
        ([5, 1, 0, None], value_max + 1),
        ([5, 1, 0, None], None),
        (None, 40),
    ):
        with pytest.raises(ProtocolError) as refusal:
            engine.apply_act(outcome, now)

        assert refusal.value.code == RULE
        assert (engine.state(), engine.now) == (good, 30)


def test_of_two_engines_before_it_the_later_tick_of_a_gate_stands():
    """A device that goes back may ask both the bundle it leaves and the one it had: in any order."""
    rows = [[[5, 100, 1], [6, 7, 1]], [[5, 40, 0], [6, None, None]]]
    for order in (rows, rows[::-1]):
        engine = engine_of([], [gate(6, 0, 1, 0), gate(5, 0, 1, 0)])
        for gates in order:
            engine.carry_gates(gates)

        assert engine.state()[2] == [[6, 7, 1], [5, 100, 1]]
        assert engine.now == 100


def test_a_takeover_of_what_are_no_gates_is_refused_and_changes_nothing():
    """Every row is checked before any is taken."""
    for wrong in (
        None,
        [None],
        [[5, 1]],
        [[5, 1, None]],
        [[5, None, 1]],
        [[5, -1, 1]],
        [[256, 1, 1]],
        [[5, 1, True]],
    ):
        engine = engine_of([], [gate(5, 0, 1, 0)])
        rows = wrong and [[5, 9, 1], *wrong]
        with pytest.raises(ProtocolError) as refusal:
            engine.carry_gates(rows)

        assert refusal.value.code == RULE
        assert (engine.state()[2], engine.now) == ([[5, None, None]], 0)


def day(rows):
    """Return readings of a day: a leak for so many samples, at normal temperature."""
    return [10200] * 10 + [2426] * rows + [10200] * 40


def test_after_a_power_cut_the_fold_of_decisions_leaves_no_valve_moved_twice():
    """Cut after any sample: checkpoint at the start plus all decisions gives the gates and latches of the engine that went on."""
    read = read_bundle(demo_bundle())
    whole = Engine(read)
    start = whole.state()
    decisions = []
    for i, flow in enumerate(day(12)):
        decisions += step(whole, i * SAMPLE_TICKS + 1000, [flow, 500])
        folded = Engine(read)
        folded.restore(start)
        for decision in decisions:
            folded.apply(decision)

        assert folded.state()[2] == whole.state()[2]
        assert folded.state()[1][0][1][0] == whole.state()[1][0][1][0]
    assert [act[:3] for decision in decisions for act in decision[D_ACTS]] == [
        [1, 0, guard.ALLOWED],
        [1, 1, guard.TOO_SOON],
        [1, 1, guard.TOO_SOON],
        [1, 1, guard.TOO_SOON],
        [1, 1, guard.ALLOWED],
    ]


def test_a_hold_is_not_completed_over_time_in_which_the_rule_did_not_run():
    """Low before a gap and low after it are not low throughout: the hold starts again."""
    engine = Engine(read_bundle(demo_bundle()))
    for i in range(3):
        assert not step(engine, 1000 + i * SAMPLE_TICKS, [10200, 500])
    start = 1000 + 3 * SAMPLE_TICKS
    assert not step(engine, start, [2426, 500])
    for i in range(1, 20):
        assert not step(engine, start + i * SAMPLE_TICKS, [None, 500], good=2)
    low_again = start + 20 * SAMPLE_TICKS
    for i in range(3):
        assert not step(engine, low_again + i * SAMPLE_TICKS, [2426, 500])
    closed = step(engine, low_again + 3 * SAMPLE_TICKS, [2426, 500])

    assert [[1, 0, guard.ALLOWED, None]] == closed[0][D_ACTS]


def test_a_refused_request_is_repeated_at_the_retry_interval_only():
    """While the gate refuses, the demo rule asks every third sample, not every one, and stops once allowed."""
    engine = Engine(read_bundle(demo_bundle()))
    asked = []
    for i, flow in enumerate(day(5)):
        for decision in step(engine, i * SAMPLE_TICKS + 1000, [flow, 500]):
            asked.append((i, decision[D_ACTS][0][1:3]))
            assert decision[D_AFTER][2] == decision[D_ACTS][0][2]

    assert asked == [
        (13, [0, guard.ALLOWED]),
        (18, [1, guard.TOO_SOON]),
        (21, [1, guard.TOO_SOON]),
        (24, [1, guard.TOO_SOON]),
        (27, [1, guard.TOO_SOON]),
        (30, [1, guard.TOO_SOON]),
        (33, [1, guard.ALLOWED]),
    ]


_HEAP = """
import gc
from rules.bundle import read_bundle
from rules.engine import Engine
engine = Engine(read_bundle(bytes.fromhex("{}")))
quiet = [10200, 500]
engine.sample(1, quiet, 3, trusted_time=True, online=True)
gc.collect()
gc.disable()
now = 1
before = gc.mem_alloc()
for _ in range(1000):
    now += 360
    engine.sample(now, quiet, 3, trusted_time=True, online=True)
print(gc.mem_alloc() - before)
"""


def test_a_sample_without_a_decision_takes_no_heap_on_micropython():
    """A thousand quiet samples allocate nothing that grows with their number."""
    done = subprocess.run(
        [*micropython_command(), "-c", _HEAP.format(demo_bundle().hex())],
        env=micropython_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000


def test_the_largest_decision_fits_a_segment_alone():
    """8 channels, 8 registers, 4 requests, every integer at its longest: the event fits beside a digest."""
    gates = [gate(action, -value_max, value_max, 0) for action in range(252, 256)]
    body = [act(action, -value_max) for action in range(252, 256)]
    engine = Engine(read_bundle(bundle([rule(65535, [-value_max] * 8, body)], gates, channels=8)))
    engine.sample(0, [-value_max] * 8, 0xFF, trusted_time=True, online=True)
    decision = engine.sample(value_max, [None] * 8, 0, trusted_time=True, online=True)[0]
    fields = (value_max, decision[0], decision[1], b"\0" * 32, *decision[2:])

    assert [value_max] * 8 == decision[D_AGES]
    assert len(encode_events(value_max, [(value_max, value_max, DECISION, fields)])) <= events_bytes_max
