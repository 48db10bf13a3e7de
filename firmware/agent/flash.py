"""A window of raw NOR flash: erased sectors are all ones, programming only clears bits, in whole pages.

`RamFlash` and `FileFlash` differ in where the bytes lie. Both can cut the power: `cut_after(n, mode)` lets n more
programs and erases happen, does only a part of the next one, and then calls `on_cut`. What that part is:

    clean   nothing of the operation
    torn    a prefix: the first bytes are programmed, the first bytes of the sector are erased
    noise   a prefix, then bytes in which random bits were programmed or erased: cells that had not settled

Counters: `erases` (sectors), `programmed` (bytes), `operations` (programs and erases).
"""

import os

from protocol._const import const

SECTOR_BYTES = const(4096)
PAGE_BYTES = const(256)
# Bytes behind the prefix that a cut program may have touched.
_NOISE_BYTES = const(64)
BLANK_PAGE = b"\xff" * 256
MODES = ("clean", "torn", "noise")


class PowerCut(Exception):
    """The power failed. Tests catch it and boot again from the image; a real process ends instead."""


def raise_power_cut() -> None:
    """Raise PowerCut: what tests do at a cut."""
    raise PowerCut("power cut during a flash operation")


class RamFlash:
    """A window in RAM. image: bytearray of whole sectors, kept as it is; new flash is erased."""

    sector_bytes = SECTOR_BYTES
    page_bytes = PAGE_BYTES

    def __init__(self, sectors: int, image=None, on_cut=raise_power_cut):
        self.sectors = sectors
        self._open(image)
        self.erases = 0
        self.programmed = 0
        self.operations = 0
        self.is_dead = False
        self.on_cut = on_cut
        self._left = -1
        self._programs_only = False
        self._mode = "clean"
        self._seed = 1

    def _open(self, image) -> None:
        self.image = bytearray(b"\xff" * (self.sectors * SECTOR_BYTES)) if image is None else image
        assert len(self.image) == self.sectors * SECTOR_BYTES

    def _get(self, offset: int, n: int) -> bytes:
        return bytes(self.image[offset : offset + n])

    def _put(self, offset: int, data) -> None:
        self.image[offset : offset + len(data)] = data

    def cut_after(
        self, operations: int, mode: str = "clean", seed: int = 1, programs_only: bool = False
    ) -> None:
        """Cut the power in the program or erase that follows `operations` more; seed chooses the part that is done.

        programs_only: erases neither count nor are cut.
        """
        assert mode in MODES
        self._left = operations
        self._programs_only = programs_only
        self._mode = mode
        self._seed = seed * 2654435761 % 4294967296 or 1

    def read(self, offset: int, n: int) -> bytes:
        """Return n bytes. Raises ValueError outside the window."""
        self._check(offset, n, 1)
        return self._get(offset, n)

    def program(self, offset: int, data) -> None:
        """Clear bits: each byte becomes old AND new. Whole pages only. On return it is durable."""
        self._check(offset, len(data), PAGE_BYTES)
        old = self._get(offset, len(data))
        new = _and(old, data)
        if self._is_cut(True):
            self._put(offset, self._part_of_program(old, new))
            self._die()
        self._put(offset, new)
        self.operations += 1
        self.programmed += len(data)

    def erase(self, sector: int) -> None:
        """Set all bits of a sector. On return it is durable."""
        offset = sector * SECTOR_BYTES
        self._check(offset, SECTOR_BYTES, SECTOR_BYTES)
        if self._is_cut(False):
            self._put(offset, self._part_of_erase(self._get(offset, SECTOR_BYTES)))
            self._die()
        self._put(offset, b"\xff" * SECTOR_BYTES)
        self.operations += 1
        self.erases += 1

    def _check(self, offset: int, n: int, unit: int) -> None:
        if self.is_dead:
            self.on_cut()
            raise PowerCut("the flash has no power")
        if offset < 0 or n <= 0 or offset + n > self.sectors * SECTOR_BYTES or offset % unit or n % unit:
            raise ValueError(
                "flash access of {} bytes at {} is not whole units of {} within {} sectors".format(
                    n, offset, unit, self.sectors
                )
            )

    def _is_cut(self, is_program: bool) -> bool:
        if self._left < 0 or (self._programs_only and not is_program):
            return False
        self._left -= 1
        return self._left < 0

    def _die(self) -> None:
        self.is_dead = True
        self.on_cut()
        raise PowerCut("power cut during a flash operation")

    def _random(self, below: int) -> int:
        # xorshift32: both runtimes must make the same noise of one seed.
        x = self._seed
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._seed = x
        return (x >> 8) % below

    def _part_of_program(self, old: bytes, new: bytes) -> bytes:
        if self._mode == "clean":
            return old
        done = self._random(len(new) + 1)
        part = bytearray(new[:done] + old[done:])
        if self._mode == "noise":
            for i in range(done, min(len(part), done + _NOISE_BYTES)):
                part[i] &= self._random(256)
        return bytes(part)

    def _part_of_erase(self, old: bytes) -> bytes:
        if self._mode == "clean":
            return old
        done = self._random(len(old) + 1)
        part = bytearray(b"\xff" * done + old[done:])
        if self._mode == "noise":
            for i in range(done, len(part)):
                part[i] |= self._random(256)
        return bytes(part)


def _and(old: bytes, new) -> bytes:
    # One AND of two big integers: byte by byte would dominate the cost of a sample on a microcontroller.
    number = int.from_bytes(old, "big") & int.from_bytes(bytes(new), "big")
    return number.to_bytes(len(old), "big")


class Window:
    """The first sectors of a flash as a window of its own: what lies behind them cannot be reached. Cuts are the flash's."""

    def __init__(self, flash, sectors: int):
        assert 0 < sectors <= flash.sectors
        self._flash = flash
        self.sectors = sectors

    def _check(self, end: int) -> None:
        if end > self.sectors * SECTOR_BYTES:
            raise ValueError("flash access up to {} is beyond {} sectors".format(end, self.sectors))

    def read(self, offset: int, n: int) -> bytes:
        """Return n bytes. Raises ValueError outside the window."""
        self._check(offset + n)
        return self._flash.read(offset, n)

    def program(self, offset: int, data) -> None:
        """As the flash does it. Raises ValueError outside the window."""
        self._check(offset + len(data))
        self._flash.program(offset, data)

    def erase(self, sector: int) -> None:
        """As the flash does it. Raises ValueError outside the window."""
        self._check((sector + 1) * SECTOR_BYTES)
        self._flash.erase(sector)


class FileFlash(RamFlash):
    """A window in a file of at least that many sectors. What was programmed survives the death of the process.

    Raises OSError when the file cannot be opened, ValueError when it is too short.
    """

    def __init__(self, path: str, sectors: int, on_cut=raise_power_cut):
        RamFlash.__init__(self, sectors, path, on_cut)

    def _open(self, path) -> None:
        if hasattr(os, "fsync"):
            self._file = open(path, "r+b", buffering=0)
        else:
            self._file = open(path, "r+b")
        length = self._file.seek(0, 2)
        if length < self.sectors * SECTOR_BYTES:
            self._file.close()
            raise ValueError(
                "flash image {} has {} bytes, {} sectors need {}".format(
                    path, length, self.sectors, self.sectors * SECTOR_BYTES
                )
            )

    def _get(self, offset: int, n: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(n)

    def _put(self, offset: int, data) -> None:
        self._file.seek(offset)
        self._file.write(data)
        # On MicroPython's unix port flush() is fsync.
        self._file.flush()
        if hasattr(os, "fsync"):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def create_image(path: str, sectors: int) -> None:
    """Write a file of erased flash."""
    with open(path, "wb") as file:
        for _ in range(sectors):
            file.write(b"\xff" * SECTOR_BYTES)


def grow_image(path: str, sectors: int) -> None:
    """Append erased sectors to a file of flash until it has so many; one that has them stays as it is."""
    with open(path, "ab") as file:
        for _ in range(sectors - file.seek(0, 2) // SECTOR_BYTES):
            file.write(b"\xff" * SECTOR_BYTES)
