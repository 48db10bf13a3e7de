"""What device.toml says of resources, allowance and gauge reaches the agent, or is refused with its reason."""

import pytest

from agent.board import Board
from agent.config import Config
from agent.resources import BATTERY, FLASH, Levels
from protocol.diagnostic import DiagnosticError
from tools.device import read_device

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
