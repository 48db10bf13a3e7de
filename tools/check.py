"""`make check`: what must hold before a commit. Every step runs, even when one before it failed."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import FINDING, OK
from tools.board.stubs import board_steps
from tools.device_types import ROOT, build_typeshed, desk_files, mypy_command

BUILD = ROOT / "build"


class Step(NamedTuple):
    """One check: the words that run it, what its environment adds, and the module without which it is skipped."""

    name: str
    words: list[str]
    environment: dict[str, str]
    module: str = ""


def steps() -> list[Step]:
    """Return the checks in the order in which they run, quick ones first."""
    python = sys.executable
    scripts = Path(python).parent
    device = mypy_command(desk_files(), build_typeshed(BUILD / "stubs"), BUILD / "mypy-device")
    return [
        Step("lint", [python, "-m", "ruff", "check", "--quiet", "."], {}),
        Step("format", [python, "-m", "ruff", "format", "--check", "--quiet", "."], {}),
        Step("tidy", [python, "-m", "tools.tidy"], {}),
        Step("types: device", device, {"MYPYPATH": f"{ROOT}:{ROOT / 'firmware'}"}),
        *(Step(name, words, environment) for name, words, environment in board_steps(BUILD)),
        Step(
            "types: hosts", [python, "-m", "mypy", "--no-error-summary"], {"MYPYPATH": str(ROOT / "firmware")}
        ),
        Step(
            "imports",
            [str(scripts / "lint-imports"), "--no-cache"],
            {"PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"},
        ),
        Step("robot", robot_words(), {}, module="robot"),
        Step("layout", [python, "-m", "pytest", "-q", "tests/test_layout.py", "-p", "no:cacheprovider"], {}),
    ]


def robot_words() -> list[str]:
    """Return what reads every Robot suite and runs nothing: unknown keywords, wrong arguments, missing files."""
    suites = "hil_tests/renode"
    files = [word for kind in ("output", "log", "report") for word in (f"--{kind}", "NONE")]
    return [sys.executable, "-m", "robot", "-A", f"{suites}/qemu.args", "--dryrun", *files, suites]


def run_step(step: Step) -> bool:
    """Run one check, print its line and, if it failed, all that it said; return whether it passed."""
    if step.module and importlib.util.find_spec(step.module) is None:
        print(
            f"{step.name:14} skipped: {step.module} is missing; {sys.executable} -m pip install -e '.[dev]'"
        )
        return True
    started = time.monotonic()
    result = subprocess.run(
        step.words,
        cwd=ROOT,
        env={**os.environ, **step.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    state = "ok" if result.returncode == 0 else "FAILED"
    print(f"{step.name:14} {state:6} {time.monotonic() - started:5.1f} s", flush=True)
    if result.returncode != 0:
        print(result.stdout.rstrip(), flush=True)
        print(f"  repeat: {_repeat(step)}", flush=True)
    return result.returncode == 0


def _repeat(step: Step) -> str:
    """Return the command that runs a step again; a long list of files is left to this module."""
    if len(step.words) > 12:
        return "python -m tools.check"
    return " ".join([*(f"{name}={value}" for name, value in step.environment.items()), *step.words])


def main() -> int:
    """Run every step and return the exit code."""
    BUILD.mkdir(exist_ok=True)
    passed = [run_step(step) for step in steps()]
    print(f"{len(passed)} steps, {passed.count(False)} failed")
    return OK if all(passed) else FINDING


if __name__ == "__main__":
    sys.exit(main())
