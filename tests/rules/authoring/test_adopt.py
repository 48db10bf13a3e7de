"""Promises of adopt_when: the bundle may be replaced exactly when the text says so, and mistakes are told at their place."""

import pytest

from rules import interpreter
from rules.authoring import cel
from rules.authoring.compile import check_text
from rules.authoring.explain import explain
from rules.authoring.test import run_tests
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.rules.authoring.policies import HEAD, Text, check, random_trace, rule_of
from tests.rules.authoring.slow_meaning import SlowRule, Undefined, parts
from tests.rules.authoring.test_meaning import History
from tools.device_types import ROOT

RULE = rule_of("1")
POLICIES = 300
SAMPLES = 25


def check_adopt(text, rule=RULE):
    """Return (compiled or None, diagnostics) of a policy that may be replaced when text is met, written in line 10."""
    quoted = text.replace("'", "''")
    return check(f"adopt_when: '{quoted}'\n{rule}")


class SlowAdopt(SlowRule):
    """The condition of a policy on exact fractions; a channel that is not good gives no value."""

    def name(self, name):
        if name in self.values and name not in self.good:
            raise Undefined
        return super().name(name)

    def may_adopt(self, now, history):
        """Return what the text says of a sample."""
        self.now, self.values, self.good = now, history.values, history.good
        self.ages, self.ever = history.ages, set(history.ticks)
        try:
            return self.node(self.policy.adopt)
        except Undefined:
            return False

    def value(self, tree):
        """Ask about a channel without reading it; what constants decide, nobody reads for."""
        folded = self._folded(tree)
        if folded is not None:
            return folded
        asks = getattr(tree, "name", None) in ("good", "has", "age") and hasattr(tree, "arguments")
        return super()._call(tree) if asks else super().value(tree)

    def _folded(self, tree):
        if isinstance(tree, cel.Unary) and tree.operator == "!":
            inner = self._folded(tree.operand)
            return None if inner is None else not inner
        if isinstance(tree, cel.Choice):
            chosen = self._folded(tree.condition)
            return None if chosen is None else self._folded(tree.yes if chosen else tree.no)
        if isinstance(tree, cel.Binary) and tree.operator in ("&&", "||"):
            sides, decides = [self._folded(tree.left), self._folded(tree.right)], tree.operator == "||"
            if decides in sides:
                return decides
            return None if None in sides else not decides
        return None if _reads(tree) else super().value(tree)


def _reads(tree):
    return isinstance(tree, (cel.Name, cel.Call)) or any(_reads(part) for part in parts(tree))


def test_random_conditions_are_met_when_their_text_says_so():
    """Over random samples with bad channels: engine, interpreter and exact fractions agree, and nothing is refused but for its range."""
    said, accepted = [0, 0], 0
    for seed in range(POLICIES):
        compiled, found = check_adopt(Text(seed, stateful=0).bool(3))
        reasons = {d.code for d in found if d.severity == "error"}
        assert (compiled is None) == bool(reasons)
        assert reasons <= {"rules-division", "rules-overflow", "rules-precision", "rules-wrong-value"}, found
        if compiled is None:
            continue
        accepted += 1
        bundle = read_bundle(compiled.bundle)
        engines = [Engine(bundle), Engine(bundle, interpreter.kernel)]
        slow, history = SlowAdopt(compiled.policy, compiled.policy.rules[0]), History()
        for now, raws, good in random_trace(seed, SAMPLES):
            history.take(now, raws, good)
            for engine in engines:
                engine.sample(now, raws, good, trusted_time=True, online=True)
            expected = slow.may_adopt(now, history)
            said[expected] += 1

            assert [engine.may_adopt() for engine in engines] == [expected] * 2, (
                compiled.policy.adopt.text,
                now,
            )
    assert accepted > 150 and min(said) > 1000, (accepted, said)


DEAD_SENSOR = [
    ("a < 10", [False, False, False]),
    ('age(a) > duration("1h") || a < 10', [False, False, True]),
    ("!good(a) || a < 10", [True, True, True]),
    ("a < 10 || !good(a)", [False, False, False]),
]


@pytest.mark.parametrize(("text", "expected"), DEAD_SENSOR)
def test_a_dead_sensor_is_waited_for_as_the_page_says(text, expected):
    """The four ways in which docs/rules/language.md asks of a channel that may die, at once, after an hour and later."""
    compiled, _ = check_adopt(text)
    engine, answers = Engine(read_bundle(compiled.bundle)), []
    engine.sample(0, [5, 0, 0], 7, trusted_time=True, online=True)
    assert engine.may_adopt()
    for now in (10, 36_000, 36_001):
        engine.sample(now, [5, 0, 0], 6, trusted_time=True, online=True)
        answers.append(engine.may_adopt())

    assert answers == expected


STATEFUL = "rule: {name: r, state: [{name: n, starts: 0, range: [0, 9], next: '1'}], "
STATEFUL += "variables: [{name: v, expression: a > 3}], match: [{output: {out: n}}]}\n"
MISTAKES = [
    ("aa > 3", "rules-unknown-name", 14, "did you mean a?"),
    ("a > 3 && b", "rules-type", 23, None),
    ("a", "rules-type", 14, None),
    ("a < 3.0", "rules-type", 14, None),
    ("b < c", "rules-unit", 14, None),
    ("b < 10", "rules-type", 14, "write 10.0"),
    ('a > 3 && held(a > 3, "10s")', "rules-call", 23, "good, has and age will do too"),
    ("latch(a > 3, a < 1)", "rules-call", 14, "good, has and age will do too"),
    ('window.max(a, 3, "10s") > 3', "rules-call", 14, "good, has and age will do too"),
    ('lag(a, 3, "10s") > 3', "rules-call", 14, "good, has and age will do too"),
    ("hold(a > 3)", "rules-unknown-name", 14, "did you mean held?"),
    ("n > 3", "rules-unknown-name", 14, "write out what it is made of"),
    ("a > 3 || v", "rules-unknown-name", 23, "write out what it is made of"),
    ("out > 3", "rules-unknown-name", 14, "known are: now, a, b, c"),
    ("100 / a > 3", "rules-division", 14, "ask first"),
    ("a * a * a * a * a * a > 3", "rules-overflow", 14, "smaller factors"),
    ("b * c * 100.00 * b > 0.0", "rules-overflow", 14, None),
    ("a == 3 &&", "rules-syntax", 23, None),
    ("a == 'x'", "rules-not-supported", None, None),
    ("false", "rules-wrong-value", None, "remove adopt_when"),
    ("a > 3 && a < 2", "rules-wrong-value", None, "remove adopt_when"),
    ("b < 0.0", "rules-wrong-value", None, "remove adopt_when"),
    ("!(" * 15 + "a > 3" + ")" * 15, "rules-too-large", None, "fewer brackets"),
]


@pytest.mark.parametrize(("text", "code", "column", "fix"), MISTAKES)
def test_a_mistake_is_told_at_its_place_with_a_way_out(text, code, column, fix):
    """Each mistake has its code, line 10, the column under which it stands, and what to do."""
    compiled, found = check_adopt(text, STATEFUL)
    said = [d for d in found if d.severity == "error" and d.code == code]

    assert compiled is None
    assert len(said) == 1, [d.text() for d in found]
    assert (said[0].file, said[0].line) == ("test.yaml", 10)
    assert column is None or said[0].column == column, said[0].text()
    assert fix is None or fix in (said[0].fix or ""), said[0].text()


@pytest.mark.parametrize("text", ["[a > 3]", "{a: 3}", "''"])
def test_what_is_no_expression_is_told(text):
    """A list, a map and nothing are refused in line 10."""
    compiled, found = check(f"adopt_when: {text}\n{RULE}")

    assert compiled is None
    assert [10] == [d.line for d in found]


def test_a_misspelt_key_is_no_policy_without_a_condition():
    """Whoever writes adopt_wen is told, and does not get a bundle that may be replaced at any time."""
    compiled, found = check(f"adopt_wen: a > 3\n{RULE}")

    assert compiled is None
    assert [("rules-unknown-key", "did you mean adopt_when?")] == [(d.code, d.fix) for d in found]


def test_a_policy_without_the_key_compiles_to_the_bytes_it_always_had():
    """Only whoever asks for it pays for it."""
    plain, _ = check(RULE)
    waiting, found = check_adopt("a > 3")

    assert read_bundle(plain.bundle).adopt is None
    assert not found, [d.text() for d in found]
    # One pair more in the bundle's map: its head, the key, the condition; and nothing else.
    assert waiting.bundle[1 : len(plain.bundle)] == plain.bundle[1:]
    assert waiting.bundle[0] == plain.bundle[0] + 1
    assert waiting.bundle[len(plain.bundle) :] == b"\x08\x83\x0d\xe0\x03"


def test_a_comparison_that_can_only_go_one_way_is_said_of_the_condition_too():
    """A condition that is always met is a warning: it promises nothing."""
    compiled, found = check_adopt("a <= 50")

    assert compiled is not None
    assert [("rules-always", 10, 14)] == [(d.code, d.line, d.column) for d in found]


def test_explain_says_when_the_bundle_may_be_replaced():
    """As written and as compared; and that nothing is said where nothing is said."""
    compiled, _ = check_adopt('age(b) > duration("1h") || b < 10.0')
    text = explain(compiled.bundle, compiled)

    assert "May be replaced by another bundle only after a sample\n" in text
    assert '  when age(b) > duration("1h") || b < 10.0\n' in text
    assert "  for which age of b > 36000 or b < 1000 (raw values, times in ticks of 100 ms),\n" in text
    assert "  for which age of channel 1 > 36000 or channel 1 < 1000 (" in explain(compiled.bundle)
    assert "May be replaced by another bundle at any time\n" in explain(check(RULE)[0].bundle)


TESTED = HEAD + RULE + "adopt_when: good(b) && b < 10.0\ntests:\n  - name: t\n    steps:\n"
STEP = "      - {b: 9.0, repeat: 3, expect: {out: 1}, expect_adopt: true}\n"


def _outcomes(steps):
    text = (
        (TESTED + steps)
        .replace("ask: every_sample", "ask: on_change, starts: {out: 1}")
        .replace("expect: {out: 1}, ", "")
    )
    compiled, found = check_text(text, "test.yaml", lambda name: "")
    assert compiled is not None, [d.text() for d in found]
    return run_tests(compiled)


def test_a_policys_own_test_can_ask_when_it_may_be_replaced():
    """expect_adopt speaks of the last of repeated samples; a wrong one fails at its step with what was read."""
    right = (
        STEP
        + "      - {b: 10.0, expect_adopt: false}\n      - {b: bad, expect_adopt: false}\n      - {b: 9.0}\n"
    )
    (held,), mistakes = _outcomes(right)
    assert (held.failure, mistakes) == (None, [])

    for steps, words in (
        (right + "      - {b: 10.0, expect_adopt: true}\n", "may be replaced now, and it may not"),
        (right + "      - {expect_adopt: false}\n", "may not be replaced now, and it may"),
    ):
        (failed,), _ = _outcomes(steps)
        assert failed.failure is not None
        assert words in failed.failure.message
        assert "step 5, at 7s" in failed.failure.message
        assert "compare with" in (failed.failure.fix or "")

    _, mistakes = _outcomes(STEP.replace("true", "maybe"))
    assert ["rules-wrong-value"] == [d.code for d in mistakes]


def test_the_demo_policy_with_a_condition_is_replaced_only_while_nothing_flows():
    """The device's real channels, from text to engine."""
    text = (ROOT / "docs" / "rules" / "demo.yaml").read_text() + 'adopt_when: "flow < 10.0"\n'
    compiled, found = check_text(text, "demo.yaml", lambda name: "")
    assert compiled is not None, [d.text() for d in found]
    engine, answers = Engine(read_bundle(compiled.bundle)), []
    for now, (flow, good) in enumerate([(10200, 3), (1000, 3), (999, 3), (0, 2), (0, 3)]):
        engine.sample(now, [flow, 700], good, trusted_time=True, online=True)
        answers.append(engine.may_adopt())

    assert answers == [False, False, True, False, True]
