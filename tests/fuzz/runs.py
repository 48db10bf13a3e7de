"""Runs the decoders of a device in a process of their own, under either runtime, and reads what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.upy import ROOT, micropython_command, micropython_environment

PROGRAM = Path(__file__).parent / "device_program.py"
# What a decoder may leave behind: on a device's heap, and in a process whose pages the system gives out in its own way.
GROWTH_BYTES_MAX = {"micropython": 4096, "cpython": 16 * 1024 * 1024}
RUNTIMES = ("cpython", "micropython")
# Ten times what the slowest runtime took where this was measured, and what a start may take.
_FRAME_US_MAX = 500
_START_SECONDS_MAX = 600


class Died(AssertionError):
    """The process ended otherwise than in order; the text is what it said last."""


def seconds_max(frames):
    """Return how long a process may take over so many frames."""
    return _START_SECONDS_MAX + frames * _FRAME_US_MAX / 1_000_000


def run_device(runtime, frames, seed, names=()):
    """Return name -> what device_program.py said of it. runtime: "cpython" or "micropython". Raises Died."""
    words = [str(PROGRAM), str(frames), str(seed), *names]
    if runtime == "micropython":
        command = [*micropython_command(), "-X", "heapsize=32m", *words]
        environment = micropython_environment()
    else:
        command = [sys.executable, *words]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}
    limit = seconds_max(frames)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")[-2000:]
        raise Died(
            f"{runtime}: {frames} frames took more than {limit:.0f} s; it hangs, or try fewer with --frames\n{said}"
        ) from late
    if done.returncode:
        raise Died(f"{runtime}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def check_agreement(said):
    """Fail where two runtimes took and refused differently. said: runtime -> what run_device returned of it."""
    first, *others = said
    for other in others:
        assert list(said[first]) == list(said[other]), f"{first} and {other} ran different decoders"
    for name in said[first]:
        sums = {runtime: said[runtime][name]["sum"] for runtime in said}
        assert len(set(sums.values())) == 1, f"{name}: the runtimes disagree: {sums}"


def check_growth(runtime, lines):
    """Fail where a decoder kept memory. lines: what watch_entry returned, one for each decoder."""
    limit = GROWTH_BYTES_MAX[runtime]
    for line in lines:
        grown = line["growth"]
        assert grown < limit, (
            f"{line['name']} on {runtime}: {grown} bytes were kept, fewer than {limit} may be"
        )
