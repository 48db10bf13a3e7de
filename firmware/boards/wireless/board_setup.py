"""Takes what a person provisions, over the console: pages of the agent's window, then settings. Frozen, and used by nobody else.

Keys travel in the program that the console runs, from RAM into the window: they never lie in a file, whose blocks would keep them
after the agent has moved on to later keys. device.json is written last; a board without it is not provisioned.
"""

import gc
import hashlib
import os

from agent.flash import PAGE_BYTES, SECTOR_BYTES

_SETTINGS = "device.json"
_FILES = (_SETTINGS, "schema.cbor", "bundle.cbor", "recording.csv")


def _blank(data: bytes) -> bool:
    return data == b"\xff" * len(data)


class Setup:
    """One provisioning. window: an agent's window of flash. folder: of the settings, ends with /. tell(text): the console."""

    def __init__(self, window, folder: str, tell):
        self._window = window
        self._folder = folder
        self._tell = tell
        self._settings = b""

    def begin(self, replace: bool) -> None:
        """Empty the window. Raises ValueError if keys of a device are there and replace is false."""
        if not replace and not self._is_new():
            raise ValueError("this board has keys already")
        for name in os.listdir(self._folder):
            if name in _FILES:
                os.remove(self._folder + name)
        for sector in range(self._window.sectors):
            self._window.erase(sector)
            self._tell("setup erased {} of {}".format(sector + 1, self._window.sectors))

    def _is_new(self) -> bool:
        # Settings may be gone and keys still there: what a cell, keys or journal would hold must be blank.
        for sector in range(5):
            if not _blank(self._window.read(sector * SECTOR_BYTES, PAGE_BYTES)):
                return False
        return _SETTINGS not in os.listdir(self._folder)

    def program(self, offset: int, page: bytes) -> None:
        """Program one page of the window."""
        self._window.program(offset, page)

    def keep(self, name: str, piece: bytes) -> None:
        """Append to one file of settings; device.json is held back until finish()."""
        assert name in _FILES
        if name == _SETTINGS:
            self._settings += piece
        else:
            with open(self._folder + name, "ab") as file:
                file.write(piece)
        self._tell("setup took {} of {}".format(len(piece), name))

    def finish(self, digest: str) -> None:
        """Compare the window with what was meant, then make the board a device. digest: SHA-256 in hex. Raises ValueError."""
        whole = hashlib.sha256()
        for sector in range(self._window.sectors):
            whole.update(self._window.read(sector * SECTOR_BYTES, SECTOR_BYTES))
            gc.collect()
        if whole.digest().hex() != digest:
            raise ValueError("the window reads back otherwise than it was written")
        with open(self._folder + _SETTINGS, "wb") as file:
            file.write(self._settings)
        self._tell("setup finished")
