"""The files of an agent in their room, as MicroPython's import reads files: a file system that cannot be written.

A file lies as it travelled, deflated, and is inflated as it is read.

Source: SPEC.md section 12.7; MicroPython's documentation of `vfs`: methods of a user-defined file system.
"""

import io

import deflate

_FILE_MODE = 0x8000
_FOLDER_MODE = 0x4000
_NO_SUCH_FILE = 2
_READ_ONLY = 30
# As the index says: a window of 1,024 bytes.
_WINDOW_BITS = 10


class FileView:
    """room: where they lie; files: [(path, digest, place, size) ...], whole."""

    def __init__(self, room, files: list):
        self._room = room
        self._files = {path: (place, size) for path, _digest, place, size in files}
        self._folders = {""}
        for path in self._files:
            words = path.split("/")[:-1]
            for count in range(1, len(words) + 1):
                self._folders.add("/".join(words[:count]))

    def mount(self, readonly, mkfs) -> None:
        """Nothing is to be done when it is mounted."""

    def umount(self) -> None:
        """Nothing is to be done when it is taken away."""

    def stat(self, path: str) -> tuple:
        """Return what `os.stat` says of a path. Raises OSError."""
        path = path.strip("/")
        if path in self._files:
            return (_FILE_MODE, 0, 0, 0, 0, 0, self._files[path][1], 0, 0, 0)
        if path in self._folders:
            return (_FOLDER_MODE, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(_NO_SUCH_FILE)

    def open(self, path: str, mode: str):
        """Return a stream of a file's bytes, inflated. Raises OSError."""
        if mode not in ("r", "rb"):
            raise OSError(_READ_ONLY)
        if path.strip("/") not in self._files:
            raise OSError(_NO_SUCH_FILE)
        place, size = self._files[path.strip("/")]
        return deflate.DeflateIO(io.BytesIO(self._room.read(place, size)), deflate.RAW, _WINDOW_BITS)
