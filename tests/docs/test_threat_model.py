"""The threat model says what is so: each answer names tests that exist, or a risk that is accepted and why."""

import re

import pytest

from tools.device_types import ROOT

PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (T\d+) \| (\w+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
THREATS = _ROW.findall(PAGE)
_PROVISION = re.compile(r"^\| (5\.\d+) \| .+? \| .+? \| (.*?) ?\|$", re.MULTILINE)
_NAMED = re.compile(r"`((?:tests|hil_tests)/[\w/]+\.py)::(test_\w+)`")


def mistakes(answer: str) -> list[str]:
    """Return what is wrong with the last column of a row."""
    if answer.startswith("accepted: "):
        return []
    named = _NAMED.findall(answer)
    found = [] if named else ["names no test and accepts no risk"]
    for path, test in named:
        file = ROOT / path
        if not file.is_file() or not re.search(rf"def {test}\(", file.read_text(encoding="utf-8")):
            found.append(f"{path} has no {test}")
    return found


@pytest.mark.parametrize(("name", "answer"), [(row[0], row[4]) for row in THREATS])
def test_each_threat_is_answered_by_tests_that_exist_or_accepted(name, answer):
    """An answer that no test shows is not one."""
    assert mistakes(answer) == []


def test_every_row_is_read_and_has_a_name_of_its_own():
    """No row is passed over because it is written in another way."""
    names = [row[0] for row in THREATS]

    assert sorted(names) == sorted(set(names))
    assert len(names) == len(re.findall(r"^\| T\d", PAGE, re.MULTILINE)) > 40


def test_each_attacker_threatens_and_is_described():
    """Whoever is described does something, and whoever does something is described."""
    described = set(re.findall(r"^\| ([A-Z]) \| ", PAGE, re.MULTILINE))

    assert {row[1] for row in THREATS} == described


def test_provisions_name_threats_that_are_there():
    """The table of the standard is whole, and leads to rows above."""
    provisions = _PROVISION.findall(PAGE)
    known = {row[0] for row in THREATS}

    assert [number for number, _ in provisions] == [f"5.{at}" for at in range(1, 14)]
    assert {name for _, names in provisions for name in re.findall(r"T\d+", names)} <= known


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "the tag",
        "`tests/docs/test_threat_model.py::test_that_is_not_there`",
        "`tests/nowhere.py::test_it`",
    ],
)
def test_answer_that_nothing_shows_is_found(answer):
    """What the checks above are for."""
    assert mistakes(answer) != []
