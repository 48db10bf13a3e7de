"""Promises of the compiler as a whole: the bundle decides what the policy says, and what it accepts never faults."""

from collections import Counter

import pytest

from rules import interpreter
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.rules.authoring.policies import CHANNELS, check, in_unit, random_rule, random_trace
from tests.rules.authoring.slow_meaning import NEVER_AGE, SlowRule

POLICIES = 200
SAMPLES = 25
# Why a well-typed random rule may be refused.
REASONS = {
    "rules-division",
    "rules-overflow",
    "rules-range",
    "rules-precision",
    "rules-too-large",
    "rules-call",
}


class History:
    """Inputs as a rule sees them: last good values, ages, what was ever good."""

    def __init__(self):
        self.values = dict.fromkeys(CHANNELS, 0)
        self.ticks = {}

    def take(self, now, raws, good_mask):
        self.good = {name for i, name in enumerate(CHANNELS) if good_mask >> i & 1}
        for i, name in enumerate(CHANNELS):
            if name in self.good:
                self.values[name], self.ticks[name] = in_unit(name, raws[i]), now
        self.ages = {name: now - self.ticks[name] if name in self.ticks else NEVER_AGE for name in CHANNELS}


@pytest.fixture(scope="module")
def checked():
    """Return (seed, text, compiled or None, diagnostics) of many random policies."""
    return [(seed, text, *check(text)) for seed in range(POLICIES) for text in [random_rule(seed)]]


def test_accepted_policies_decide_what_their_text_says_and_never_fault(checked):
    """Over random traces the engine asks for exactly what the slow meaning of the text wants, on both evaluators."""
    compared = 0
    for seed, text, compiled, _ in checked:
        if compiled is None:
            continue
        bundle = read_bundle(compiled.bundle)
        engines = [Engine(bundle), Engine(bundle, interpreter.kernel)]
        slow, history = SlowRule(compiled.policy, compiled.policy.rules[0]), History()
        needs = {name for i, name in enumerate(CHANNELS) if compiled.rules[0].needs >> i & 1}
        for now, raws, good in random_trace(seed, SAMPLES):
            history.take(now, raws, good)
            asked = []
            for engine in engines:
                decisions = engine.sample(now, raws, good, trusted_time=True, online=True)
                assert not engine.faults, (text, engine.faults)
                asked.append({act[0]: act[1] for d in decisions for act in d[9]})
            wanted = {}
            if needs <= history.good:
                wanted = slow.sample(now, history.values, history.good, history.ages, set(history.ticks))
            expected = {1 if k == "out" else 2: v if k == "out" else v * 10**6 for k, v in wanted.items()}
            compared += len(expected)

            assert asked == [expected, expected], (seed, text, now)
    assert compared > 500, compared


def test_random_policies_are_refused_only_for_reasons_of_range(checked):
    """A good part is accepted, and what is refused is refused because it could fault or does not fit."""
    refused = [diagnostics for _, _, compiled, diagnostics in checked if compiled is None]
    reasons = Counter(d.code for found in refused for d in found if d.severity == "error")

    assert set(reasons) <= REASONS, reasons
    assert len(checked) - len(refused) > POLICIES // 4, (len(refused), reasons)
    assert reasons["rules-division"] > 10, reasons
