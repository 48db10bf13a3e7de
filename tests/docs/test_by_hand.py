"""The page docs/by-hand.md is true: every command on it runs as it stands, in one shell, from an empty folder.

Only the two ports are replaced by free ones, so that nothing else on this machine is in the way.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.diagnostic import DiagnosticError
from tools.device_types import ROOT
from tools.ports import free_port
from tools.recordings import TEMPERATURE, WATER, cache_folder, fetch

PAGE = ROOT / "docs" / "by-hand.md"
SECONDS_MAX = 100
_EXPECTED = re.compile(r"# exit code (\d+)$")
_SAID = "\x1e"


def commands(page):
    """Return the commands of the page's shell blocks; one that goes over several lines is one command."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        pending = ""
        for line in block.splitlines():
            pending += line + "\n"
            if not line.endswith("\\") and pending.count('"') % 2 == 0:
                found.append(pending.rstrip())
                pending = ""
        assert not pending, f"a command does not end: {pending}"
    return found


def script_of(words):
    """Return a script that runs the commands one after the other and writes each one's exit code behind a mark."""
    # Job control, as a person's shell has it: each background command can be interrupted by itself.
    lines = ["set -m"]
    for at, command in enumerate(words):
        lines += [command, f"printf '{_SAID}%s %s\\n' {at} $?"]
    return "\n".join(lines) + "\n"


@pytest.fixture
def recordings():
    """Skip where the demonstration's recordings are neither in the cache nor to be had."""
    try:
        for source in (WATER, TEMPERATURE):
            fetch(source, cache_folder())
    except DiagnosticError as error:
        pytest.skip(str(error))


def test_every_command_of_the_page_does_what_the_page_says(tmp_path, recordings):
    """From an empty folder to a proof, and to the place of a change: each command ends with the code that the page names."""
    page = PAGE.read_text(encoding="utf-8")
    page = page.replace("8443", str(free_port(socket.SOCK_STREAM))).replace(
        "5683", str(free_port(socket.SOCK_DGRAM))
    )
    words = commands(page)
    assert len(words) > 20
    output = _run_in_shell(script_of(words), tmp_path)

    codes = dict(map(int, pair.split()) for pair in re.findall(rf"{_SAID}(\d+ \d+)\n", output))
    for at, command in enumerate(words):
        expected = int(match[1]) if (match := _EXPECTED.search(command)) else 0
        assert codes.get(at) == expected, f"{command}\n{output}"
    for promised in (
        "the same decision again",
        "gateway gate-1 at north well: running",
        "gateway gate-1 at north well: stopped",
        "0 findings, 0 in quarantine",
        "seals, bodies and decisions too; nothing disagrees",
        "critical epoch 0 number 1",
    ):
        assert promised in output, promised
    assert int(re.search(r"decisions replayed equal +(\d+)", output)[1]) > 0
    assert "Traceback" not in output


def _run_in_shell(script, folder):
    """Return the output of a script; whatever it started ends with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OUTSTATION_CACHE": str(cache_folder()), "COLUMNS": "80"}
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            _end_session(shell.pid)
            output, _ = shell.communicate()
        finally:
            _end_session(shell.pid)
    return output


def _end_session(session):
    """Kill what is left of a session: background jobs have process groups of their own."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            try:
                os.kill(int(entry.parent.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


def test_commands_are_taken_from_the_page_whole():
    """A continued line and a text over two lines are one command; text blocks are not run."""
    page = '```sh\na \\\n  b\nc "d\ne" # exit code 1\n```\n```text\nno\n```\n```sh\nf &\n```\n'

    assert commands(page) == ["a \\\n  b", 'c "d\ne" # exit code 1', "f &"]


@pytest.mark.parametrize(
    "page", ["README.md", "docs/operating/office.md", "docs/operating/gateway.md", "docs/operating/device.md"]
)
def test_page_is_found(page):
    """Who reads about one part finds the way through all of them."""
    assert "by-hand.md" in (ROOT / page).read_text(encoding="utf-8")
