"""The journal of a board is read at its prompt, sector by sector, and is the one that lies on its flash; no key comes with it."""

import json
import sys
import types

import pytest

from protocol.diagnostic import FINDING, OK, UNREACHABLE, USAGE, DiagnosticError
from tests.agent.desk import DEVICE, Desk
from tests.boards.boots import FakeBoard, make_config
from tests.tools.test_board_console import outstation
from tools.board.journal import KEY_SECTORS, SECTOR_BYTES, read_journal
from tools.cli import run
from tools.flashimage import parse_image, read_image
from tools.image.flashfile import make_flash

SECTORS = 12


class Prompt:
    """A prompt at whose far end programs run over a flash. spoil(line): what becomes of each line on its way."""

    def __init__(self, image, spoil=lambda line: line):
        self._image = image
        self._spoil = spoil
        self.offsets = []

    def ask(self, program, seconds):
        """Run a program as the board does, and return its lines."""
        if "board_main" in program:
            return [f"journal of {DEVICE.hex()} {SECTORS}"]
        said = []
        flash = types.ModuleType("board_flash")
        flash.open_window = lambda sectors: self
        sys.modules["board_flash"] = flash
        try:
            exec(program, {"print": lambda *words: said.append(" ".join(words))})
        finally:
            del sys.modules["board_flash"]
        return [self._spoil(line) for line in said]

    def read(self, offset, size):
        """Return bytes of the window."""
        self.offsets.append(offset)
        return bytes(self._image[offset : offset + size])


def worked():
    """Return the window of a device that has worked."""
    desk = Desk(sectors=KEY_SECTORS + SECTORS)
    desk.run(60)
    return bytes(desk.flash.image)


@pytest.fixture(scope="module")
def image():
    """The window of a device that has worked."""
    return worked()


def quiet(sectors):
    """Show no progress."""
    return lambda: None


def check_journal_of_a_board(image):
    prompt = Prompt(image)
    held = read_journal(prompt, "here", quiet)

    assert (held.device, held.sectors) == (DEVICE.hex(), SECTORS)
    assert min(prompt.offsets) >= KEY_SECTORS * SECTOR_BYTES, "keys were read"
    assert held.image[: KEY_SECTORS * SECTOR_BYTES] == b"\xff" * KEY_SECTORS * SECTOR_BYTES
    there, here = parse_image(image, "there").as_json(), parse_image(held.image, "here").as_json()
    assert here == there and len(here["lanes"]) == 2


def test_journal_that_comes_is_the_one_on_the_flash_without_its_keys(image):
    """The same heads, chains and tombstones; the sectors of cell and keys are not so much as read."""
    check_journal_of_a_board(image)


def check_noise(image):
    left = [3]

    def spoil(line):
        if line.startswith("piece ") and left[0]:
            left[0] -= 1
            return line[:20] + ("A" if line[20] != "A" else "B") + line[21:]
        return line

    assert (
        read_journal(Prompt(image, spoil), "here", quiet).image
        == read_journal(Prompt(image), "here", quiet).image
    )


def test_sector_that_noise_hit_is_read_again(image):
    """What was printed is compared with its digest."""
    check_noise(image)


def test_board_that_never_speaks_clearly_is_given_up(image):
    """With the sector, and what to look at."""
    prompt = Prompt(image, lambda line: line.replace("piece", "pie"))
    with pytest.raises(DiagnosticError, match="sector 0 of the board at here") as raised:
        read_journal(prompt, "here", quiet)

    assert raised.value.exit_code == UNREACHABLE


def test_board_at_its_prompt_is_read_by_the_command(tmp_path):
    """Over a pty, from MicroPython: right after it was provisioned its ring is empty; the file holds no key and is never written over."""
    config = make_config(tmp_path / "site")
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    with board.on_pty() as port:
        board.wait_for_prompt()
        early = outstation("journal", "--port", port)
        assert (early.returncode, "not provisioned" in early.stderr) == (FINDING, True), early.stderr
        done = outstation("provision", "rpi_pico_w", "--config", config, "--port", port)
        assert done.returncode == OK, done.stderr
        said = outstation("journal", "--port", port, "--out", tmp_path / "out.bin", "--json")
        again = outstation("journal", "--port", port, "--out", tmp_path / "out.bin")

    assert said.returncode == OK, said.stderr
    assert json.loads(said.stdout)["lanes"] == []
    assert read_image(tmp_path / "out.bin").as_json()["lanes"] == []
    assert (tmp_path / "out.bin").stat().st_mode & 0o777 == 0o600
    assert (again.returncode, "there is a file already" in again.stderr) == (USAGE, True)


def test_board_that_runs_is_not_read(tmp_path):
    """Its console listens to nobody; what would make it listen is said."""
    config = make_config(tmp_path / "site")
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    board.provision(config, tmp_path / "programs")
    with board.on_pty() as port:
        said = outstation("journal", "--port", port)

    assert said.returncode == FINDING
    assert "shows no prompt" in said.stderr and "service pin" in said.stderr


def test_emulated_boards_flash_file_is_read_as_it_is(tmp_path, capsys):
    """The window is found in the file of 16 MiB; its journal is that of the flash.bin that it was made from."""
    config = make_config(tmp_path / "site")
    make_flash(config, tmp_path / "flash.bin", bytes(32))

    assert run(["device", "journal", str(tmp_path / "flash.bin"), "--json"]) == OK
    whole = json.loads(capsys.readouterr().out)
    assert run(["device", "journal", str(config.parent / "flash.bin"), "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == whole


def test_dry_run_shows_what_would_be_typed_and_needs_no_board(capsys):
    """And both a file and a board are one too many."""
    assert run(["device", "journal", "--dry-run"]) == OK
    assert "window.read(" in capsys.readouterr().out
    assert run(["device", "journal", "flash.bin", "--port", "/dev/ttyUSB0"]) == USAGE
    assert "from a file or from a board" in capsys.readouterr().err
