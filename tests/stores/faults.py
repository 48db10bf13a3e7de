"""A disk that fails once, or until room is made: the n-th write, sync, read or truncate after it was armed."""

from tests.stores import vfs
from tests.stores.disk import SYNC, TRUNCATE, WRITE

READ = "read"

# name -> (which operation, code, part of a write that is done all the same, whether it goes on until it is mended)
KINDS = {
    "no space": (WRITE, vfs.FULL, 0.0, True),
    "short write": (WRITE, vfs.FULL, 0.5, True),
    "write error": (WRITE, vfs.IOERR_WRITE, 0.5, False),
    "sync error": (SYNC, vfs.IOERR_FSYNC, 0.0, False),
    "read error": (READ, vfs.IOERR_READ, 0.0, False),
    "truncate error": (TRUNCATE, vfs.IOERR_TRUNCATE, 0.0, False),
}


class Fault:
    """Given to a RecordingDisk. kind: of KINDS; at: which of its operations fails, from 0."""

    def __init__(self, kind, at):
        self._of, self._code, self._part, self._lasts = KINDS[kind]
        self.kind = kind
        self.at = at
        self._left = at
        self.fired = 0
        self._is_mended = False

    def __call__(self, kind, path):
        if kind != self._of or self._is_mended:
            return 0
        self._left -= 1
        if self._left >= 0:
            return 0
        self.fired += 1
        self._is_mended = not self._lasts
        return self._code, self._part

    def mend(self, _error):
        """There is room again."""
        if self.fired:
            self._is_mended = True
