"""Where the ESP32's flash holds the agent's window and its rooms: two partitions of partitions.csv.

Flash encryption must be off for these two: it writes 16 bytes at a time, once, and the agent clears bits of a page a second time.

Source: MicroPython documentation, class esp32.Partition.
"""

from block_window import BlockWindow
from esp32 import Partition

_WINDOW = "outstation"
_ROOMS = "rooms"
WINDOW_AT = "partition " + _WINDOW


def _open(label: str, sectors: int) -> BlockWindow:
    # Only its label is looked for: find() takes the subtype by its place.
    found = Partition.find(Partition.TYPE_DATA, label=label)
    if not found:
        raise ValueError("there is no partition {}: flash the partition table of this image".format(label))
    return BlockWindow(found[0], 0, sectors)


def open_window(sectors: int) -> BlockWindow:
    """Return the agent's window. Raises ValueError where it does not fit its partition."""
    return _open(_WINDOW, sectors)


def open_rooms(sectors: int) -> BlockWindow:
    """Return where agents lie that came over the link. Raises ValueError where it does not fit its partition."""
    return _open(_ROOMS, sectors)
