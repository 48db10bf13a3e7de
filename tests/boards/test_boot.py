"""A board of silicon from its first start to a device that runs, in MicroPython itself; only what silicon has is a fake.

The fakes were written from MicroPython's documentation and source. No silicon was asked.
"""

import json
import re

import pytest

from protocol.diagnostic import DiagnosticError
from tests.boards.boots import FakeBoard, make_config
from tools.board.setup import plan_setup
from tools.board.table import SILICON

BOARDS = list(SILICON)
ONE_OF_EACH = ["esp32_generic_s3", "rpi_pico_w"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return make_config(tmp_path_factory.mktemp("site"))


@pytest.fixture
def board(request, tmp_path):
    return FakeBoard(request.param, tmp_path / "board")


@pytest.mark.parametrize("board", BOARDS, indirect=True)
def test_board_is_provisioned_and_runs(board, config, tmp_path):
    """It says what it is, refuses to make keys up, takes those of a device, and begins its journal."""
    said = board.run()
    assert f"outstation device on {board.board.name}: protocol" in said
    assert "not provisioned" in said

    assert board.provision(config, tmp_path / "programs").strip().endswith("setup finished")

    said = board.hear("wifi joined")
    assert re.search(r"device [0-9a-f]{16} runs, boot 1, \d+ bytes of heap free", said), said
    assert "flash window 52 sectors at " in said
    assert "fake: joins site" in said
    assert "a long secret" not in said
    assert "boot 2" in board.hear("wifi joined")


@pytest.mark.parametrize("board", ONE_OF_EACH, indirect=True)
def test_keys_are_not_written_over_unasked(board, config, tmp_path):
    """Somebody who mistakes one board for another loses nothing."""
    board.provision(config, tmp_path / "programs")
    assert "ValueError: this board has keys already" in board.provision(config, tmp_path / "programs")

    # Nor where the settings are gone and the keys are not.
    (board.root / "device.json").unlink()
    assert "ValueError: this board has keys already" in board.provision(config, tmp_path / "programs")

    assert "setup finished" in board.provision(config, tmp_path / "programs", replace=True)
    assert "boot 1," in board.hear("runs, boot")


@pytest.mark.parametrize("board", ONE_OF_EACH, indirect=True)
def test_keys_lie_in_the_window_alone(board, config, tmp_path):
    """A file's blocks would keep the first keys for ever; the agent erases those of its window as it goes on."""
    board.provision(config, tmp_path / "programs")
    window = (config.parent / "flash.bin").read_bytes()
    flash = b"".join(
        path.read_bytes() for path in sorted(board.flash.parent.glob("flash*")) if path.is_file()
    )
    pages = [window[at : at + 256] for at in range(0, len(window), 256)]
    pages = [page for page in pages if page != b"\xff" * 256]

    assert pages
    for page in pages:
        assert flash.count(page) == 1
        for path in board.root.iterdir():
            assert page.rstrip(b"\xff")[:64] not in path.read_bytes()


@pytest.mark.parametrize("board", ONE_OF_EACH, indirect=True)
def test_provisioning_cut_short_makes_no_device(board, config, tmp_path):
    """Settings are the last thing that is written, after the window was read back."""
    setup = plan_setup(config, board.board, False)
    spoiled = setup.programs[1].replace("fromhex('", "fromhex('00", 1).replace("')", "')[:256]", 1)
    folder = tmp_path / "programs"
    folder.mkdir()
    for number, program in enumerate([setup.programs[0], spoiled, *setup.programs[2:]]):
        (folder / f"{number:03}.py").write_text(program)
    said = board.run(sorted(folder.iterdir()))

    assert "the window reads back otherwise" in said
    assert "not provisioned" in board.run()


@pytest.mark.parametrize("board", ONE_OF_EACH, indirect=True)
def test_service_pin_leaves_the_console_to_a_person(board, config, tmp_path):
    """Whoever can touch the board gets a prompt; nobody else does."""
    board.provision(config, tmp_path / "programs")
    said = board.run(HELD="0 22")

    assert "service: the console is yours" in said
    assert "runs, boot" not in said


@pytest.mark.parametrize(
    ("cause", "scratch", "said"), [("1", 0, "power"), ("3", 0, "watchdog"), ("3", 0x5354, "software")]
)
def test_reset_of_our_own_is_no_watchdogs_on_the_rp2(cause, scratch, said, tmp_path):
    """The chip says WDT_RESET to both; a trial would be rolled back by its own restart."""
    numbers = {"power": 0, "watchdog": 1, "software": 2}
    board = FakeBoard("rpi_pico_w", tmp_path / "board")

    assert f"reset cause {numbers[said]}," in board.run(CAUSE=cause, SCRATCH=str(scratch))


@pytest.mark.parametrize("board", ONE_OF_EACH, indirect=True)
def test_agent_that_ends_begins_anew(board, config, tmp_path):
    """A fault ends in a reset that is marked as ours, never in a prompt."""
    board.provision(config, tmp_path / "programs")
    (board.root / "schema.cbor").write_bytes(b"\x00")
    said = board.run()

    assert "Traceback" in said
    assert "fake: reset" in said
    assert "fake: prompt" not in said
    if board.board.port == "rp2":
        assert str(0x5354) in said


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('link = "serial"\nsensors = ["sht31"]\n', "runs, boot 1"),
        ('link = "serial"\nsensors = ["pulse"]\n', "runs, boot 1"),
        ('link = "serial"\nsensors = ["sht31", "ds18b20"]\n', "the sensors have 3 channels, the schema 2"),
    ],
)
def test_sensors_of_board_toml_are_those_of_the_schema(toml, words, tmp_path):
    """A board with nothing on its pins still runs; one whose channels are others says so."""
    config = make_config(tmp_path / "site", toml)
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    board.provision(config, tmp_path / "programs")

    assert words in board.hear(words)
    assert not (board.root / "recording.csv").exists()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_board_with_bluetooth_as_its_link_advertises_what_it_has_to_say(name, tmp_path):
    """No network is named and none is joined; the first heartbeat waits for a gateway that connects."""
    config = make_config(tmp_path / "site", 'link = "ble"\n')
    board = FakeBoard(name, tmp_path / "board")
    board.provision(config, tmp_path / "programs")
    said = board.hear("fake: advertises")

    assert "runs, boot 1" in said
    assert "fake: advertises 21 bytes" in said
    assert "fake: joins" not in said


def test_settings_of_a_board_hold_nothing_of_this_machine(config):
    """Paths and faults of a process stay here; the network goes with it."""
    setup = plan_setup(config, SILICON["rpi_pico_w"], False)
    pieces = re.findall(r"s\.keep\('device.json', bytes.fromhex\('([0-9a-f]+)'\)\)", "".join(setup.programs))
    items = json.loads(bytes.fromhex("".join(pieces)))

    assert str(config.parent) not in json.dumps(items)
    assert items["board"]["wifi"]["ssid"] == "site"
    assert set(items["link"]) == {"host", "port", "kid", "secret"}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("", "a board with Wi-Fi needs a network"),
        ('link = "serial"\nsensors = ["recording", "sht31"]\n', "takes the place of all sensors"),
        ('link = "pigeon"\n', "link"),
        ('[wifi]\nssid = "a"\nkey = "short"\n', "key"),
    ],
)
def test_mistakes_of_board_toml_are_named(toml, words, config):
    """Before anything is asked of a board."""
    path = config.parent / "board.toml"
    kept = path.read_text()
    path.write_text(toml)
    try:
        with pytest.raises(DiagnosticError, match=words):
            plan_setup(config, SILICON["rpi_pico_w"], False)
    finally:
        path.write_text(kept)


def test_journal_longer_than_the_flash_is_refused(tmp_path):
    """With the longest that fits."""
    config = make_config(tmp_path / "site")
    kept = config.read_text()
    config.write_text(kept.replace("flash_sectors = 16", "flash_sectors = 100"))
    (config.parent / "flash.bin").write_bytes(
        (config.parent / "flash.bin").read_bytes()[: 20 * 4096] + b"\xff" * ((100 - 16 + 32) * 4096)
    )
    with pytest.raises(DiagnosticError, match="--sectors 68 or fewer"):
        plan_setup(config, SILICON["rpi_pico_w"], False)
