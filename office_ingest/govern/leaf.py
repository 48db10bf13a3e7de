"""The number of the next leaf of a signing key, on disk, never lower than it was.

reserve() returns only when a power cut can no longer undo it: the new file is synced, put over the old one in one step, and
the folder synced too. Without the last step a file system may show the old number again (docs/decisions).
"""

import os
from pathlib import Path
from typing import Protocol

from office_ingest.govern.lms_key import KeyDamaged

_NAME = "leaf"
_NEW = "leaf.new"


class Disk(Protocol):
    """The four things that are done to a file; each may be the last before a power cut."""

    def read(self, path: Path) -> bytes:
        """Return what the file holds. Raises FileNotFoundError."""

    def write(self, path: Path, content: bytes) -> None:
        """Make or overwrite a file and sync its content."""

    def replace(self, source: Path, target: Path) -> None:
        """Put source in the place of target in one step."""

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""


class OsDisk:
    """The machine's own disk."""

    def read(self, path: Path) -> bytes:
        """Return what the file holds. Raises FileNotFoundError."""
        return path.read_bytes()

    def write(self, path: Path, content: bytes) -> None:
        """Make or overwrite a file of mode 0600 and sync its content."""
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Put source in the place of target in one step."""
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class LeafCounter:
    """The next leaf of the key whose identifier (8 bytes) is key_id, in folder."""

    def __init__(self, folder: Path, key_id: bytes, disk: Disk):
        self._folder = folder
        self._key_id = key_id
        self._disk = disk

    def next_leaf(self) -> int:
        """Return the lowest leaf that was never reserved. Raises KeyDamaged: a missing count is never taken for 0."""
        try:
            text = self._disk.read(self._folder / _NAME).decode("ascii")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise KeyDamaged(f"{self._folder / _NAME} cannot be read: {error}") from None
        words = text.split(" ")
        if (
            len(words) != 3
            or words[0] != self._key_id.hex()
            or not words[1].isdigit()
            or words[2] != "next\n"
        ):
            raise KeyDamaged(f"{self._folder / _NAME} is not the leaf count of key {self._key_id.hex()}")
        return int(words[1])

    def store(self, number: int) -> None:
        """Make number the next leaf, durably."""
        content = f"{self._key_id.hex()} {number} next\n".encode("ascii")
        self._disk.write(self._folder / _NEW, content)
        self._disk.replace(self._folder / _NEW, self._folder / _NAME)
        self._disk.sync_folder(self._folder)
