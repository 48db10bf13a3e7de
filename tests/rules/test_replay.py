"""Promises of rules/replay.py: each planted fault in a recorded decision is found, in the field where it lies."""

import copy

import pytest

from rules import translate, value
from rules.bundle import read_bundle
from rules.engine import Engine
from rules.replay import FIELD_NAMES, StepReplay, step_replay
from tests.both.random_bundles import history, random_bundle, random_samples
from tools.demo_rules import SAMPLE_TICKS, demo_bundle


@pytest.fixture
def bundle():
    """Return the demo's bundle, read."""
    return read_bundle(demo_bundle())


@pytest.fixture
def decision(bundle):
    """Return a decision of the demo: the valve was to be opened, and the gate refused because it was too soon."""
    engine = Engine(bundle)
    decisions = []
    for i, flow in enumerate([10200] * 5 + [2426] * 6 + [10200] * 6):
        decisions += engine.sample(1000 + i * SAMPLE_TICKS, [flow, 500], 3, trusted_time=True, online=False)
    assert len(decisions) == 2
    return [list(part) if isinstance(part, list) else part for part in decisions[1]]


def test_an_untouched_decision_replays_equal(bundle, decision):
    """The recorded decision is the replayed one, as tuple or as lists."""
    assert step_replay(bundle, decision) == []
    assert step_replay(bundle, tuple(decision)) == []


PLANTED = [
    ("another rule", lambda d: d.__setitem__(0, 2), {"before", "after", "acts"}),
    ("an unknown rule", lambda d: d.__setitem__(0, 77), {"rule"}),
    ("the mode", lambda d: d.__setitem__(1, 1), {"mode"}),
    ("a later tick", lambda d: d.__setitem__(2, d[2] + 1), {"after"}),
    ("an input on the other side of the threshold", lambda d: d[3].__setitem__(0, 9499), {"acts"}),
    ("an age", lambda d: d[4].__setitem__(0, 1), {"ages"}),
    ("an age of an input that was never good", lambda d: d[4].__setitem__(1, -1), {"ages"}),
    ("a channel said to be bad that the rule needs", lambda d: d.__setitem__(5, 2), {"acts"}),
    ("a good channel that is none", lambda d: d.__setitem__(5, 7), {"good"}),
    ("a flag that does not exist", lambda d: d.__setitem__(6, 5), {"flags"}),
    ("the wanted state before", lambda d: d[7].__setitem__(0, 1), {"acts"}),
    ("the start of the hold before", lambda d: d[7].__setitem__(1, d[7][1] + 1), {"acts"}),
    ("one register fewer before", lambda d: d[7].pop(), {"before"}),
    ("a register after", lambda d: d[8].__setitem__(3, d[8][3] - 1), {"after"}),
    ("one register fewer after", lambda d: d[8].pop(), {"after"}),
    ("the action", lambda d: d[9][0].__setitem__(0, 2), {"acts"}),
    ("the requested value", lambda d: d[9][0].__setitem__(1, 0), {"acts"}),
    ("the verdict", lambda d: d[9][0].__setitem__(2, 0), {"acts"}),
    ("a gate's time in the future", lambda d: d[9][0].__setitem__(3, d[2] + 1), {"acts"}),
    ("no gate time", lambda d: d[9][0].__setitem__(3, None), {"acts", "after"}),
    ("a request more", lambda d: d[9].append([2, 1, 0, None]), {"acts"}),
    ("a request less", lambda d: d[9].pop(), {"acts"}),
]


@pytest.mark.parametrize(("plant", "fields"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_step_replay_names_the_field_of_a_planted_fault(bundle, decision, plant, fields):
    """One thing changed in a recorded decision is found, and the named fields include where it shows."""
    changed = copy.deepcopy(decision)
    plant(changed)
    found = {difference[0] for difference in step_replay(bundle, changed)}

    assert found & fields, found


def test_step_replay_never_raises_whatever_stands_in_a_decision(bundle, decision):
    """Each field replaced by each of many wrong things is a difference, not an exception."""
    wrong = [None, True, -1, 1 << 70, "x", b"x", [], [None], [[1]], [[1, 2, 3]], [[1, 2, 3, -4]], {}, 2.5]
    for i in range(len(FIELD_NAMES)):
        for other in wrong:
            changed = copy.deepcopy(decision)
            changed[i] = other
            if changed != decision:
                assert step_replay(bundle, changed), (FIELD_NAMES[i], other)
    for other in (*wrong, decision[:9], [*decision, 0]):
        assert step_replay(bundle, other) == [("shape", None, None)]


def test_step_replay_finds_every_changed_outcome_of_random_rules():
    """A register after, a requested value or a verdict changed by one is found in every decision of random rules."""
    planted = 0
    for seed in range(1, 41):
        read = read_bundle(random_bundle(seed))
        replay = StepReplay(read)
        for step in history(Engine(read), random_samples(seed, 20))[0]:
            for decision in step[0]:
                for at, places in ((8, range(len(decision[8]))), (9, range(len(decision[9])))):
                    for place in places:
                        changed = copy.deepcopy(decision)
                        if at == 8:
                            changed[8][place] += 1
                        else:
                            changed[9][place][1 + planted % 2] += 1
                        planted += 1
                        assert replay.differences(changed), (seed, decision)

    assert planted > 1000


@pytest.mark.canary
def test_replay_and_vectors_catch_division_that_rounds_down(monkeypatch):
    """With Python's own division in the translated function, the vectors of arithmetic fail."""
    from tests.both import test_rules_vectors

    monkeypatch.setattr(
        translate, "quotient", lambda left, right: left // right if right else value.quotient(1, 0)
    )
    with pytest.raises(AssertionError, match="/"):
        test_rules_vectors.test_arithmetic_vectors_hold()


@pytest.mark.canary
def test_random_rules_catch_an_engine_that_keeps_the_registers_of_a_faulted_run(monkeypatch):
    """An engine without roll back differs from the vectors of faults."""
    from tests.both import test_rules_vectors

    honest = Engine._run

    def keeps(self, running):
        cells = honest(self, running)
        if cells < 0:
            running.registers = list(running.work)
        return cells

    monkeypatch.setattr(Engine, "_run", keeps)
    with pytest.raises(AssertionError, match="faulted run leaves its registers"):
        test_rules_vectors.test_engine_vectors_hold()
