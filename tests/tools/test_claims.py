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
    (tmp_path / "blind.toml").write_text('[wifi]\nssid = "site"\nkey = "a long secret"\n')
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
        (["--hardware", "rpi_pico_w", "--board", "blind.toml"], "would have nothing to read: no sensors"),
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
        "no sensors",
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


def _spoil(items, key, value):
    """Return the text of a claim with another value, or none, at a key such as claim.board."""
    place = items
    *way, last = key.split(".")
    for name in way:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(items)


@pytest.fixture
def board(claims, tmp_path, monkeypatch, capsys):
    """Return (folder of a claim, () -> (exit code, errors) of `device announce`, which starts no process)."""
    assert claims()[0] == OK
    (file,) = (tmp_path / "claims").glob("*/claim.json")

    started = []
    # It would go on holding Ctrl-C back in this process.
    monkeypatch.setattr("tools.device.hold_interrupts", lambda: None)
    monkeypatch.setattr("tools.device.os.execve", lambda path, words, environment: started.append(words[-1]))

    def announce():
        code = run(["device", "announce", str(file.parent)])
        return code, capsys.readouterr().err

    announce.started = started
    return file.parent, announce


def test_board_with_a_claim_and_something_to_read_is_started(board):
    """Nothing else is asked of it."""
    folder, announce = board
    (folder / "recording.csv").write_text("1,2\n")

    assert announce() == (OK, "")
    assert announce.started == [str(folder / "claim.json")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("claim", None),
        ("claim.board", "x" * 16),
        ("claim.secret", "00"),
        ("hardware", None),
        ("flash_sectors", 0),
        ("link.port", 0),
        ("link", None),
    ],
)
def test_spoiled_claim_is_named_before_a_board_starts(board, key, value):
    """With the file and what to do, in place of an interpreter's words."""
    folder, announce = board
    (folder / "recording.csv").write_text("1,2\n")
    file = folder / "claim.json"
    file.write_text(_spoil(json.loads(file.read_text()), key, value))
    code, said = announce()

    assert code == USAGE
    assert "error[device-claim]" in said
    assert str(file) in said.replace("\n", "")
    assert key.rpartition(".")[2] in said


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]"])
def test_claim_that_is_no_json_is_named_too(board, text):
    """Half a file, or another one."""
    folder, announce = board
    (folder / "claim.json").write_bytes(text)
    code, said = announce()

    assert (code, "error[device-claim]" in said) == (USAGE, True)


def test_board_without_a_recording_does_not_wait_to_be_admitted(board):
    """It would end with its admission: its sensor has nothing to read."""
    code, said = board[1]()

    assert code == USAGE
    assert "--recording" in said
