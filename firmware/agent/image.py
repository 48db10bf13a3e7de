"""A file that is the flash of a device on a desk: whether it is the one that `flash_sectors` says, and its two slots.

The slots lie at the end of the window, so that another number of sectors would move them into the journal, or the journal over
them: an image of another size is refused, never made to fit.
"""

from agent.flash import SECTOR_BYTES, RamFlash, grow_image
from agent.layout import RING_SECTOR, SLOTS_SECTORS, window_sectors
from agent.slots import has_slots


def image_fault(path: str, ring_sectors: int):
    """Return what is wrong with a file as the flash of a device with so many flash_sectors, or None. Raises OSError."""
    with open(path, "rb") as file:
        length = file.seek(0, 2)
        tail = b""
        if length >= (RING_SECTOR + SLOTS_SECTORS) * SECTOR_BYTES:
            file.seek(length - (RING_SECTOR + SLOTS_SECTORS) * SECTOR_BYTES)
            tail = file.read()
    if length % SECTOR_BYTES:
        return "the flash image {} has {} bytes, not whole sectors of {}".format(path, length, SECTOR_BYTES)
    return _misfit(path, ring_sectors, length // SECTOR_BYTES, _is_used(tail))


def _is_used(tail: bytes) -> bool:
    return len(tail) > 0 and has_slots(RamFlash(len(tail) // SECTOR_BYTES, bytearray(tail)))


def _misfit(path: str, ring_sectors: int, sectors: int, is_used: bool):
    least, most = RING_SECTOR + ring_sectors, window_sectors(ring_sectors)
    if sectors == most or (least <= sectors < most and not is_used):
        # Fewer: an image from before there were slots, or one that was just growing by them.
        return None
    text = "flash_sectors = {} needs {} sectors of {} bytes (or {}, without slots); the flash image {} has {}"
    text = text.format(ring_sectors, most, SECTOR_BYTES, least, path, sectors)
    if is_used or sectors > most:
        text += ", as flash_sectors = {} made it".format(sectors - RING_SECTOR - SLOTS_SECTORS)
    return text


def fit_image(path: str, ring_sectors: int) -> int:
    """Return the sectors of the window; an image from before there were slots gets two empty ones.

    Raises ValueError if the file is not the flash of a device with so many flash_sectors, OSError if it cannot be read.
    """
    fault = image_fault(path, ring_sectors)
    if fault is not None:
        raise ValueError(fault)
    sectors = window_sectors(ring_sectors)
    grow_image(path, sectors)
    return sectors
