"""Where the RP2's flash holds the agent's window and its rooms: behind the file system, in what MicroPython calls its storage.

_boot.py leaves the file system its first sectors; rp2.Flash() without arguments would give it all of them.

Source: MicroPython, ports/rp2/rp2_flash.c: start and len count bytes of the storage; erasing 4096, programming whole 256 bytes.
"""

import rp2
from block_window import BlockWindow

FILES_SECTORS = 16
_ROOMS_SECTORS = 92
WINDOW_AT = "sector {} of the storage".format(FILES_SECTORS + _ROOMS_SECTORS)


def open_window(sectors: int) -> BlockWindow:
    """Return the agent's window, behind the rooms, so that it alone grows. Raises ValueError where the storage ends before it."""
    return BlockWindow(rp2.Flash(), FILES_SECTORS + _ROOMS_SECTORS, sectors)


def open_rooms(sectors: int) -> BlockWindow:
    """Return where agents lie that came over the link. Raises ValueError if they have outgrown their place."""
    if sectors > _ROOMS_SECTORS:
        raise ValueError("rooms of {} sectors would lie over the window".format(sectors))
    return BlockWindow(rp2.Flash(), FILES_SECTORS, sectors)
