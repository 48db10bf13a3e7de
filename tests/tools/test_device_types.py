"""The device's code is checked against MicroPython's own stubs, not against CPython's."""

import os
import subprocess

import pytest

from tools.device_types import ROOT, build_typeshed, mypy_command


@pytest.fixture(scope="module")
def typeshed(tmp_path_factory):
    return build_typeshed(tmp_path_factory.mktemp("stubs"))


def check(typeshed, folder, source):
    path = folder / "planted.py"
    path.write_text(source)
    # One cache for all: what the sources import is the same, and read once.
    command = mypy_command([str(path)], typeshed, typeshed.parent / "cache")
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


GOOD = """
import time
import machine
from protocol._const import const

_PERIOD_MS = const(100)

def due(last):
    return time.ticks_diff(time.ticks_ms(), last) > _PERIOD_MS
"""


def test_calls_that_the_device_has_pass(typeshed, tmp_path):
    """MicroPython's own modules and our shared code are known."""
    result = check(typeshed, tmp_path, GOOD)

    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import time\ntime.ticks_foo()\n", 'Module has no attribute "ticks_foo"'),
        ("import time\ntime.perf_counter()\n", 'Module has no attribute "perf_counter"'),
        ("import time\ntime.ticks_diff(1)\n", 'No overload variant of "ticks_diff"'),
        ("import machine\nmachine.Pin(1).toggel()\n", '"Pin" has no attribute "toggel"'),
        ("import dataclasses\n", 'Cannot find implementation or library stub for module named "dataclasses"'),
        ("from protocol.cbor import dumpz\n", 'has no attribute "dumpz"'),
    ],
)
def test_call_that_the_device_lacks_is_an_error(typeshed, tmp_path, source, message):
    """A name, argument or module that only CPython has is found without a device."""
    result = check(typeshed, tmp_path, source)

    assert result.returncode == 1, result.stderr
    assert message in result.stdout


def test_typeshed_is_built_once_for_the_same_stubs(typeshed):
    """A second check uses the folder of the first."""
    before = (typeshed / "stdlib" / "VERSIONS").stat().st_mtime_ns

    assert build_typeshed(typeshed.parent) == typeshed
    assert (typeshed / "stdlib" / "VERSIONS").stat().st_mtime_ns == before
