"""The emulated Cortex-M3 as a board: raw flash, a recording for a sensor, a serial line for a link, a real watchdog.

Memory map of the flash: tools/image/flashfile.py. Settings are files of a ROMFS in it, written by who provisioned the board.
"""

import asyncio
import gc
import hashlib
import json
import os
import sys
import time

import machine
import nor  # type: ignore[import-not-found]  # this board's own, board/nor.c
import vfs

import protocol
import rules
from agent.aes import Aes128
from agent.app import Agent
from agent.board import POWER, SOFTWARE, UNKNOWN, WATCHDOG, Board
from agent.config import Config
from agent.flash import SECTOR_BYTES
from agent.layout import window_sectors
from agent.links.serial import SerialLink
from agent.schema import read_schema
from agent.sensors.recording import Recording

_NAME = "mps2_an385"
_SETTINGS_OFFSET = 8 << 20
_SETTINGS_BYTES = 4 << 20
_ROM = "/rom/"
_DATA_LINE = 1
# Longer than any part of the loop takes in one go, recovery at boot included.
_WATCHDOG_MS = 20000
# A board that nobody provisioned says so again and again.
_IDLE_MS = 5000


class NorFlash:
    """The first sectors of the board's flash, as the agent wants it. erases, programmed: since the boot, as of any flash."""

    def __init__(self, sectors: int):
        self.sectors = sectors
        self.erases = 0
        self.programmed = 0

    def _check(self, end: int) -> None:
        if end > self.sectors * SECTOR_BYTES:
            raise ValueError("flash access up to {} is beyond {} sectors".format(end, self.sectors))

    def read(self, offset: int, n: int) -> bytes:
        """Return n bytes. Raises ValueError outside the window."""
        self._check(offset + n)
        return nor.read(offset, n)

    def program(self, offset: int, data) -> None:
        """Clear bits: whole pages only. Raises ValueError outside the window."""
        self._check(offset + len(data))
        nor.program(offset, data)
        self.programmed += len(data)

    def erase(self, sector: int) -> None:
        """Set all bits of a sector. Raises ValueError outside the window."""
        self._check((sector + 1) * SECTOR_BYTES)
        nor.erase(sector)
        self.erases += 1


def version_line(digest: bytes) -> str:
    """Return what runs here, in one line. digest: of the image."""
    release = ".".join([str(part) for part in sys.implementation.version[:3]])
    text = "outstation device on {}: protocol {}, rules {}, MicroPython {}, image {}"
    return text.format(_NAME, protocol.VERSION, rules.VERSION, release, digest.hex()[:16])


def reset_cause() -> int:
    """Return why this boot happened, as agent.board names it."""
    # The stubs are those of the unix port, which has none of it.
    causes = {
        machine.PWRON_RESET: POWER,
        machine.HARD_RESET: SOFTWARE,
        machine.WDT_RESET: WATCHDOG,
    }
    return causes.get(machine.reset_cause(), UNKNOWN)  # type: ignore[attr-defined]  # see above


def _read(name: str) -> bytes:
    with open(_ROM + name, "rb") as file:
        return file.read()


def read_settings():
    """Return the items of device.json, or None on a board that was not provisioned."""
    try:
        settings = nor.view(_SETTINGS_OFFSET, _SETTINGS_BYTES)
        vfs.mount(vfs.VfsRom(settings), _ROM[:-1])  # type: ignore[abstract]  # so say the stubs
        return json.loads(_read("device.json"))
    except (OSError, ValueError):
        return None


def _starve(names) -> None:
    # Who is not fed any more resets; nothing else is to be done here.
    print("watchdog: no sign of life from " + ", ".join(names))


def build_board(items: dict, digest: bytes) -> Board:
    """Return the board that this machine is. digest: of the image."""
    schema = _read("schema.cbor")
    board = Board(
        NorFlash(window_sectors(items["flash_sectors"])),
        SerialLink(machine.UART(_DATA_LINE)),
        Recording(_ROM + "recording.csv", len(read_schema(schema)), items.get("recording_offset", 0)),
        lambda action, value: None,
        time.ticks_ms,
        time.ticks_diff,
        asyncio.sleep_ms,
        os.urandom,
        Aes128,
        schema,
        _read("bundle.cbor"),
    )
    board.agent_digest = digest
    board.free_heap = gc.mem_free
    board.reset_cause = reset_cause()
    board.starve = _starve
    board.feed = machine.WDT(timeout=_WATCHDOG_MS).feed  # type: ignore[attr-defined]  # see reset_cause
    return board


def run() -> None:
    """Run the agent for ever. Returns when something ended it, and then the board resets."""
    digest = hashlib.sha256(nor.image()).digest()
    print(version_line(digest))
    print("reset cause {}, {} bytes of heap free".format(reset_cause(), gc.mem_free()))
    items = read_settings()
    if items is None:
        print("not provisioned: no settings on flash")
        time.sleep_ms(_IDLE_MS)
        return
    agent = Agent(Config(items), build_board(items, digest))
    gc.collect()
    print("device {} runs, boot {}, {} bytes of heap free".format(items["device"], agent.boot, gc.mem_free()))
    asyncio.run(agent.run())
