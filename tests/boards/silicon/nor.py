"""The flash chip under both fakes: a NOR of whole sectors, in memory or, where FLASH names a file, in it.

It is not the agent's own model of flash but another one, so that a mistake of that is not repeated here: bit by bit, byte by byte.
cut_left: power fails in the operation after so many more; what of it was done, the caller of cut() says.
"""

import os

BLOCK = 4096


class PowerFailed(Exception):
    """The supply went while the chip worked."""


class Chip:
    """size: bytes. path: a file that holds them, None for memory alone."""

    def __init__(self, size, path=None):
        self.path = path
        self.cells = bytearray(b"\xff" * size)
        self.log = []
        self.cut_left = None
        self._is_kept = False
        if path:
            try:
                with open(path, "rb") as file:
                    file.readinto(self.cells)
                self._is_kept = True
            except OSError:
                pass

    def erase(self, at, n):
        """Erase n bytes: whole blocks."""
        assert at % BLOCK == 0 and n % BLOCK == 0 and 0 <= at and at + n <= len(self.cells)
        self.log.append(("erase", at, n))
        done = self._done(n)
        for i in range(at, at + done):
            self.cells[i] = 0xFF
        self._end(at, n, done)

    def program(self, at, data):
        """Clear bits."""
        assert 0 <= at and at + len(data) <= len(self.cells)
        self.log.append(("program", at, len(data)))
        done = self._done(len(data))
        for i in range(done):
            self.cells[at + i] &= data[i]
        self._end(at, len(data), done)

    def _done(self, n):
        if self.cut_left is None or self.cut_left > 0:
            return n
        return n // 2

    def _end(self, at, n, done):
        if self.path:
            with open(self.path, "r+b" if self._is_kept else "wb") as file:
                if self._is_kept:
                    file.seek(at)
                    file.write(self.cells[at : at + n])
                else:
                    file.write(self.cells)
            self._is_kept = True
        if self.cut_left is not None:
            self.cut_left -= 1
        if done < n:
            raise PowerFailed


def path():
    """Return the file that the environment names, or None."""
    return os.getenv("FLASH") if hasattr(os, "getenv") else None
