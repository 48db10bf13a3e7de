"""`make check` runs every step and fails when one does."""

import sys

from tools.board.table import SILICON
from tools.check import Step, run_step, steps


def test_failing_step_is_shown_with_what_it_said(capsys):
    """A step that fails says so, with its output and the command that repeats it."""
    step = Step("planted", [sys.executable, "-c", "print('why'); raise SystemExit(1)"], {})

    assert run_step(step) is False
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "why" in said
    assert "repeat: " in said


def test_passing_step_is_one_line(capsys):
    """A step that passes takes one line, whatever it printed."""
    assert run_step(Step("planted", [sys.executable, "-c", "print('noise')"], {})) is True
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_every_kind_of_check_is_a_step():
    """Lint, format, our own rules, both type checks, import contracts, Robot suites and layout are all there."""
    names = [step.name for step in steps()]
    boards = [f"types: {board.name}" for board in SILICON.values()]

    assert names == [
        *("lint", "format", "tidy", "types: device", *boards),
        *("types: hosts", "imports", "robot", "layout"),
    ]


def test_step_that_lacks_its_module_is_skipped_and_says_how_to_get_it(capsys):
    """Never silently: the line names the module and the command."""
    step = Step("planted", [sys.executable, "-c", "raise SystemExit(1)"], {}, module="no_such_module")

    assert run_step(step) is True
    assert "skipped: no_such_module is missing" in (said := capsys.readouterr().out)
    assert "pip install" in said
