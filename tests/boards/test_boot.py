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


POLICY = """
name: climate
sample: 36s
channels:
{}guard:
  fan: {{action: 0, range: [0, 1], safe: 0}}
rule:
  name: warm
  id: 1
  description: The fan runs above 25 degrees.
  match:
    - condition: {} > {}
      output: {{fan: 1}}
      explanation: it is warm
    - output: {{fan: 0}}
"""


def write_policy(path, *scales):
    """Write a policy of as many channels, and return its path."""
    channels = "".join(
        f"  c{i}: {{unit: Cel, scale: {scale}, range: [-40, 125]}}\n" for i, scale in enumerate(scales)
    )
    path.write_text(POLICY.format(channels, "c0", "25" if scales[0] == 0 else f"25.{'0' * -scales[0]}"))
    return path


SENSORS = [
    ([-2, -2], '[[sensor]]\ndriver = "sht31"\naddress = 0x45\n'),
    ([0, -3], '[[sensor]]\ndriver = "pulse"\npin = 14\n'),
    ([-4, -6], '[[sensor]]\ndriver = "ds18b20"\n[[sensor]]\ndriver = "ads1115"\ninputs = [{plus = 3}]\n'),
    (
        [-1],
        '[modbus]\nbaud = 9600\n[[sensor]]\ndriver = "modbus"\naddress = 5\npoints = [{table = "inputs", register = 8, scale = -1}]\n',
    ),
]


@pytest.mark.parametrize("board", ["rpi_pico_w"], indirect=True)
@pytest.mark.parametrize(("scales", "tables"), SENSORS, ids=["sht31", "pulse", "two parts", "modbus"])
def test_board_runs_with_the_sensors_of_its_policy(board, scales, tables, tmp_path):
    """With nothing on its pins it still runs, and no recording takes the sensors' place."""
    policy = write_policy(tmp_path / "policy.yaml", *scales)
    config = make_config(tmp_path / "site", f'link = "ble"\n{tables}', policy=policy)
    board.provision(config, tmp_path / "programs")
    said = board.hear("runs, boot 1")

    assert "refused" not in said
    # Even parity, unless the settings say otherwise: Serial Line V1.02, section 2.5.1.
    assert ("fake: uart 1 9600 8 0 1" in said) == ("modbus" in tables)
    assert not (board.root / "recording.csv").exists()
    assert "sample_ms = 36000" in config.read_text()


REFUSED = [
    ({"driver": "sht31", "address": 300}, "sensor sht31 refused: address = 300 is not 68..69"),
    ({"driver": "sht33"}, "sensors refused: they have 1 channels, the schema 2"),
    (
        {"driver": "modbus", "address": 5, "points": [{"table": "inputs", "register": 8}] * 2},
        "have no [modbus]",
    ),
]


@pytest.mark.parametrize(("row", "words"), REFUSED, ids=["address", "driver", "line"])
def test_board_with_wrong_settings_of_a_sensor_runs_on_and_says_so(row, words, tmp_path):
    """Its rules, its journal and its link are worth more than one part; a board that restarts for ever is worth nothing."""
    policy = write_policy(tmp_path / "policy.yaml", -2, -2)
    config = make_config(tmp_path / "site", 'link = "ble"\n[[sensor]]\ndriver = "sht31"\n', policy=policy)
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    board.provision(config, tmp_path / "programs")
    settings = board.root / "device.json"
    items = json.loads(settings.read_text())
    items["board"]["sensors"] = [row]
    settings.write_text(json.dumps(items))
    said = board.hear("fake: advertises")

    assert words in said
    assert "runs, boot 1" in said
    assert "Traceback" not in said


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


def test_board_with_several_links_brings_all_of_them_up(tmp_path):
    """Wi-Fi is joined and the serial line opened; which carries the next request, its agent decides."""
    toml = 'order = ["serial", "wifi"]\n[wifi]\nssid = "site"\nkey = "a long secret"\n'
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    board.provision(make_config(tmp_path / "site", toml), tmp_path / "programs")
    said = board.hear("wifi joined")

    assert "fake: uart 1 115200" in said
    assert "fake: joins site" in said
    assert "runs, boot 1" in said


def test_settings_of_a_board_hold_nothing_of_this_machine(config):
    """Paths and faults of a process stay here; the network goes with it."""
    setup = plan_setup(config, SILICON["rpi_pico_w"], False)
    pieces = re.findall(r"s\.keep\('device.json', bytes.fromhex\('([0-9a-f]+)'\)\)", "".join(setup.programs))
    items = json.loads(bytes.fromhex("".join(pieces)))

    assert str(config.parent) not in json.dumps(items)
    assert items["board"]["wifi"]["ssid"] == "site"
    assert set(items["link"]) == {"host", "port", "kid", "secret", "discover", "groups", "local"}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("", "a board with Wi-Fi needs a network"),
        ('link = "serial"\nsensors = ["recording", "sht31"]\n', "takes the place of all sensors"),
        ('link = "pigeon"\n', "link"),
        ('order = ["serial", "serial"]\n', "names each link once"),
        ('link = "ble"\norder = ["serial", "ble"]\n', "takes the place of link"),
        ('order = ["serial"]\n', "of length >= 2"),
        ('order = ["serial", "wifi"]\n', "needs a network"),
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
