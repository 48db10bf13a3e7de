"""Windows of the emulated board's raw flash. Nothing of the agent is imported here: the image needs it before one is chosen.

Memory map: tools/image/flashfile.py.
"""

import nor  # type: ignore[import-not-found]  # this board's own, board/nor.c

SECTOR_BYTES = 4096
SETTINGS_OFFSET = 8 << 20
SETTINGS_BYTES = 4 << 20
ROOMS_SECTOR = (12 << 20) // SECTOR_BYTES


class NorFlash:
    """Some sectors of the flash, as the agent wants them. erases, programmed: since the boot, as of any flash."""

    def __init__(self, sectors: int, first: int = 0):
        self.sectors = sectors
        self.erases = 0
        self.programmed = 0
        self._first = first

    def _at(self, offset: int, n: int) -> int:
        if offset < 0 or offset + n > self.sectors * SECTOR_BYTES:
            raise ValueError(
                "flash access of {} bytes at {} is outside {} sectors".format(n, offset, self.sectors)
            )
        return self._first * SECTOR_BYTES + offset

    def read(self, offset: int, n: int) -> bytes:
        """Return n bytes. Raises ValueError outside the window."""
        return nor.read(self._at(offset, n), n)

    def program(self, offset: int, data) -> None:
        """Clear bits: whole pages only. Raises ValueError outside the window."""
        nor.program(self._at(offset, len(data)), data)
        self.programmed += len(data)

    def erase(self, sector: int) -> None:
        """Set all bits of a sector. Raises ValueError outside the window."""
        nor.erase(self._at(sector * SECTOR_BYTES, SECTOR_BYTES) // SECTOR_BYTES)
        self.erases += 1


def settings():
    """Return the place of the settings, to be read where it lies."""
    return nor.view(SETTINGS_OFFSET, SETTINGS_BYTES)


def image():
    """Return the bytes of the program."""
    return nor.image()
