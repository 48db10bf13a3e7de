"""`outstation demo` as a process: it can be interrupted at any moment, and says what it needs where there is no network."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protocol.diagnostic import INTERRUPTED, UNREACHABLE
from tests.site.harness import ROOT
from tests.site.sleeping_program import SILENT

PROCESSES = 4  # office, gateway, two devices
# How long anything may take before the test gives up; nothing is measured.
SECONDS_MAX = 120.0
# The `outstation` command over real processes, and over ones that only sleep.
TRUE, SLEEPING = "tests.site.demo_program", "tests.site.sleeping_program"


def _processes_of(folder):
    """Return the command lines of all processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in words:
                found.append(words)
    return found


def _start(folder, program, **environment):
    """Start a demonstration whose temporary folder lies in a folder of the test."""
    words = [sys.executable, "-m", program, "demo", "--devices", "2"]
    # Temporary folders of the demonstration, and nobody else's, are made here.
    paths = {"TMPDIR": str(folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, **paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As at a terminal: a shell that runs the tests in the background has Ctrl-C ignored, in all that they start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for(is_so, process, what):
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{what} did not happen within {SECONDS_MAX:.0f} s"
        time.sleep(0.02)


def _interrupted(folder, process, number, processes):
    """Interrupt a demonstration that has so many processes: it leaves nothing behind."""
    _wait_for(lambda: len(_processes_of(folder)) >= processes, process, "the start")
    process.send_signal(number)
    output, _ = process.communicate(timeout=SECONDS_MAX)

    assert process.returncode == INTERRUPTED, output
    assert _processes_of(folder) == []
    assert list(folder.iterdir()) == []
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_demonstration_interrupted_while_it_starts_leaves_nothing_behind(tmp_path, number):
    """Ctrl-C or a plain kill ends it with 130: no process is left, no file, and no traceback is shown."""
    _interrupted(tmp_path, _start(tmp_path, SLEEPING, **{SILENT: "1"}), number, 1)


def test_demonstration_interrupted_in_the_middle_leaves_nothing_behind(tmp_path):
    """The same over all true processes, while they work."""
    _interrupted(tmp_path, _start(tmp_path, TRUE), signal.SIGINT, PROCESSES)


def test_second_interrupt_leaves_no_process_behind(tmp_path):
    """Whoever presses Ctrl-C twice gets the prompt back at once, and still no process is left."""
    process = _start(tmp_path, SLEEPING)
    _wait_for(lambda: len(_processes_of(tmp_path)) >= PROCESSES, process, "the start")
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=SECONDS_MAX)

    # The second may meet an interpreter that is already ending; a shell calls both 130.
    assert process.returncode in (INTERRUPTED, -signal.SIGINT), output
    _wait_until_gone(tmp_path)


def _wait_until_gone(folder):
    """A killed process may be seen for a moment longer."""
    deadline = time.monotonic() + SECONDS_MAX
    while _processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _processes_of(folder) == []


def test_demonstration_without_network_says_the_command_that_fetches_the_recordings(tmp_path):
    """No cache, no index: exit code 3, one sentence, the pip command to repeat; no traceback and nothing left behind."""
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "OUTSTATION_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
    }
    process = subprocess.run(
        [sys.executable, "-P", "-m", "tools.cli", "demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    said = process.stdout + process.stderr

    assert process.returncode == UNREACHABLE, said
    assert "python -m pip download" in " ".join(said.split())
    assert "river==" in said
    assert "Traceback" not in said
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "cache"] == []
