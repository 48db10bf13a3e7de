"""Which sectors of the flash window hold what: the power-safe cell, the keys, the journal's ring, the two slots at its end.

`flash_sectors` of a device counts the ring alone. A window from before there were slots ends with the ring; it is grown by
erased sectors, which are two empty slots.
"""

CELL_SECTOR = 0
KEY_SECTOR = 2
RING_SECTOR = 4

# One slot: a sector of checked pages that say what it holds, the release as it came (11,520 bytes at most), its parts.
SLOTS = 2
HEADER_SECTORS = 1
RELEASE_SECTORS = 3
PARTS_SECTORS = 12
SLOT_SECTORS = HEADER_SECTORS + RELEASE_SECTORS + PARTS_SECTORS
SLOTS_SECTORS = SLOTS * SLOT_SECTORS


def window_sectors(ring_sectors: int) -> int:
    """Return how many sectors a window with a ring of so many has."""
    return RING_SECTOR + ring_sectors + SLOTS_SECTORS


def slot_sector(sectors: int, slot: int) -> int:
    """Return the first sector of slot 0 or 1 in a window of so many sectors."""
    return sectors - SLOTS_SECTORS + slot * SLOT_SECTORS
