"""The wheel holds all that the command needs and nothing that is not shipped, and runs where nothing else is."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from protocol.diagnostic import DiagnosticError
from protocol.installation import PACKAGES
from tools.device_types import ROOT
from tools.recordings import TEMPERATURE, WATER, cache_folder, fetch

INSTALL_SECONDS_MAX = 300
DEMO_SECONDS_MAX = 200


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_carries_the_packages_and_the_firmware(names):
    """An environment without a checkout can run the command, and a device beside it."""
    assert {"tools/cli.py", "protocol/cbor.py", "tools/firmware/agent/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_carries_every_file_of_its_packages(names):
    """Schemas, grammars, vectors and every module are there, compiled ones are not."""
    command = ["git", "ls-files", *PACKAGES, "firmware"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    there = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    expected = {f"tools/{name}" if name.startswith("firmware/") else name for name in there}

    assert expected - set(names) == set()
    assert not [name for name in names if name.endswith((".pyc", ".pyo"))]


def test_wheel_carries_nothing_else(names):
    """Tests and documents stay in the checkout."""
    tops = {name.split("/")[0] for name in names}

    assert tops == {*PACKAGES, "outstation-0.1.0.dist-info"}


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The bin folder of an empty environment into which the wheel was installed with what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    installed = subprocess.run(
        pip, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX, env=_clean()
    )
    if installed.returncode and _is_offline(installed.stderr):
        pytest.skip(f"no package index: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


def _clean():
    """Return this environment without what would let the checkout shine through."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MICROPY"))}
    return {**kept, "OUTSTATION_CACHE": str(cache_folder())}


def _is_offline(errors):
    return any(words in errors for words in ("NewConnectionError", "Temporary failure in name", "timed out"))


def _run(environment, folder, *words, timeout=60):
    return subprocess.run(
        [environment / "outstation", *words],
        cwd=folder,
        env=_clean(),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@pytest.mark.wheel
@pytest.mark.timeout(INSTALL_SECONDS_MAX + 60)
def test_installed_command_helps_and_names_every_command(environment, tmp_path):
    """In an empty environment and an empty folder the front page appears, and so does every command's own."""
    front = _run(environment, tmp_path, "--help")
    assert front.returncode == 0, front.stderr
    for name in ("decode", "demo", "device", "explain", "gateway", "office", "provision", "verify"):
        assert name in front.stdout
        assert _run(environment, tmp_path, name, "--help").returncode == 0


@pytest.mark.wheel
@pytest.mark.timeout(INSTALL_SECONDS_MAX + DEMO_SECONDS_MAX + 60)
def test_installed_demo_proves_its_run(environment, tmp_path):
    """Office, gateway and devices run from the installed wheel, and the office proves that nothing was lost."""
    try:
        for source in (WATER, TEMPERATURE):
            fetch(source, cache_folder())
    except DiagnosticError as error:
        pytest.skip(str(error))
    words = ("demo", "--devices", "2", "--seconds", "20", "--json", "out.json")
    ended = _run(environment, tmp_path, *words, timeout=DEMO_SECONDS_MAX)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads((tmp_path / "out.json").read_text())

    assert (figures["lost"], figures["duplicated"], figures["faults"]) == (0, 0, [])
    assert figures["events_recorded"] == figures["events_at_office"] > 0
    assert figures["decisions_replayed_equal"] == figures["decisions"] > 0
    assert [path.name for path in Path(tmp_path).iterdir()] == ["out.json"]
