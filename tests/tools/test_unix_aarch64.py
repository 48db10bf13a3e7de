"""The unix port for aarch64, built here with a cross compiler: what is missing is named, and the tests of both runtimes pass on it.

They run under QEMU's emulation of a user's program, which shows the processor's instructions and word size; the kernel is this
machine's, and silicon is nowhere in it. It takes minutes: `make soak-aarch64`, not among what CI runs.
"""

import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from protocol.diagnostic import UNREACHABLE, USAGE, DiagnosticError
from tests.soak import IS_SOAK
from tools.image import needs, unix
from tools.image.__main__ import main
from tools.upy import BOTH, run_file, unix_folder

MACHINE = "aarch64"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
# Where Debian's cross packages put a foreign C library.
LIBRARIES = Path("/usr/aarch64-linux-gnu")
FILE_SECONDS_MAX = 300
# An ELF's machine: EM_AARCH64 of the System V ABI for that processor.
EM_AARCH64 = 183

pytestmark = pytest.mark.skipif(
    unix.this_machine() == MACHINE, reason="this machine is one itself: make unix, make sweep"
)


@pytest.fixture(scope="module")
def port():
    """The unix port for aarch64, built once."""
    if not IS_SOAK:
        pytest.skip("a build and an emulated processor take minutes: make soak-aarch64")
    packages = needs.missing_for(MACHINE)
    packages += [] if emulator() else ["qemu-user-static"]
    if packages:
        pytest.skip(f"system packages are missing: {needs.install_command(packages)}")
    try:
        return unix.build_unix(machine=MACHINE)
    except DiagnosticError as error:
        if error.exit_code != UNREACHABLE:
            raise
        said = error.diagnostics[0]
        pytest.skip(f"{said.message}: {said.fix}")


def emulator():
    """Return the path of QEMU's emulation of a program, or None."""
    return next(filter(None, map(shutil.which, EMULATORS)), None)


@pytest.fixture
def program(port, tmp_path, monkeypatch):
    """A program of one word that starts the port, and is the MicroPython of this test."""
    path = tmp_path / "micropython-aarch64"
    words = shlex.join([emulator(), "-L", str(LIBRARIES), port.program])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("MICROPYTHON", str(path))
    return path


def test_packages_of_the_cross_compiler_are_named(monkeypatch):
    """Compiler and C library of the other machine, in one command."""
    monkeypatch.setattr(needs.shutil, "which", lambda program: None)
    with pytest.raises(DiagnosticError) as raised:
        unix.build_unix(machine=MACHINE)

    assert raised.value.exit_code == UNREACHABLE
    fix = raised.value.diagnostics[0].fix
    assert fix.split()[-2:] == ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]


def test_machine_without_a_cross_compiler_is_refused_by_name(capsys):
    """What can be built is said."""
    assert main(["unix", "--machine", "pdp11"]) == USAGE
    said = capsys.readouterr().err
    assert "pdp11" in said and MACHINE in said


def test_machine_is_refused_for_a_board(capsys):
    """It would be passed over."""
    with pytest.raises(SystemExit) as ended:
        main(["mps2_an385", "--machine", MACHINE])

    assert ended.value.code == USAGE
    assert "--machine is for the unix port" in capsys.readouterr().err


@pytest.mark.timeout(900)
def test_port_is_for_the_machine_that_was_named_and_lies_apart_from_this_ones(port):
    """By the head of the file itself, whatever the report says; and nobody here runs it by mistake."""
    head = Path(port.program).read_bytes()[:20]

    assert (head[:4], int.from_bytes(head[18:20], "little")) == (b"\x7fELF", EM_AARCH64)
    assert Path(port.program).parent == unix_folder(MACHINE) != unix_folder()
    assert json.loads((unix_folder(MACHINE) / "unix.json").read_text())["machine"] == MACHINE


@pytest.mark.timeout(1800)
def test_files_of_both_runtimes_pass_on_the_emulated_processor(program):
    """Golden vectors, rules, ciphers and a whole run among them: each file, none left out."""
    files = sorted(BOTH.glob("test_*.py"))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda path: run_file(path, FILE_SECONDS_MAX), files))
    broken = [
        f"{path.name}: {result.stdout}{result.stderr}"
        for path, result in zip(files, results, strict=True)
        if result.returncode != 0
    ]

    assert files and not broken, "\n".join(broken)


@pytest.mark.timeout(300)
def test_file_that_fails_on_the_emulated_processor_is_seen(program, tmp_path):
    """A planted failure comes back through the emulator as one."""
    path = tmp_path / "test_planted.py"
    path.write_text("def test_wrong():\n    assert 1 == 2\n")

    assert run_file(path, FILE_SECONDS_MAX).returncode == 1
