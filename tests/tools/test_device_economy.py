"""What device.toml says of resources, allowance and gauge reaches the agent, or is refused with its reason."""

import re
from pathlib import Path

import pytest

from agent.board import Board
from agent.config import Config
from agent.resources import BATTERY, FLASH, SCARCE, TABLE, Levels
from protocol.diagnostic import DiagnosticError
from tools.device import PointsSection, read_device
from tools.upy import firmware_folder

_TOML = 'device = "0011223344556677"\nflash_sectors = 16\n[link]\nhost = "127.0.0.1"\n'
_LINK = 'kid = "01"\nsecret = "000102030405060708090a0b0c0d0e0f"\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "link.toml").write_text(_LINK)
    (tmp_path / "flash.bin").write_bytes(bytes(4096 * (16 + 4 + 32)))
    for name in ("schema.cbor", "bundle.cbor", "recording.csv"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def _read(folder, top="", sections=""):
    (folder / "device.toml").write_text(top + _TOML + sections)
    return read_device(folder / "device.toml")


def test_thresholds_allowance_and_gauge_reach_the_agent(folder):
    """As written; a key that is left out leaves the table's numbers."""
    top = 'link_day_bytes = 5000\ninputs_ms = 2000\nbattery = "gauge"\n'
    items = _read(folder, top, "[resources]\nflash = [900, 800]\n")
    config = Config(items)
    levels = Levels(config.thresholds)

    assert (config.link_day_bytes, config.inputs_ms) == (5000, 2000)
    assert items["battery"].endswith("/gauge")
    assert [change[:2] for change in levels.changes([None, 850, 301, None])] == [(FLASH, 1)]
    assert [change[:2] for change in levels.changes([None, None, 300, None])] == [(BATTERY, 1)]


def test_without_them_there_is_no_allowance_and_no_gauge(folder):
    """The defaults of a device that is told nothing, and of a board that can say nothing."""
    items = _read(folder)
    board = Board(*[None] * 11)

    assert (Config(items).link_day_bytes, Config(items).thresholds) == (0, {})
    assert items["battery"] is None
    assert (board.heap(), board.battery()) == (None, None)


@pytest.mark.parametrize("pair", ["[100, 200]", "[100, 100]"])
def test_resource_that_is_scarce_before_it_is_low_is_refused(folder, pair):
    """The message names resource, numbers and a way out."""
    with pytest.raises(DiagnosticError) as refused:
        _read(folder, "", f"[resources]\nflash = {pair}\n")

    (found,) = refused.value.diagnostics
    assert found.code == "device-thresholds"
    assert "flash" in found.message
    assert "100" in found.message


def test_share_that_is_kept_of_a_full_ring_reaches_the_agent(folder):
    """As written; left out, as the table has it."""
    (keep,) = [row[5] for row in TABLE if row[:2] == (FLASH, SCARCE)]

    assert Config(_read(folder, "flash_keep = 1\n")).flash_keep == 1
    assert Config(_read(folder)).flash_keep == keep


def test_every_point_of_the_agent_can_be_one_at_which_the_process_ends(folder):
    """Whoever tries a device out ends it where its journal, its releases or its keys are half done."""
    sources = [path.read_text() for path in Path(firmware_folder(), "agent").rglob("*.py")]
    points = {name for text in sources for name in re.findall(r'\b_?point\("(\w+)"\)', text)}

    assert len(points) > 20
    assert points == set(PointsSection.__struct_fields__)
