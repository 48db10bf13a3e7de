"""Promises of the functions with a memory: each equals its definition over random traces, in as many registers as it says."""

import random

import pytest

from rules.bundle import read_bundle
from rules.engine import Engine
from tests.rules.authoring.policies import check, codes, random_trace, rule_of


def run(expression, rows):
    """Return what an expression over channel a gives at each (tick, value)."""
    compiled, found = check(rule_of(expression))
    assert compiled is not None, [d.text() for d in found]
    engine = Engine(read_bundle(compiled.bundle))
    results = []
    for now, value in rows:
        (decision,) = engine.sample(now, [value, 0, 0], 1, trusted_time=True, online=True)
        results.append(decision[9][0][1])
    return results


def traces():
    """Return random traces of channel a."""
    return [[(now, raws[0]) for now, raws, _ in random_trace(seed, 120)] for seed in range(12)]


def ring(rows, periods, every):
    """Return for each sample all values of its own period and the periods before it."""
    return [
        [old for then, old in rows[: i + 1] if then // every >= now // every - periods]
        for i, (now, _) in enumerate(rows)
    ]


@pytest.mark.parametrize(("name", "function"), [("min", min), ("max", max), ("sum", sum)])
@pytest.mark.parametrize(("periods", "every"), [(1, 10), (3, 25), (6, 100)])
def test_window_is_what_its_periods_hold(name, function, periods, every):
    """min, max and sum are taken over the running period and the whole ones before it."""
    for rows in traces():
        expected = [function(values) for values in ring(rows, periods, every)]

        assert expected == run(f'window.{name}(a, {periods}, "{every * 100}ms")', rows)


def test_window_count_counts_the_samples_that_met_the_condition():
    """Only samples inside the window that met it count."""
    for rows in traces():
        expected = [sum(value > 3 for value in values) for values in ring(rows, 3, 25)]

        assert expected == run('window.count(a > 3, 3, "2500ms")', rows)


@pytest.mark.parametrize(("periods", "every"), [(1, 10), (3, 25), (5, 100)])
def test_lag_is_the_newest_value_so_many_periods_ago(periods, every):
    """What was seen last in that period or before it; the first value while there is none so old."""
    for rows in traces():
        expected = []
        for i, (now, _) in enumerate(rows):
            old = [value for then, value in rows[: i + 1] if then // every <= now // every - periods]
            expected.append(old[-1] if old else rows[0][1])

        assert expected == run(f'lag(a, {periods}, "{every * 100}ms")', rows)


def test_held_begins_anew_when_the_condition_ends_or_nobody_looked():
    """True once the condition was met at every sample for so long, without a gap above two samples."""
    for rows in traces():
        expected, since, last = [], None, 0
        for now, value in rows:
            if now - last > 20 or value <= 0:
                since = None
            if value > 0 and since is None:
                since = now
            last = now
            expected.append(int(since is not None and now - since >= 30))

        assert expected == run('held(a > 0, "3s")', rows)
        assert 1 in expected or len(set(expected)) == 1


def test_latch_keeps_until_reset_and_set_wins():
    """A latch is true from set on; where both are asked for it is set."""
    for rows in traces():
        expected, kept = [], 0
        for _, value in rows:
            kept = 1 if value > 20 else 0 if value < 30 and value % 2 else kept
            expected.append(kept)

        assert expected == run("latch(a > 20, a < 30 && a % 2 != 0)", rows)


def test_a_window_has_one_bucket_more_than_periods():
    """With n buckets it would span less than n periods, because the running one is never whole."""
    compiled, _ = check(rule_of('window.max(a, 6, "10s")'))
    buckets = [row.name for row in compiled.rules[0].registers if "bucket" in row.name]

    assert len(buckets) == 7
    # 55 s after it: with six buckets of 10 s the value of the first period would be gone by now.
    rows = [(95, 40)] + [(tick, 0) for tick in range(105, 700, 10)]
    results = run('window.max(a, 6, "10s")', rows)
    seen = [now for (now, _), result in zip(rows, results, strict=True) if result == 40]
    assert max(seen) - 95 >= 590


def test_a_call_in_a_branch_not_taken_goes_on():
    """A stateful function sees every sample, whether its value is asked for or not."""
    dice = random.Random(5)
    rows = [(10 * i, dice.randint(-5, 5)) for i in range(1, 80)]
    expected = [max(values) if rows[i][1] > 0 else -99 for i, values in enumerate(ring(rows, 2, 30))]

    assert expected == run('a > 0 ? window.max(a, 2, "3s") : -99', rows)


def test_a_sum_does_not_fault_when_samples_come_faster_than_declared():
    """More samples in a period than the policy says stop the sum at its bound instead of ending the evaluation."""
    compiled, found = check(rule_of('window.sum(a, 1, "500s")'))
    assert compiled, found
    engine = Engine(read_bundle(compiled.bundle))
    state = engine.state()
    registers = [row.name for row in compiled.rules[0].registers]
    bucket = registers.index(next(name for name in registers if name.endswith("bucket 0")))
    state[1][0][1][bucket] = ((1 << 30) - 1) // 2
    state[1][0][1][registers.index(next(name for name in registers if name.endswith("period")))] = 0
    engine.restore(state)
    (decision,) = engine.sample(1, [50, 0, 0], 1, trusted_time=True, online=True)

    assert decision[9][0][1] == ((1 << 30) - 1) // 2


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ('window.max(a, 0, "1s")', "rules-call"),
        ('window.max(a, 32, "1s")', "rules-call"),
        ('window.max(a, a, "1s")', "rules-call"),
        ('window.max(a, 3, "0s")', "rules-call"),
        ('window.max(a > 3, 3, "1s")', "rules-type"),
        ('window.max(3, 3, "1s")', "rules-call"),
        ('window.sum(a, 31, "1000h")', "rules-overflow"),
        ('window.max(a, 31, "1s")', "rules-too-large"),
        ('held(a, "1s") ? 1 : 0', "rules-type"),
        ("held(a > 3, 5) ? 1 : 0", "rules-type"),
        ('held(a > 3, "150ms") ? 1 : 0', "rules-wrong-value"),
        ("latch(a > 3) ? 1 : 0", "rules-call"),
    ],
)
def test_a_call_that_cannot_be_is_refused(expression, code):
    """Each wrong argument is named with a code of its own kind."""
    assert code in codes(rule_of(expression))


@pytest.mark.parametrize("function", ["lag", "window.min", "window.max", "window.sum"])
def test_a_ring_that_nothing_uses_is_proved_too(function):
    """A variable that no alternative names is looked at with what is known when it was updated."""
    variable = f"{{name: v, expression: '{function}(a, 3, \"2s\") > 1'}}"

    assert [] == codes(f"rule: {{name: r, variables: [{variable}], match: [{{output: {{out: 1}}}}]}}\n")
