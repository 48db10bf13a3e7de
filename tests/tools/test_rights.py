"""Who has no right is told so, by every command, with exit code 4 and the name of the file."""

import os
import shutil
import subprocess
import sys

import pytest

from office_ingest.founding import found_office
from protocol.diagnostic import NOT_ALLOWED
from tools.device_types import ROOT

# Root may read everything unless it gives up that capability.
_AS_ANYBODY = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []

pytestmark = pytest.mark.skipif(
    bool(_AS_ANYBODY) and shutil.which("setpriv") is None, reason="root without setpriv may read everything"
)


def _run(*words):
    return subprocess.run(
        [*_AS_ANYBODY, sys.executable, "-m", "tools.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def office(tmp_path):
    return found_office(tmp_path / "office", now_ms=1_700_000_000_000)


def _assert_not_allowed(result, path):
    assert result.returncode == NOT_ALLOWED, result.stdout + result.stderr
    assert path.name in result.stderr
    assert "  fix: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "error[command-failed]" not in result.stderr


def test_closed_files_are_named(office, tmp_path):
    """Settings, database and keystore that this user may not read: each command says which."""
    settings, database, keystore = office, office.parent / "office.db", office.parent / "keystore.db"
    cases = [
        (settings, ["office", "devices", "--config", settings]),
        (database, ["office", "devices", "--config", settings]),
        (database, ["office", "serve", "--config", settings]),
        (database, ["verify", database]),
        (database, ["decode", database]),
        (database, ["device", "journal", database]),
        (keystore, ["verify", database, "--keystore", keystore]),
    ]
    for path, words in cases:
        mode = path.stat().st_mode
        path.chmod(0)
        _assert_not_allowed(_run(*words), path)
        path.chmod(mode)


def test_folder_that_takes_nothing_is_named(office, tmp_path):
    """New folders cannot be made below one that this user may not write to; nothing runs before that is said."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    provision = ["provision", "gateway", "--office", office, "--name", "g", "--site", "s"]

    _assert_not_allowed(_run("office", "init", closed / "new"), closed / "new")
    _assert_not_allowed(_run(*provision, "--uplink", "https://h:1", closed / "new"), closed / "new")
    _assert_not_allowed(_run("demo", "--dir", closed / "new"), closed / "new")
    _assert_not_allowed(_run("demo", "--json", closed / "out.json"), closed / "out.json")


def test_database_that_cannot_be_written_to_is_not_served(office):
    """An office that could store nothing does not say that it is ready."""
    database = office.parent / "office.db"
    database.chmod(0o400)

    _assert_not_allowed(_run("office", "serve", "--config", office), database)
