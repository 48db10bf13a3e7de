"""Claims for boards without keys: what goes onto a board is whole and private, and none is made that no board could use."""

import json

import pytest

from office_ingest.founding import found_office
from office_ingest.govern.admissions import Admissions
from protocol.diagnostic import OK, USAGE
from tools.board.table import EMULATED
from tools.cli import run
from tools.provision import Office


@pytest.fixture
def claims(tmp_path, capsys):
    """Return words -> (exit code, errors) of `provision claims` into a folder, beside it an office and a board.toml."""
    office = found_office(tmp_path / "office", now_ms=1_700_000_000_000)
    (tmp_path / "board.toml").write_text(
        'sensors = ["sht31"]\n[wifi]\nssid = "site"\nkey = "a long secret"\n'
    )
    (tmp_path / "lonely.toml").write_text('sensors = ["sht31"]\n')

    def make(*words, config=office):
        named = [str(tmp_path / word) if word.endswith(".toml") else word for word in words]
        code = run(["provision", "claims", "--office", str(config), *named, str(tmp_path / "claims")])
        return code, capsys.readouterr().err

    make.office = office
    return make


def known(claims):
    """Return how many claims the office has."""
    with Office(claims.office) as office:
        return len(Admissions(office.store, office.keystore).claims.all())


def test_claim_is_whole_and_private(claims, tmp_path):
    """What the board needs to find a gateway and to read its sensors is in one file, which its owner alone can read."""
    code, said = claims("--hardware", "rpi_pico_w", "--board", "board.toml", "--sectors", "68")
    assert code == OK, said
    (file,) = (tmp_path / "claims").glob("*/claim.json")
    items = json.loads(file.read_text())

    assert items["claim"]["board"] == file.parent.name
    assert (items["hardware"], items["flash_sectors"]) == ("rpi_pico_w", 68)
    assert items["board"]["sensors"] == [{"driver": "sht31", "address": 0x44}]
    assert file.stat().st_mode & 0o077 == file.parent.stat().st_mode & 0o077 == 0
    assert known(claims) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hardware", "rpi_pico_w"], "has to know its network"),
        (["--hardware", "rpi_pico_w", "--board", "lonely.toml"], "needs a network"),
        (
            ["--hardware", "rpi_pico_w", "--board", "board.toml", "--sectors", "69"],
            "write --sectors 68 or fewer",
        ),
        (["--board", "board.toml"], "has no board.toml"),
        (["--hardware", EMULATED], "--hardware"),
        (["--count", "0"], "--count"),
    ],
    ids=[
        "no settings",
        "no network",
        "too many sectors",
        "settings of no board",
        "never without keys",
        "none",
    ],
)
def test_claim_that_no_board_could_use_is_not_made(claims, tmp_path, words, message):
    """Once a board hangs on the wall with it, it takes a ladder to say more: so it is said here, and neither folder nor office has it."""
    code, said = claims(*words)

    assert code == USAGE
    assert message in said
    assert not (tmp_path / "claims").exists()
    assert known(claims) == 0


def test_claim_of_no_office_leaves_no_folder(claims, tmp_path):
    """A misspelt office is no reason for an empty folder."""
    assert claims(config=tmp_path / "nope.toml")[0] == USAGE
    assert not (tmp_path / "claims").exists()
