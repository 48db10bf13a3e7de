"""The contract of a window of flash, for each of those that the agent can have; a planted fault breaks it.

Each check is a function of open_window: () -> (window, chip); chip is None where there is none under it.
"""

import sys
from pathlib import Path

from agent.flash import PAGE_BYTES, SECTOR_BYTES

ROOT = Path(__file__).resolve().parent.parent.parent
SILICON = Path(__file__).resolve().parent / "silicon"
BOARDS = ROOT / "firmware" / "boards"
# Not the first page, nor the first sector: an offset that is left out shows.
_AT = SECTOR_BYTES + 3 * PAGE_BYTES
SECTORS = 100


def load(name, *folders):
    """Return a module of a board, loaded anew with fakes for what only silicon has. folders: under firmware/boards."""
    places = [str(SILICON), *(str(BOARDS / folder) for folder in (*folders, "wireless"))]
    for known in ("nor", "esp32", "rp2", "machine", "network", "onewire", "block_window", "board_pins", name):
        sys.modules.pop(known, None)
    sys.path[:0] = places
    try:
        return __import__(name)
    finally:
        del sys.path[: len(places)]


def open_esp32():
    """A window of the ESP32-S3's partition."""
    flash = load("board_flash", "esp32_generic_s3")
    return flash.open_window(SECTORS), sys.modules["esp32"].CHIPS["outstation"]


def open_rp2():
    """A window of the Pico 2 W's storage."""
    flash = load("board_flash", "rpi_pico2_w", "rpi_pico_w")
    return flash.open_window(SECTORS), sys.modules["rp2"].CHIPS[0]


def check_erase_sets_a_sector_alone(open_window):
    """Its bits are ones afterwards, those of its neighbours as before."""
    window, _ = open_window()
    for sector in range(3):
        for page in (0, SECTOR_BYTES - PAGE_BYTES):
            window.program(sector * SECTOR_BYTES + page, bytes(PAGE_BYTES))
    window.erase(1)

    assert window.read(SECTOR_BYTES, SECTOR_BYTES) == b"\xff" * SECTOR_BYTES
    assert window.read(SECTOR_BYTES - PAGE_BYTES, PAGE_BYTES) == bytes(PAGE_BYTES)
    assert window.read(2 * SECTOR_BYTES, PAGE_BYTES) == bytes(PAGE_BYTES)
    assert window.erases == 1


def check_program_clears_bits_alone(open_window):
    """Each byte becomes old AND new, and nothing beside the page changes."""
    window, _ = open_window()
    window.erase(1)
    window.program(_AT, b"\xf0" * PAGE_BYTES)
    window.program(_AT, b"\x3c" * PAGE_BYTES)

    assert window.read(_AT, PAGE_BYTES) == b"\x30" * PAGE_BYTES
    assert window.read(_AT - 1, 1) + window.read(_AT + PAGE_BYTES, 1) == b"\xff\xff"
    assert window.programmed == 2 * PAGE_BYTES


def check_program_takes_pages_over_the_end_of_a_sector(open_window):
    """Many pages at once are as good as one after the other."""
    window, _ = open_window()
    for sector in range(3):
        window.erase(sector)
    content = bytes(index % 251 for index in range(SECTOR_BYTES))
    window.program(_AT, content)

    assert window.read(_AT, SECTOR_BYTES) == content
    assert window.read(_AT + 5, 1000) == content[5:1005]


def check_program_takes_what_lies_in_flash(open_window):
    """Constants of a frozen module are bytes that lie in the flash itself."""
    window, _ = open_window()
    window.erase(1)
    window.program(_AT, b"\x55" * PAGE_BYTES)

    assert window.read(_AT, 2) == b"\x55\x55"


def check_nothing_outside_is_reached(open_window):
    """Neither read, programmed nor erased, before it and behind it, nor a part of a page."""
    window, _ = open_window()
    end = window.sectors * SECTOR_BYTES
    page = bytes(PAGE_BYTES)
    for work in (
        lambda: window.read(end - 1, 2),
        lambda: window.read(-1, 1),
        lambda: window.program(end, page),
        lambda: window.program(-PAGE_BYTES, page),
        lambda: window.program(1, page),
        lambda: window.program(0, page[:-1]),
        lambda: window.program(0, b""),
        lambda: window.erase(window.sectors),
        lambda: window.erase(-1),
    ):
        try:
            work()
        except ValueError:
            continue
        raise AssertionError("it was taken")


def check_window_begins_where_it_should(open_window):
    """Nothing that lies before it or behind it on the same chip is touched."""
    window, chip = open_window()
    if chip is None:
        return
    del chip.log[:]
    window.erase(0)
    window.program(0, bytes(PAGE_BYTES))
    window.erase(window.sectors - 1)
    (_, first, _), (_, page, _), (_, last, _) = chip.log

    assert page == first
    assert last - first == (window.sectors - 1) * SECTOR_BYTES


def check_cut_leaves_a_part(open_window):
    """A page whose programming was cut is neither whole nor untouched, and the agent's boot erases it: the window adds nothing of its own."""
    window, chip = open_window()
    if chip is None:
        return
    window.erase(1)
    chip.cut_left = 1
    window.program(_AT, bytes(PAGE_BYTES))
    try:
        window.program(_AT + PAGE_BYTES, bytes(2 * PAGE_BYTES))
    except Exception as error:  # noqa: BLE001 -- of a module that is loaded anew each time
        assert type(error).__name__ == "PowerFailed", error
    else:
        raise AssertionError("nobody said that the power failed")
    chip.cut_left = None

    assert window.read(_AT, PAGE_BYTES) == bytes(PAGE_BYTES)
    assert window.read(_AT + PAGE_BYTES, PAGE_BYTES) == bytes(PAGE_BYTES // 2) + b"\xff" * (PAGE_BYTES // 2)
    assert window.read(_AT + 2 * PAGE_BYTES, PAGE_BYTES) == b"\xff" * PAGE_BYTES


CHECKS = {
    name.removeprefix("check_"): work for name, work in list(globals().items()) if name.startswith("check_")
}
