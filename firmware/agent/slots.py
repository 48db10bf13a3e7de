"""Two slots for releases at the end of the flash window: storage only, no keys, no choice.

A slot is a sector of checked pages, then the release as it came, then its parts, each at a whole block:

    page [0, number, etag]      begun: a release of this number, whose bytes begin their SHA-256 so, is being fetched
    page [1, size]              the release is whole: so many bytes
    page [2, number, digest]    staged: release and parts were read back and passed every check; digest: of the manifest

The pages are erased first and written last, so that what they say of the other sectors is so at every cut. Behind what was
written everything is erased: after a cut the last sector that holds anything may be torn, is erased and written again, and every
sector before it is whole.

Source: SPEC.md section 12.6.
"""

import hashlib

from agent.flash import PAGE_BYTES, SECTOR_BYTES
from agent.layout import (
    HEADER_SECTORS,
    PARTS_SECTORS,
    RELEASE_SECTORS,
    RING_SECTOR,
    SLOT_SECTORS,
    SLOTS,
    slot_sector,
)
from agent.pages import PAGES_PER_SECTOR, FlashFault, decode_page, encode_page, page_offset, tail_page
from protocol._const import const
from protocol.limits import block_bytes

_LABEL = b"outstation slot v1"
_BEGUN = const(0)
_WHOLE = const(1)
_STAGED = const(2)
_BLANK_BYTE = b"\xff"

RELEASE_ROOM = RELEASE_SECTORS * SECTOR_BYTES
PARTS_ROOM = PARTS_SECTORS * SECTOR_BYTES


class Held:
    """What the pages of a slot say. number, etag: of the release; size: of a whole one, else None; digest: staged, else None."""

    __slots__ = ("digest", "etag", "number", "size")

    def __init__(self, number: int, etag: bytes):
        self.number = number
        self.etag = etag
        self.size = None
        self.digest = None


def part_places(sizes: list) -> list:
    """Return where in a slot each part begins, and where the next one would: each at a whole block."""
    places = [0]
    for size in sizes:
        places.append(places[-1] + (size + block_bytes - 1) // block_bytes * block_bytes)
    return places


class Slots:
    """Both slots of a window. Raises FlashFault when a page does not keep its bytes."""

    def __init__(self, flash):
        self._flash = flash
        self._first = [slot_sector(flash.sectors, slot) for slot in range(SLOTS)]

    def held(self, slot: int):
        """Return what the pages of a slot say, or None: nothing was begun there."""
        held = None
        for page in range(PAGES_PER_SECTOR):
            item = decode_page(_LABEL, self._flash.read(page_offset(self._first[slot], page), PAGE_BYTES))
            if item is None:
                continue
            if item[0] == _BEGUN:
                held = Held(item[1], item[2])
            elif held is not None and item[0] == _WHOLE:
                held.size = item[1]
            elif held is not None and item[0] == _STAGED and item[1] == held.number:
                held.digest = item[2]
        return held

    def begin(self, slot: int, number: int, etag: bytes) -> None:
        """Erase a slot and note which release is fetched into it."""
        self.void(slot)
        for sector in range(self._first[slot] + HEADER_SECTORS, self._first[slot] + SLOT_SECTORS):
            if not self._is_blank(sector):
                self._flash.erase(sector)
        self._note(slot, [_BEGUN, number, etag])

    def void(self, slot: int) -> None:
        """Let a slot hold nothing."""
        if not self._is_blank(self._first[slot]):
            self._flash.erase(self._first[slot])

    def note_whole(self, slot: int, size: int) -> None:
        """Note that the release lies here whole."""
        self._note(slot, [_WHOLE, size])

    def note_staged(self, slot: int, number: int, digest: bytes) -> None:
        """Note that every check has passed. digest: of the manifest."""
        self._note(slot, [_STAGED, number, digest])

    def write_release(self, slot: int, at: int, data: bytes) -> None:
        """Write the next bytes of the release at a whole block."""
        assert at + len(data) <= RELEASE_ROOM
        self._write(self._first[slot] + HEADER_SECTORS, at, data)

    def write_part(self, slot: int, at: int, data: bytes) -> None:
        """Write the next bytes of a part at a whole block."""
        assert at + len(data) <= PARTS_ROOM
        self._write(self._first[slot] + HEADER_SECTORS + RELEASE_SECTORS, at, data)

    def read_release(self, slot: int, size: int) -> bytes:
        """Return the first bytes of the release."""
        return self._flash.read((self._first[slot] + HEADER_SECTORS) * SECTOR_BYTES, size)

    def read_part(self, slot: int, at: int, size: int) -> bytes:
        """Return size bytes of the parts from place at on."""
        first = self._first[slot] + HEADER_SECTORS + RELEASE_SECTORS
        return self._flash.read(first * SECTOR_BYTES + at, size)

    def resume_release(self, slot: int) -> int:
        """Return how much of the release is whole; what may be torn is erased."""
        return self._resume(self._first[slot] + HEADER_SECTORS, RELEASE_SECTORS)

    def resume_parts(self, slot: int) -> int:
        """Return how much of the parts is whole; what may be torn is erased."""
        return self._resume(self._first[slot] + HEADER_SECTORS + RELEASE_SECTORS, PARTS_SECTORS)

    def _resume(self, first: int, sectors: int) -> int:
        for index in range(sectors - 1, -1, -1):
            if tail_page(self._flash, first + index):
                self._flash.erase(first + index)
                return index * SECTOR_BYTES
        return 0

    def _is_blank(self, sector: int) -> bool:
        return tail_page(self._flash, sector) == 0

    def _note(self, slot: int, item: list) -> None:
        data = encode_page(_LABEL, item)
        for page in range(tail_page(self._flash, self._first[slot]), PAGES_PER_SECTOR):
            offset = page_offset(self._first[slot], page)
            self._flash.program(offset, data)
            if self._flash.read(offset, PAGE_BYTES) == data:
                return
        raise FlashFault("no page of slot {} keeps its bytes".format(slot))

    def _write(self, first: int, at: int, data: bytes) -> None:
        write_pages(self._flash, first * SECTOR_BYTES + at, data)


class PartsRoom:
    """The parts of one slot, as agent.bodies wants a room."""

    size = PARTS_ROOM

    def __init__(self, slots: Slots, slot: int):
        self._slots = slots
        self._slot = slot

    def write(self, at: int, data: bytes) -> None:
        """Write the next bytes at a whole block."""
        self._slots.write_part(self._slot, at, data)

    def read(self, at: int, size: int) -> bytes:
        """Return size bytes from place at on."""
        return self._slots.read_part(self._slot, at, size)

    def resume(self) -> int:
        """Return how much is whole; what may be torn is erased."""
        return self._slots.resume_parts(self._slot)


def digest_at(room, at: int, size: int) -> bytes:
    """Return SHA-256 of what lies in a room, read block by block: a whole file may be more than a heap has in one piece."""
    digest = hashlib.sha256()
    for start in range(0, size, block_bytes):
        digest.update(room.read(at + start, min(block_bytes, size - start)))
    return digest.digest()


def write_pages(flash, offset: int, data: bytes) -> None:
    """Program data at a whole block, padded to whole pages, and read it back. Raises FlashFault."""
    assert offset % block_bytes == 0
    pages = (len(data) + PAGE_BYTES - 1) // PAGE_BYTES
    padded = data + _BLANK_BYTE * (pages * PAGE_BYTES - len(data))
    flash.program(offset, padded)
    if flash.read(offset, len(padded)) != padded:
        raise FlashFault("flash at {} does not keep its bytes".format(offset))


def has_slots(flash) -> bool:
    """Say whether the end of a window of unknown make holds slots of which at least one was ever used."""
    least = slot_sector(flash.sectors, 0) >= RING_SECTOR
    return least and any([Slots(flash).held(slot) is not None for slot in range(SLOTS)])
