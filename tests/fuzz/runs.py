"""Runs the decoders of a device in a process of their own, under either runtime, and reads what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.upy import ROOT, micropython_command, micropython_environment

PROGRAM = Path(__file__).parent / "device_program.py"
_SECONDS_MAX = 3600


class Died(AssertionError):
    """The process ended otherwise than in order; the text is what it said last."""


def run_device(runtime, frames, seed, names=()):
    """Return name -> what device_program.py said of it. runtime: "cpython" or "micropython". Raises Died."""
    words = [str(PROGRAM), str(frames), str(seed), *names]
    if runtime == "micropython":
        command = [*micropython_command(), "-X", "heapsize=32m", *words]
        environment = micropython_environment()
    else:
        command = [sys.executable, *words]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
    )
    if done.returncode:
        raise Died(f"{runtime}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
