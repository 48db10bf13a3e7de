"""The emulated Cortex-M3's image: says what it is, reads its settings, chooses the agent, and starts it.

Settings are files of a ROMFS on flash, written by who provisioned the board. An agent that a release brought lies in a room of
flash; the frozen one is the safe one.
"""

import gc
import hashlib
import json
import sys
import time

import board_flash  # type: ignore[import-not-found]  # frozen beside this file
import machine
import vfs

import protocol
import rules

_NAME = "mps2_an385"
ROM = "/rom"
_FROZEN = [".frozen"]
# Longer than any part of the loop takes in one go, recovery at boot included.
_WATCHDOG_MS = 20000
# A board that nobody provisioned says so again and again.
_IDLE_MS = 5000
# At boot most of what is read is dropped at once: collecting as often as later would take a third of the whole boot.
_BOOT_COLLECT_BYTES = 65536


def version_line(digest: bytes) -> str:
    """Return what runs here, in one line. digest: of the image."""
    release = ".".join([str(part) for part in sys.implementation.version[:3]])
    text = "outstation device on {}: protocol {}, rules {}, MicroPython {}, image {}"
    return text.format(_NAME, protocol.VERSION, rules.VERSION, release, digest.hex()[:16])


def reset_cause() -> int:
    """Return why this boot happened, as agent.board names it."""
    from agent.board import POWER, SOFTWARE, UNKNOWN, WATCHDOG

    # The stubs are those of the unix port, which has none of it.
    causes = {
        machine.PWRON_RESET: POWER,
        machine.HARD_RESET: SOFTWARE,
        machine.WDT_RESET: WATCHDOG,
    }
    return causes.get(machine.reset_cause(), UNKNOWN)  # type: ignore[attr-defined]  # see above


def read_settings():
    """Return the items of device.json, or None on a board that was not provisioned."""
    try:
        vfs.mount(vfs.VfsRom(board_flash.settings()), ROM)  # type: ignore[abstract]  # so say the stubs
        with open(ROM + "/device.json") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def choose(items: dict, cause: int) -> tuple:
    """Let `import agent` find the agent that is due; return (flash, rooms, choice)."""
    from agent.layout import window_sectors
    from agent.rooms import ROOMS_SECTORS, Rooms
    from agent.starter import choose_agent, start_agent

    flash = board_flash.NorFlash(window_sectors(items["flash_sectors"]))
    rooms = Rooms(
        board_flash.NorFlash(ROOMS_SECTORS, board_flash.ROOMS_SECTOR),
        sys.implementation._mpy,
    )
    choice = choose_agent(flash, rooms, cause)
    start_agent(choice, rooms, vfs.mount, _FROZEN)
    return flash, rooms, choice


def run() -> None:
    """Run the agent for ever. Returns when something ended it, and then the board resets."""
    gc.threshold(_BOOT_COLLECT_BYTES)
    digest = hashlib.sha256(board_flash.image()).digest()
    cause = reset_cause()
    print(version_line(digest))
    print("reset cause {}, {} bytes of heap free".format(cause, gc.mem_free()))
    items = read_settings()
    if items is None:
        print("not provisioned: no settings on flash")
        time.sleep_ms(_IDLE_MS)
        return
    # Before an agent is so much as imported: one from a release may hang there.
    watchdog = machine.WDT(timeout=_WATCHDOG_MS)  # type: ignore[attr-defined]  # see reset_cause
    flash, rooms, choice = choose(items, cause)
    from board_device import run_agent  # type: ignore[import-not-found]  # frozen beside this file

    run_agent(items, flash, (rooms, choice), (cause, watchdog.feed, digest))
