"""Promises of tests inside a policy: they catch what is changed in the rules, and say what was read and remembered."""

import pytest

from rules.authoring.compile import check_text
from rules.authoring.test import run_tests
from tools.device_types import ROOT

TEXT = (ROOT / "docs" / "rules" / "demo.yaml").read_text()

MUTANTS = [
    ("flow < 90.00", "flow < 20.00"),
    ("flow < 90.00", "flow > 90.00"),
    ('held(flow < 90.00, "108s")', 'held(flow < 90.00, "72s")'),
    ('held(flow < 90.00, "108s")', 'held(flow < 90.00, "144s")'),
    ("output: {valve: 0}", "output: {valve: 1}"),
    ("gap: 12m", "gap: 1m"),
    ("starts: {valve: 1}", "starts: {valve: 0}"),
    ("temperature >= 75.0", "temperature >= 75.1"),
    ("temperature >= 75.0", "temperature >= 74.9"),
    ('held(temperature >= 75.0, "72s")', 'held(temperature >= 75.0, "36s")'),
]


def outcomes(text):
    """Return name -> failure's text, or None, of each test of a policy."""
    compiled, found = check_text(text, "demo.yaml", lambda name: "")
    assert compiled is not None, [d.text() for d in found]
    done, mistakes = run_tests(compiled)
    assert not mistakes, [d.text() for d in mistakes]
    return {outcome.name: outcome.failure and outcome.failure.text() for outcome in done}


def test_the_demo_policy_passes_its_own_tests():
    """Three tests, none fails."""
    assert [None] * 3 == list(outcomes(TEXT).values())


@pytest.mark.parametrize(("old", "new"), MUTANTS)
def test_a_changed_rule_fails_a_test(old, new):
    """Thresholds, times, values and gaps cannot change without a test of the demo's policy noticing."""
    assert old in TEXT

    assert any(outcomes(TEXT.replace(old, new, 1)).values())


def test_a_failure_shows_what_was_read_and_remembered():
    """The message holds step, time, expected and actual requests, inputs in their units, registers before and after."""
    said = outcomes(TEXT.replace("flow < 90.00", "flow < 20.00", 1))[
        "a leak closes the valve, and the gap delays its opening"
    ]

    for words in (
        "demo.yaml:60:",
        "step 3, at 4m12s",
        "expected valve = 0, got nothing",
        "flow 24.26, temperature 70.0",
        "leak: held 2 since -1",
        "last evaluation 2160 -> 2520",
    ):
        assert words in said, said


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("repeat: 10", "repeat: 0", "rules-wrong-value"),
        ("repeat: 10", "repaet: 10", "rules-unknown-key"),
        ("temperature: 74.9", "temperature: 740.9", "rules-wrong-value"),
        ("temperature: 74.9", "temperature: 74.95", "rules-precision"),
        ("expect: {relay: 1}", "expect: {rely: 1}", "rules-unknown-name"),
        ("verdict: too soon", "verdict: too late", "rules-wrong-value"),
        ("- name: a short dip is no leak\n", "- nam: a short dip\n", "rules-missing-key"),
    ],
)
def test_a_mistake_in_a_test_is_told_at_its_place(old, new, code):
    """A test that cannot be read is not passed over."""
    assert old in TEXT
    compiled, _ = check_text(TEXT.replace(old, new, 1), "demo.yaml", lambda name: "")
    done, mistakes = run_tests(compiled)

    assert done == []
    assert code in [mistake.code for mistake in mistakes]
    assert all(mistake.line for mistake in mistakes)
