"""Promises of `outstation rules`: exit codes, JSON, and texts that name what they show."""

import json
import re

import pytest

from rules import grammar as g
from rules.authoring.explain import explain
from rules.bundle import read_bundle
from tests.both.random_bundles import random_bundle
from tools.cli import run
from tools.device_types import ROOT

DEMO = str(ROOT / "docs" / "rules" / "demo.yaml")


@pytest.fixture
def broken(tmp_path):
    """Return the path of a policy with two mistakes."""
    path = tmp_path / "broken.yaml"
    text = (ROOT / "docs" / "rules" / "demo.yaml").read_text()
    path.write_text(text.replace("flow < 90.00", "flwo < 90.00").replace("retry: 108s", "retry: soon", 1))
    return str(path)


@pytest.fixture
def failing(tmp_path):
    """Return the path of a policy whose test fails."""
    path = tmp_path / "failing.yaml"
    path.write_text((ROOT / "docs" / "rules" / "demo.yaml").read_text().replace("gap: 12m", "gap: 1m"))
    return str(path)


def test_exit_codes_say_how_it_went(broken, failing, tmp_path, capsys):
    """0 in order, 1 a finding of check or test, 2 a policy that cannot be used."""
    output = str(tmp_path / "out")
    for words, expected in [
        (["check", DEMO], 0),
        (["check", broken], 1),
        (["check", "gone.yaml"], 1),
        (["test", DEMO], 0),
        (["test", failing], 1),
        (["test", broken], 2),
        (["compile", DEMO, "-o", output], 0),
        (["compile", broken, "-o", output], 2),
        (["compile", DEMO], 2),
        (["explain", DEMO], 0),
        (["explain", output], 0),
        (["explain", broken], 2),
        (["explain", "gone"], 2),
        (["explain", __file__], 2),
    ]:
        assert expected == run(["rules", *words]), words
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("command", ["check", "test", "compile", "explain"])
def test_json_names_its_schema_and_diagnostics(command, broken, tmp_path, capsys):
    """Each command prints one document of its own schema; a broken policy gives every mistake with its place."""
    more = ["-o", str(tmp_path / "out")] if command == "compile" else []
    assert run(["rules", command, DEMO, *more, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == f"outstation.rules-{command}"
    assert document["version"] == 1

    run(["rules", command, broken, *more, "--json"])
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert ["rules-unknown-name", "rules-wrong-value"] == sorted(d["code"] for d in found)
    assert all(d["line"] and d["column"] and d["fix"] for d in found)


def test_compile_writes_the_same_bytes_each_time(tmp_path, capsys):
    """A bundle follows from policy and version alone, and a device accepts it."""
    for name in ("one", "two"):
        assert run(["rules", "compile", DEMO, "-o", str(tmp_path / name), "--version", "7"]) == 0
    capsys.readouterr()
    first = (tmp_path / "one").read_bytes()

    assert first == (tmp_path / "two").read_bytes()
    assert read_bundle(first).version == 7


def test_a_broken_policy_leaves_no_bundle(broken, tmp_path, capsys):
    """Nothing is written where anything is wrong."""
    run(["rules", "compile", broken, "-o", str(tmp_path / "out")])
    capsys.readouterr()

    assert not (tmp_path / "out").exists()


def test_explain_names_what_a_person_signs_off(capsys):
    """Thresholds as written and as compared, guard limits in time units, registers and actuators by name."""
    run(["rules", "explain", DEMO])
    said = capsys.readouterr().out

    for words in (
        "Guard of valve: 0 to 1, safe 0",
        "at least 12m between two movements",
        "only if temperature was good within 1m48s",
        "when leaking: valve = 0 (the pipe leaks)",
        "flow < 90.00",
        "if flow < 9000:",
        "ask for valve = [valve wanted], and keep the verdict in [valve verdict]",
    ):
        assert words in said, words


def test_any_bundle_can_be_explained():
    """Random bundles: every statement has its line, every number of it stands there."""
    for seed in range(150):
        data = random_bundle(seed)
        text = explain(data)
        bundle = read_bundle(data)
        statements = sum(_count(rule.body) for rule in bundle.rules)
        lines = [line for line in text.split("\n") if re.match(r" {4}", line) and "otherwise:" not in line]
        assert len(lines) == statements, seed


def test_brackets_stand_where_the_meaning_needs_them():
    """The text of an expression reads back as the expression: what binds closer stands without brackets."""
    from rules.authoring.explain import Words, _Text

    text = _Text(1, Words())
    one, two = [g.ADD, 1, 2], [g.MULTIPLY, 3, 4]
    assert text.text([g.MULTIPLY, one, 5]) == "(1 + 2) * 5"
    assert text.text([g.ADD, two, 5]) == "3 * 4 + 5"
    assert text.text([g.SUBTRACT, 1, [g.SUBTRACT, 2, 3]]) == "1 - (2 - 3)"
    assert text.text([g.NOT, [g.AND, True, [g.OR, False, True]]]) == "not (true and (false or true))"
    assert text.text([g.EQUAL, [g.EQUAL, 1, 2], True]) == "(1 == 2) == true"
    assert text.text([g.NEGATE, [g.ADD, 1, [g.CHOOSE, True, 1, 2]]]) == "-(1 + (1 if true, else 2))"


def _count(body):
    return sum(1 + sum(_count(part) for part in node[2:]) if node[0] == g.IF else 1 for node in body)
