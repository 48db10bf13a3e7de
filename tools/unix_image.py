"""What a device that is a process of this machine calls its image."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tools.upy import firmware_folder


def unix_image(firmware: Path | None = None) -> bytes:
    """Return what a device that is a process calls its image: SHA-256 over the agent's files, in the order of their names.

    firmware: the folder of another tree, None for the one of this installation.
    """
    digest = sha256()
    for path in _sources((firmware or firmware_folder()) / "agent"):
        digest.update(path.read_bytes())
    return digest.digest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        if path.is_dir():
            yield from _sources(path)
        elif path.suffix == ".py":
            yield path
