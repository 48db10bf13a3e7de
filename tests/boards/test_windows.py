"""Windows of the boards' flash hold to one contract, the same as the agent's own model of flash.

The fakes under them were written from MicroPython's documentation and source; no silicon was asked.
"""

import csv
import re
import sys

import pytest

from agent.flash import SECTOR_BYTES, RamFlash
from agent.rooms import ROOMS_SECTORS
from tests.boards.windows import BOARDS, CHECKS, SECTORS, load, open_esp32, open_rp2
from tools.board.table import SILICON

WINDOWS = {"model": lambda: (RamFlash(SECTORS), None), "esp32": open_esp32, "rp2": open_rp2}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("check", CHECKS)
def test_window_holds_the_contract(check, window):
    """What the agent was proved on is what the board gives it."""
    CHECKS[check](WINDOWS[window])


def test_window_that_does_not_fit_its_partition_is_refused():
    """A journal never grows into what lies behind it."""
    flash = load("board_flash", "esp32_generic_s3")
    with pytest.raises(ValueError, match="does not fit"):
        flash.open_window(1233)


def test_partition_that_is_missing_is_named():
    """Somebody flashed the image without its partition table."""
    flash = load("board_flash", "esp32_generic_s3")
    del sys.modules["esp32"].TABLE["rooms"]
    with pytest.raises(ValueError, match="no partition rooms"):
        flash.open_rooms(92)


def test_rooms_and_files_lie_before_the_window_of_the_rp2():
    """Each begins where the one before ends; the rooms may not grow."""
    flash = load("board_flash", "rpi_pico_w")
    window, rooms = flash.open_window(64), flash.open_rooms(ROOMS_SECTORS)
    chip = sys.modules["rp2"].CHIPS[0]
    rooms.erase(0)
    rooms.erase(rooms.sectors - 1)
    window.erase(0)

    assert [at // SECTOR_BYTES for _, at, _ in chip.log] == [16, 16 + ROOMS_SECTORS - 1, 16 + ROOMS_SECTORS]
    with pytest.raises(ValueError, match="over the window"):
        flash.open_rooms(ROOMS_SECTORS + 1)


@pytest.mark.parametrize("name", [name for name, board in SILICON.items() if board.port == "esp32"])
def test_partitions_are_whole_sectors_without_overlap_and_as_the_table_says(name):
    """And the rooms have room for all that may come over the link."""
    lines = (BOARDS / name / "partitions.csv").read_text().splitlines()
    rows = [[cell.strip() for cell in row] for row in csv.reader(line for line in lines if line[0] != "#")]
    parts = {row[0]: (int(row[3], 16), int(row[4], 16)) for row in rows}
    flash_bytes = (
        int(re.search(r"FLASHSIZE_(\d+)MB", (BOARDS / name / "sdkconfig.board").read_text())[1]) << 20
    )

    ends = 0
    for offset, size in parts.values():
        assert offset >= ends
        assert not (offset | size) % SECTOR_BYTES
        ends = offset + size
    assert ends == flash_bytes
    assert parts["outstation"][1] == SILICON[name].window_sectors * SECTOR_BYTES
    assert parts["rooms"][1] >= ROOMS_SECTORS * SECTOR_BYTES


@pytest.mark.parametrize("name", [name for name, board in SILICON.items() if board.port == "rp2"])
def test_storage_of_the_rp2_is_filled_exactly(name):
    """Files, rooms and window are the storage that mpconfigboard.h sets apart."""
    header = (BOARDS / name / "mpconfigboard.h").read_text()
    storage = int(re.search(r"STORAGE_BYTES \((\d+) \* 1024\)", header)[1]) * 1024

    assert (16 + ROOMS_SECTORS + SILICON[name].window_sectors) * SECTOR_BYTES == storage
