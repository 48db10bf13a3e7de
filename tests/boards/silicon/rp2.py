"""rp2.Flash, written from MicroPython's documentation (class rp2.Flash, vfs.AbstractBlockDev) and its source. No silicon was asked.

What the SDK does not forgive, this does not either: programming anything but whole pages of 256 bytes, or from bytes that lie in the
flash itself, as frozen constants do: while it is programmed nothing can be read from it.
"""

import nor

STORAGE_BLOCKS = 640
CHIPS = []


class Flash:
    def __init__(self, start=-1, len=-1):  # noqa: A002 -- so is it called
        if not CHIPS:
            path = nor.path()
            CHIPS.append(nor.Chip(STORAGE_BLOCKS * nor.BLOCK, path))
        self.chip = CHIPS[0]
        self._at = 0 if start == -1 else start
        self._size = STORAGE_BLOCKS * nor.BLOCK - self._at if len == -1 else len
        if (
            self._at % nor.BLOCK
            or self._size % nor.BLOCK
            or self._at + self._size > STORAGE_BLOCKS * nor.BLOCK
        ):
            raise ValueError

    def readblocks(self, block, buffer, offset=0):
        # memcpy: no look at the ends.
        at = self._at + block * nor.BLOCK + offset
        buffer[:] = self.chip.cells[at : at + len(buffer)]

    def writeblocks(self, block, data, offset=None):
        at = self._at + block * nor.BLOCK + (offset or 0)
        if offset is None:
            self.chip.erase(at, len(data))
        if at % 256 or len(data) % 256:
            raise AssertionError("flash_range_program takes whole pages")
        if not isinstance(data, bytearray):
            raise AssertionError("these bytes may lie in the flash that is being programmed")
        self.chip.program(at, data)

    def ioctl(self, op, arg=0):
        if op == 4:
            return self._size // nor.BLOCK
        if op == 5:
            return nor.BLOCK
        if op == 6:
            self.chip.erase(self._at + arg * nor.BLOCK, nor.BLOCK)
            return 0
        return 0 if op < 4 else None
