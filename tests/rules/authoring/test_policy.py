"""Promises of reading a policy: all mistakes at once, each at its place with a way out, and never a traceback."""

import random
import re
from pathlib import Path

import pytest

from protocol.codes import CODES
from rules.authoring.compile import check_file, check_text
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.rules.authoring.policies import HEAD, check, codes, rule_of
from tools.device_types import ROOT

HERE = Path(__file__).parent
DEMO = ROOT / "docs" / "rules" / "demo.yaml"


def test_every_mistake_of_a_file_is_told_as_written_down():
    """A file with many mistakes: code, place, excerpt, caret and way out of each, in the order of the lines."""
    text = (HERE / "mistakes.yaml").read_text()
    compiled, found = check_text(text, "mistakes.yaml", lambda name: "")

    assert compiled is None
    assert (HERE / "mistakes.txt").read_text() == "\n".join(d.text() for d in found) + "\n"


def test_every_code_has_its_page():
    """What the compiler can say is explained by outstation explain."""
    texts = [path.read_text() for path in (ROOT / "rules" / "authoring").glob("*.py")]
    texts.append((ROOT / "tools" / "rules.py").read_text())
    said = {code for text in texts for code in re.findall(r'"(rules-[a-z-]+)"', text)}

    assert said == {code for code in CODES if code.startswith("rules-")}


RULE = rule_of("1")
BROKEN = [
    ("", "rules-wrong-value", 1, 1),
    ("- a\n", "rules-wrong-value", 1, 1),
    ("a: b: c\n", "rules-yaml", 1, 5),
    ("name: x\n\tb: 1\n", "rules-yaml", 2, 1),
    ("name: &x y\n", "rules-yaml", 1, 7),
    ("name: x\n---\nname: y\n", "rules-yaml", 3, 1),
    ("name: \x07\n", "rules-yaml", None, None),
    ("name: " + "[" * 40 + "]" * 40, "rules-yaml", 1, 31),
    ("name: x\n" + "# " + "x" * 300_000, "rules-file", None, None),
    (HEAD, "rules-missing-key", 1, 1),
    (HEAD + RULE + "rules: 3\n", "rules-duplicate", 11, 1),
    (HEAD + RULE + "name: again\n", "rules-duplicate", 11, 1),
    (HEAD.replace("sample: 1s", "sample: 1 fortnight") + RULE, "rules-wrong-value", 2, 9),
    (HEAD.replace("scale: 0", "scale: zero") + RULE, "rules-wrong-value", 4, 25),
    (HEAD.replace("[-50, 50]", "[50, -50]") + RULE, "rules-wrong-value", 4, 28),
    (HEAD.replace("[-50, 50]", "[0.5, 50]") + RULE, "rules-precision", 4, 36),
    (HEAD.replace("action: 2", "action: 1") + RULE, "rules-duplicate", 9, 3),
    (HEAD.replace("action: 2", "action: 256") + RULE, "rules-wrong-value", 9, 18),
    (HEAD.replace("safe: 0}\n  fine", "safe: 0, fresh: [a]}\n  fine") + RULE, "rules-missing-key", 8, 3),
    (HEAD.replace("a: {", "now: {") + RULE, "rules-wrong-value", 4, 3),
    (HEAD + rule_of("1", "nowhere"), "rules-unknown-name", 10, 65),
    (HEAD + "rule: {name: r, match: [{condition: 'a > 3'}]}\n", "rules-missing-key", 10, 25),
    (HEAD + "rule: {name: r, mode: onn, match: [{output: {out: '1'}}]}\n", "rules-wrong-value", 10, 23),
    (
        HEAD + "rule: {name: r, match: [{output: {out: '1'}}, {output: {out: '2'}}]}\n",
        "rules-wrong-value",
        10,
        25,
    ),
    (
        HEAD + "rule: {name: r, starts: {fine: 1.0}, match: [{output: {out: '2'}}]}\n",
        "rules-unknown-name",
        10,
        32,
    ),
    (
        HEAD + "rule: {name: r, variables: [{name: a, expression: '1'}], match: [{output: {out: '2'}}]}\n",
        "rules-duplicate",
        10,
        51,
    ),
    (
        HEAD + "rule: {name: r, variables: [{name: v, expression: v}], match: [{output: {out: v}}]}\n",
        "rules-type",
        10,
        51,
    ),
    (
        HEAD + "rule: {name: r, state: [{name: n, starts: 0, next: n}], match: [{output: {out: n}}]}\n",
        "rules-missing-key",
        10,
        32,
    ),
    ("imports: [gone.yaml]\n" + HEAD + RULE, "rules-file", 1, 11),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), BROKEN)
def test_a_broken_policy_is_refused_at_its_place(text, code, line, column):
    """One mistake, one diagnostic, where it was made."""

    def missing(name):
        raise FileNotFoundError(name)

    compiled, found = check_text(text, "x.yaml", missing)

    assert compiled is None
    assert (code, line, column) in [(d.code, d.line, d.column) for d in found], [d.text() for d in found]


def test_channels_and_guard_can_be_imported(tmp_path):
    """Policies of one kind of device share what it is; a mistake in the shared file is told there."""
    head, rest = HEAD.split("channels:")
    (tmp_path / "plant.yaml").write_text("channels:" + rest)
    policy = tmp_path / "policy.yaml"
    policy.write_text("imports: [plant.yaml]\n" + head + rule_of("a + 1"))
    compiled, found = check_file(policy)
    assert compiled, [d.text() for d in found]
    assert compiled.bundle == check(rule_of("a + 1"))[0].bundle

    (tmp_path / "plant.yaml").write_text("channels:" + rest.replace("scale: 0", "scael: 0"))
    _, found = check_file(policy)
    assert ("plant.yaml", 2) in [(d.file, d.line) for d in found]


def test_the_place_of_a_mistake_is_right_in_every_style_of_scalar():
    """Plain, quoted, folded and literal text: the caret stands under the wrong name."""
    styles = [
        "aa > 3",
        "'aa > 3'",
        '"aa > 3"',
        "|\n        a > 3 &&\n        aa > 3",
        ">\n        a > 3\n        && aa > 3",
        "a > 3\n        && aa > 3",
    ]
    for style in styles:
        text = HEAD + f"rule:\n  name: r\n  match:\n    - condition: {style}\n      output: {{out: 1}}\n"
        _, found = check_text(text, "x.yaml", lambda name: "")
        (said,) = [d for d in found if d.code == "rules-unknown-name"]

        assert (said.length, said.excerpt[said.column - 1 :][:2]) == (2, "aa"), style
        assert said.excerpt == text.split("\n")[said.line - 1]


def test_no_change_of_a_policy_makes_the_compiler_fail():
    """Words and characters of the demo's policy lost, doubled, swapped or replaced: a bundle or diagnostics, nothing else."""
    text, dice = DEMO.read_text(), random.Random(1)
    words = re.split(r"(\W)", text.split("tests:")[0])
    junk = [
        "-",
        ":",
        "{",
        "]",
        "'",
        '"',
        "0",
        "-1",
        "1e9",
        "true",
        "latch",
        "flow",
        "\n",
        "  ",
        "36s",
        "é",
        "\x00",
        "999999999999999999999",
    ]
    refused = 0
    for _ in range(250):
        changed = list(words)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(changed))
            changed[at] = dice.choice(["", changed[at] * 2, dice.choice(words), dice.choice(junk)])
        compiled, found = check_text("".join(changed), "x.yaml", lambda name: "")
        refused += compiled is None
        assert compiled is not None or any(d.severity == "error" for d in found)
        assert all(d.code in CODES and d.text() for d in found)
    assert refused > 60, refused


def test_a_rule_too_large_for_a_device_is_said_at_the_rule():
    """A limit that only the whole shows names the rule and the limit."""
    _, found = check(rule_of('window.max(a, 20, "1s")'))

    assert [(d.code, d.line) for d in found] == [("rules-too-large", 10)]
    assert "rule 1" in found[0].message


def test_unknown_keys_are_refused_wherever_they_stand():
    """A misspelt key in a channel, actuator, rule, alternative, state or variable never silently counts for nothing."""
    for text in (
        HEAD.replace("unit: V", "unti: V") + RULE,
        HEAD.replace("safe: 0}\n  fine", "safe: 0, gaps: 3s}\n  fine") + RULE,
        HEAD + RULE.replace("ask:", "asks:"),
        HEAD + RULE.replace("{output", "{when: 'a > 3', output"),
        HEAD + RULE.replace("needs:", "state: [{name: n, starts: 0, rage: [0, 1], next: n}], needs:"),
        HEAD + RULE.replace("needs:", "variables: [{name: n, expression: '1', is: 3}], needs:"),
    ):
        assert "rules-unknown-key" in codes("", text)


GROWING = [
    "1" + " - a" * 3000,
    "!" * 900 + "true",
    "(" * 39 + "a" + ")" * 39 + " + a" * 150,
    "true ? " * 300 + "1" + " : 2" * 300,
]


@pytest.mark.parametrize("expression", GROWING)
def test_a_long_expression_is_refused_or_compiled(expression):
    """Chains and nests of any length end in a bundle or a diagnostic."""
    compiled, found = check(rule_of(expression))

    assert compiled is not None or found


@pytest.mark.parametrize("growth", ["v{0} + v{0}", "1 - v{0}", "(v{0} > 3 ? v{0} : 1)", "math.abs(v{0})"])
def test_variables_that_name_variables_do_not_grow_without_end(growth):
    """Sixty variables, each made of the one before: refused as too large, at once."""
    rows = ["{name: v0, expression: a}"]
    rows += [f"{{name: v{i + 1}, expression: '{growth.format(i)}'}}" for i in range(60)]
    text = f"rule: {{name: r, variables: [{', '.join(rows)}], match: [{{output: {{out: v60}}}}]}}\n"

    assert "rules-too-large" in codes(text)


def test_many_alternatives_fit():
    """Twelve alternatives compile; the first that matches counts."""
    rows = ", ".join(f"{{condition: a < {i}, output: {{out: {i}}}}}" for i in range(1, 12))
    compiled, found = check(f"rule: {{name: r, match: [{rows}, {{output: {{out: 99}}}}]}}\n")
    assert compiled is not None, [d.text() for d in found]
    engine = Engine(read_bundle(compiled.bundle))
    asked = []
    for now, value in enumerate([0, 7, 7, 3, 40, 10]):
        for decision in engine.sample(now, [value, 0, 0], 7, trusted_time=True, online=True):
            asked += [act[1] for act in decision[9]]

    assert asked == [1, 8, 4, 99, 11]
