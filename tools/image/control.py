"""The control page of an emulated board: the last 4 KiB of its flash file, which are no flash but a panel for the harness.

It orders power cuts, counts what was done to the flash, and holds the seed of the board's random bytes. Written and read while
the board runs. Source: firmware/boards/mps2_an385/board/board.h, control_page_t.
"""

import mmap
import struct
from pathlib import Path
from typing import NamedTuple, Self

from tools.image.flashfile import CONTROL_OFFSET, FLASH_FILE_BYTES

MODES = ("clean", "torn", "noise")
ACTIONS = ("exit", "reset", "hang", "wait")
CUT_STATUS = 0x77

# More operations than there will ever be.
NO_CUT = 0xFFFFFFFF

_PROGRAMS_ONLY = 0x100
# cut_left last: it is the word that arms.
_CUT = struct.Struct("<4I")
_CUT_OFFSET = 8
_COUNTS = struct.Struct("<6I")
_COUNTS_OFFSET = 24
_HEAP_OFFSET = 80
_HEAP_FAILURES_OFFSET = 84
_CUT_PLACE_OFFSET = 88
_IS_HELD_OFFSET = 92


class Counts(NamedTuple):
    """What was done to a flash since its file was made. programmed: bytes. violations: programs that asked for a one over a zero."""

    programs: int
    erases: int
    programmed: int
    violations: int
    boots: int
    cuts: int


class Control:
    """The control page of one flash file. Use with `with`."""

    def __init__(self, path: Path):
        self._file = path.open("r+b")
        self._page = mmap.mmap(self._file.fileno(), FLASH_FILE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._page.close()
        self._file.close()

    def cut_after(
        self,
        operations: int,
        mode: str = "clean",
        seed: int = 1,
        programs_only: bool = False,
        action: str = "exit",
    ) -> None:
        """Cut the power in the program or erase after so many more, exactly as agent.flash.RamFlash.cut_after does.

        action: QEMU ends with status CUT_STATUS, or the board resets, or it hangs, or it waits for power_on().
        """
        words = (
            MODES.index(mode) | _PROGRAMS_ONLY * programs_only,
            ACTIONS.index(action),
            seed * 2654435761 % 4294967296 or 1,
        )
        at = CONTROL_OFFSET + _CUT_OFFSET
        self._page[at + 4 : at + _CUT.size] = struct.pack("<3I", *words)
        self._page[at : at + 4] = struct.pack("<I", operations)

    def limit_heap(self, heap_bytes: int) -> None:
        """Let a development image, from its next start, take so little for its heap: what a production image has."""
        struct.pack_into("<I", self._page, CONTROL_OFFSET + _HEAP_OFFSET, heap_bytes)

    def cut_left(self) -> int | None:
        """Return how many operations are left before the cut; None where none is ordered."""
        left: int = struct.unpack_from("<I", self._page, CONTROL_OFFSET + _CUT_OFFSET)[0]
        return None if left == NO_CUT else left

    def cut_place(self) -> tuple[str, int]:
        """Return what the last cut interrupted: "program" or "erase", and where in the flash."""
        word: int = struct.unpack_from("<I", self._page, CONTROL_OFFSET + _CUT_PLACE_OFFSET)[0]
        return ("erase" if word & 1 else "program"), word & ~1

    def counts(self) -> Counts:
        """Return what was done so far."""
        return Counts(*_COUNTS.unpack_from(self._page, CONTROL_OFFSET + _COUNTS_OFFSET))

    def power_on(self) -> None:
        """Let a board that waits after a cut start anew."""
        struct.pack_into("<I", self._page, CONTROL_OFFSET + _IS_HELD_OFFSET, 0)

    def heap_failures(self) -> int:
        """Return how often the heap had no room for what was asked, whoever caught it."""
        failures: int = struct.unpack_from("<I", self._page, CONTROL_OFFSET + _HEAP_FAILURES_OFFSET)[0]
        return failures

    def read(self, offset: int, n: int) -> bytes:
        """Return bytes of the flash as it is now."""
        return self._page[offset : offset + n]

    def write(self, offset: int, data: bytes) -> None:
        """Change the flash under the board's hands, as decay or an intruder would."""
        self._page[offset : offset + len(data)] = data
