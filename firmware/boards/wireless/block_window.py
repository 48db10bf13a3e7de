"""A part of a board's flash as the agent wants it, over MicroPython's block device protocol with its offsets.

esp32.Partition and rp2.Flash both speak it: blocks of 4096 bytes, readblocks(block, buffer, offset), writeblocks(block, buffer, offset),
which never erases, and ioctl(6, block), which erases one. Without the offset writeblocks() would erase first, so it is always given.

Source: MicroPython documentation, class vfs.AbstractBlockDev, "Block devices, simple and extended interface".
"""

from agent.flash import PAGE_BYTES, SECTOR_BYTES
from protocol._const import const

_COUNT = const(4)
_SIZE = const(5)
_ERASE = const(6)


class BlockWindow:
    """sectors of a block device from sector first on. Raises ValueError where they are not there.

    erases, programmed: since the boot, as of any flash.
    """

    sector_bytes = SECTOR_BYTES
    page_bytes = PAGE_BYTES

    def __init__(self, device, first: int, sectors: int):
        if device.ioctl(_SIZE, 0) != SECTOR_BYTES or first + sectors > device.ioctl(_COUNT, 0):
            raise ValueError(
                "the flash has {} blocks of {} bytes, a window of {} from {} on does not fit".format(
                    device.ioctl(_COUNT, 0), device.ioctl(_SIZE, 0), sectors, first
                )
            )
        self._device = device
        self._first = first
        self.sectors = sectors
        self.erases = 0
        self.programmed = 0

    def _check(self, offset: int, n: int, unit: int) -> None:
        if offset < 0 or n <= 0 or offset + n > self.sectors * SECTOR_BYTES or offset % unit or n % unit:
            raise ValueError(
                "flash access of {} bytes at {} is not whole units of {} within {} sectors".format(
                    n, offset, unit, self.sectors
                )
            )

    def read(self, offset: int, n: int) -> bytes:
        """Return n bytes. Raises ValueError outside the window."""
        self._check(offset, n, 1)
        data = bytearray(n)
        self._device.readblocks(self._first + offset // SECTOR_BYTES, data, offset % SECTOR_BYTES)
        return bytes(data)

    def program(self, offset: int, data) -> None:
        """Clear bits, page by page: whole pages only. On return it is durable. Raises ValueError outside the window."""
        self._check(offset, len(data), PAGE_BYTES)
        for at in range(0, len(data), PAGE_BYTES):
            place = offset + at
            # A copy in RAM: while the RP2 programs its flash nothing can be read from it, and frozen bytes lie there.
            page = bytearray(data[at : at + PAGE_BYTES])
            self._device.writeblocks(self._first + place // SECTOR_BYTES, page, place % SECTOR_BYTES)
            self.programmed += PAGE_BYTES

    def erase(self, sector: int) -> None:
        """Set all bits of a sector. On return it is durable. Raises ValueError outside the window."""
        self._check(sector * SECTOR_BYTES, SECTOR_BYTES, SECTOR_BYTES)
        if self._device.ioctl(_ERASE, self._first + sector):
            raise OSError("sector {} cannot be erased".format(sector))
        self.erases += 1
