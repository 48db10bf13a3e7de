"""Events as lines of JSON in files of littlefs: the usual way to keep readings on a device. The oldest file goes first.

The medium under littlefs is as cheap as Python can make it: slices of one buffer, or of a file that is synced with each
program. Nothing is spent on an erase but its count, since littlefs never reads what it erased.
"""

import json
import os

try:
    import vfs
except ImportError:  # a host reads the lines, it does not write them
    vfs = None

_BLOCK_BYTES = 4096
# The page of a NOR flash: larger and smaller ones were slower.
_PAGE_BYTES = 256
_FILE_BYTES_MAX = 16384
_FILES_KEPT = 8
_FOLDER = "/log"
_COUNT, _SIZE, _ERASE = 4, 5, 6


class RamBlocks:
    """A block device in memory. programmed: bytes; erases: blocks."""

    def __init__(self, blocks: int):
        self._bytes = memoryview(bytearray(blocks * _BLOCK_BYTES))
        self._blocks = blocks
        self.programmed = 0
        self.erases = 0

    def readblocks(self, block: int, into, offset: int = 0) -> None:
        """Fill a buffer from a place."""
        at = block * _BLOCK_BYTES + offset
        into[:] = self._bytes[at : at + len(into)]

    def writeblocks(self, block: int, data, offset: int = 0) -> None:
        """Program some pages."""
        at = block * _BLOCK_BYTES + offset
        self._bytes[at : at + len(data)] = data
        self.programmed += len(data)

    def ioctl(self, operation: int, _argument: int):
        """Answer littlefs."""
        if operation == _COUNT:
            return self._blocks
        if operation == _SIZE:
            return _BLOCK_BYTES
        self.erases += operation == _ERASE
        return 0


class FileBlocks(RamBlocks):
    """A block device in a new file of so many blocks, every program synced."""

    def __init__(self, path: str, blocks: int):
        RamBlocks.__init__(self, 0)
        self._blocks = blocks
        with open(path, "wb") as file:
            file.write(bytearray(blocks * _BLOCK_BYTES))
        self._file = open(path, "r+b")

    def readblocks(self, block: int, into, offset: int = 0) -> None:
        """Fill a buffer from a place."""
        self._file.seek(block * _BLOCK_BYTES + offset)
        self._file.readinto(into)

    def writeblocks(self, block: int, data, offset: int = 0) -> None:
        """Program some pages; on return they are on disk."""
        self._file.seek(block * _BLOCK_BYTES + offset)
        self._file.write(data)
        # On MicroPython's unix port flush() is fsync.
        self._file.flush()
        self.programmed += len(data)


class EventFiles:
    """Files under littlefs on a block device, formatted anew."""

    def __init__(self, blocks):
        vfs.VfsLfs2.mkfs(blocks, progsize=_PAGE_BYTES, readsize=_PAGE_BYTES)
        vfs.mount(vfs.VfsLfs2(blocks, progsize=_PAGE_BYTES, readsize=_PAGE_BYTES), _FOLDER)
        self._first = self._next = 0
        self.written = 0
        self._removed = 0
        # Lines of each file that is kept.
        self._lines = []
        self._open()

    def _path(self, number: int) -> str:
        return "{}/{}".format(_FOLDER, number)

    def _open(self) -> None:
        if self._next - self._first >= _FILES_KEPT:
            os.remove(self._path(self._first))
            self._first += 1
            self._removed += self._lines.pop(0)
        self._file = open(self._path(self._next), "wb")
        self._next += 1
        self._lines.append(0)
        self._bytes = 0

    def write(self, event: list) -> None:
        """Append one event."""
        line = json.dumps(event) + "\n"
        if self._bytes + len(line) > _FILE_BYTES_MAX:
            self._file.close()
            self._open()
        self._file.write(line)  # type: ignore[arg-type]  # MicroPython's files take text, too
        self._bytes += len(line)
        self._lines[-1] += 1
        self.written += 1

    def flush(self) -> None:
        """Make durable what was written."""
        self._file.flush()

    def stored(self) -> int:
        """Return how many lines lie in the files that are kept, with those of the files that had to go."""
        self._file.flush()
        found = 0
        for number in range(self._first, self._next):
            with open(self._path(number)) as file:
                for _ in file:
                    found += 1
        return self._removed + found

    def read(self) -> list:
        """Return the events of all files that are kept, oldest first."""
        self._file.flush()
        events = []
        for number in range(self._first, self._next):
            with open(self._path(number)) as file:
                events += [json.loads(line) for line in file]
        return events
