"""The tests of both runtimes pass on the board's own interpreter, golden vectors and those of the RFCs among them."""

from pathlib import Path

import pytest

from hil_tests.qemu import Repl
from tools.device_types import ROOT
from tools.image.flashfile import write_flash
from tools.upy import BOTH, RUN_TESTS

FILES = sorted(BOTH.glob("test_*.py"))
FOLDERS = ("tests/both", "tests/agent/sensors/models", "protocol/vectors", "rules/vectors")
SECONDS_MAX = 280
MOUNT = """
import gc, nor, os, sys, vfs
vfs.mount(vfs.VfsRom(nor.view(8 << 20, 4 << 20)), "/rom")
os.chdir("/rom")
sys.path[:] = [".frozen", "/rom", "/rom/tests/both"]
path = "/rom/tests/both/%s"
"""


@pytest.fixture(scope="module")
def tests_flash(tmp_path_factory):
    """A flash file with the tests and all vectors."""
    files = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for folder in FOLDERS
        for path in sorted(Path(ROOT, folder).rglob("*"))
        if path.suffix in (".py", ".json")
    }
    path = tmp_path_factory.mktemp("both") / "flash.bin"
    write_flash(path, b"", files, bytes(32))
    return path


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_of_both_runtimes_passes_on_the_board(development, start, tests_flash, figures, path):
    """Each test that holds on CPython and on the unix port holds on a Cortex-M3."""
    said = Repl(start(development, tests_flash)).run(MOUNT % path.name + RUN_TESTS, SECONDS_MAX)
    passed, failed = (int(word) for word in said.strip().splitlines()[-1].split()[::2])
    figures["tests_on_the_board"] = {path.stem: passed}

    assert (passed > 0, failed) == (True, 0), said
