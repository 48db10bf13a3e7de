"""Real processes, and everything that they leave behind: no reading and no secret lies in the open where it should not."""

import stat
import subprocess
import sys

import pytest

from protocol.event import DECISION, SAMPLE
from tests.site.at_rest import ALLOWED, READINGS, life_of, secret_files
from tests.support.marks import search


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    return life_of(tmp_path_factory.mktemp("site"))


@pytest.mark.proves("S30")
def test_nothing_that_is_secret_lies_in_the_open(life):
    """Flash dumps, both gateways' and the office's disks, backup, logs, command lines, environments, answers: no reading, body or secret."""
    assert [] == sorted(map(str, life.found))


def test_memory_of_gateway_and_office_never_becomes_a_file(life):
    """Both died of a signal that dumps memory, where nothing but their own word forbade it."""
    assert [] == list(life.cores.iterdir())


def test_what_is_searched_for_was_there(life):
    """The marked readings came in the bodies, every kind of secret was made, and each lies where it may: the search finds what is there."""
    said = {kind: str([event for event in life.events if event[2] == kind]) for kind in (SAMPLE, DECISION)}
    seen = {one.what for one in search(life.marks, secret_files(life.folder))}

    assert [] == [number for number in READINGS if str(number) not in said[SAMPLE]]
    assert any(str(number) in said[DECISION] for number in READINGS)
    assert 100 <= len(life.marks["sealed body"])
    assert [] == [what for what in ALLOWED if not any(one.startswith(what) for one in seen)]
    assert {"seal root", "view root", "person's token", "code's secret"} <= {
        what.partition(" of ")[0] for what in life.marks
    }


def test_what_holds_a_secret_is_its_owners_alone(life):
    """No file in which a secret may lie can be read by others."""
    modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in secret_files(life.folder).items()}

    assert len(ALLOWED) <= len(modes)
    assert {} == {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


@pytest.mark.parametrize("module", ["gateway", "office_ingest", "tools"])
def test_no_command_leaves_its_memory(module):
    """Limit and word are set before any command begins, also where a system hands dumps to a program and asks for no limit."""
    script = (
        "import ctypes, resource, sys\n"
        f"from {module}.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "sys.argv = ['x', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "(0, 0) 0" == done.stderr.strip().splitlines()[-1]
