"""What is asked of the demonstration and would have no effect is refused before anything is made."""

import contextlib
import io
import sys

import pytest

from protocol.diagnostic import USAGE
from tools import cli
from tools.demo import command

# The package's name for it is the command itself.
MODULE = sys.modules[command.callback.__module__]


@pytest.fixture
def made(monkeypatch):
    """Keep the demonstration from making anything; return what it was about to run, word for word."""
    seen = []

    async def live(console, folder, seed, devices):
        seen.append(devices)
        return 0

    monkeypatch.setattr(MODULE, "_live", live)
    return seen


def check_refused(words, says):
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        code = cli.run(["demo", "--live", *words])
    said = stream.getvalue()

    assert code == USAGE, f"{words} was taken"
    assert all(word in said for word in (*says, "fix: ", "--live")), said


REFUSED = {
    "json": (["--json", "demo.json"], ["--json does not go with --live", "leave out --json"]),
    "seconds": (["--seconds", "50"], ["--seconds does not go with --live", "leave out --seconds"]),
    "stay": (["--stay"], ["--stay does not go with --live", "leave out --stay"]),
    "devices": (["--devices", "4"], ["--devices 4", "at most 3 devices", "name 3 or fewer"]),
    "all at once": (["--devices", "8", "--stay"], ["--stay does not go", "--devices 8"]),
}


def check_nothing_is_ignored(folder):
    (folder / "there").touch()
    # The folder keeps a demonstration that would take it all from beginning.
    check_refused(["--stay", "--dir", str(folder)], ["--stay does not go with --live"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_effect_with_live_is_refused(name, made, tmp_path, monkeypatch):
    """Options of the story beside --live, also with their default's value, end with exit 2 and what to do; no file is made."""
    monkeypatch.chdir(tmp_path)
    check_refused(*REFUSED[name])

    assert made == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "devices"), [([], 3), (["--devices", "2"], 2), (["--seed", "4"], 3)])
def test_live_takes_what_it_can_do(words, devices, made, tmp_path):
    """Three devices if nobody says otherwise; fewer, a seed and a folder may be named."""
    assert cli.run(["demo", "--live", "--dir", str(tmp_path / "site"), *words]) == 0
    assert made == [devices]
