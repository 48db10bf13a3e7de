"""Reads the journal of a board over its console, sector by sector: the ring alone, as it is sealed. No key travels.

What comes is an image whose cell and key sectors are blank: `tools.flashimage` takes it by its chains alone, and whoever gets the file
learns no more than a gateway does.
"""

import binascii
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from protocol.diagnostic import FINDING, UNREACHABLE, Diagnostic, DiagnosticError
from tools.board.console import Console

SECTOR_BYTES = 4096
KEY_SECTORS = 4
_PROMPT_SECONDS = 5.0
# Noise on a console is rare; who finds it three times looks at the cable.
_TRIES = 3

# Settings that are mounted already cannot be mounted again: then they lie where they were mounted.
_ASK = """
import board_main, json
items = board_main.read_settings()
if items is None:
    try:
        with open("/rom/device.json") as file:
            items = json.load(file)
    except OSError:
        pass
print("journal of {} {}".format(items["device"], items["flash_sectors"]) if items else "not provisioned")
"""
_READ = """
import binascii, board_flash, hashlib
window = (getattr(board_flash, "open_window", None) or board_flash.NorFlash)({window})
held = window.read({offset}, {size})
print("sector", binascii.hexlify(hashlib.sha256(held).digest()).decode())
for at in range(0, {size} if held != b"\\xff" * {size} else 0, 512):
    print("piece", binascii.b2a_base64(held[at : at + 512]).decode().strip())
"""


class BoardJournal(NamedTuple):
    """What a board's flash window holds of its journal. image: as flash.bin, the sectors of cell and keys blank, no slots."""

    device: str
    sectors: int
    image: bytes


def read_programs(sectors: int) -> list[str]:
    """Return what is run at the prompt for each sector of a ring of so many."""
    window = KEY_SECTORS + sectors
    return [
        _READ.format(window=window, offset=(KEY_SECTORS + sector) * SECTOR_BYTES, size=SECTOR_BYTES)
        for sector in range(sectors)
    ]


def read_journal(console: Console, port: str, begin: Callable[[int], Callable[[], None]]) -> BoardJournal:
    """Return the journal of the board at a console. begin(sectors): called first; what it returns, after each sector.

    Raises DiagnosticError: no prompt, not provisioned, or a sector that never arrives whole.
    """
    said = console.ask(_ASK, _PROMPT_SECONDS)
    if said is None:
        fix = "press its reset button, hold the service pin low for two seconds after it, and run this again"
        words = f"the board at {port} shows no prompt: it runs a device, or is no MicroPython"
        raise DiagnosticError(Diagnostic("board-refused", words, fix=fix), FINDING)
    found = [line.split() for line in said if line.startswith("journal of ")]
    if not found:
        fix = "outstation device provision, or outstation device diagnose"
        words = f"the board at {port} has no journal: {' '.join(said) or 'it said nothing'}"
        raise DiagnosticError(Diagnostic("board-refused", words, fix=fix), FINDING)
    device, sectors = found[0][2], int(found[0][3])
    tell = begin(sectors)
    parts = [b"\xff" * (KEY_SECTORS * SECTOR_BYTES)]
    for number, program in enumerate(read_programs(sectors)):
        parts.append(_read_sector(console, port, program, number))
        tell()
    return BoardJournal(device, sectors, b"".join(parts))


def _read_sector(console: Console, port: str, program: str, number: int) -> bytes:
    for _ in range(_TRIES):
        held = sector_of(console.ask(program, _PROMPT_SECONDS) or [])
        if held is not None:
            return held
    fix = "see the cable, and run this again"
    words = f"sector {number} of the board at {port} did not arrive whole in {_TRIES} tries"
    raise DiagnosticError(Diagnostic("board-port", words, fix=fix), UNREACHABLE)


def sector_of(lines: list[str]) -> bytes | None:
    """Return the sector that a board's lines tell, or None where they are not what it sent."""
    digests = [line.split()[1] for line in lines if line.startswith("sector ") and len(line.split()) == 2]
    try:
        held = b"".join(
            binascii.a2b_base64(line.partition(" ")[2], strict_mode=True)
            for line in lines
            if line.startswith("piece ")
        )
    except binascii.Error:
        return None
    held = held or b"\xff" * SECTOR_BYTES
    return held if digests == [hashlib.sha256(held).hexdigest()] and len(held) == SECTOR_BYTES else None
