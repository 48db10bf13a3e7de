"""The ring: which sector holds what, and where the next record goes. Knows lanes and numbers, no keys and no priorities.

A record is the bytes of one segment on one or two whole pages, the rest left blank. A sector belongs to one lane and epoch and
holds one unbroken run of numbers. Memory holds one small entry a sector, nothing a segment.

A torn page is never programmed again: behind it at least one page is left out, so that the length a torn head still claims
never reaches into the record that comes next, and boot and reading walk the same steps. A number that was torn is
sealed again further on; so of two records with one number the later is the good one.
"""

from agent.flash import BLANK_PAGE, PAGE_BYTES, SECTOR_BYTES
from agent.pages import PAGES_PER_SECTOR
from protocol.cbor import read_head
from protocol.errors import ProtocolError
from protocol.limits import segment_bytes_max
from protocol.segment import parse_segment

_RECORD_HEAD = b"\x84\x43\xa1\x01\x05\xa0"
_TAG_BYTES = 34


class Sector:
    """Index entry. lane None: free. first .. last: the run of numbers (last < first: taken, still empty). page: next to program."""

    __slots__ = ("epoch", "first", "is_blank", "lane", "last", "page")

    def __init__(self):
        self.free(False)

    def free(self, is_blank: bool) -> None:
        """Hold nothing; is_blank: erased and ready."""
        self.lane = None
        self.epoch = self.first = self.page = 0
        self.last = -1
        self.is_blank = is_blank

    def hold(self, lane, epoch, first, last):
        """Belong to a lane and epoch, with this run of numbers."""
        self.lane = lane
        self.epoch = epoch
        self.first = first
        self.last = last


class Found:
    """What the scan knows of one sector beyond its index entry: needed at boot only."""

    __slots__ = ("before_last", "first_previous", "last", "tombstones")

    def __init__(self, segment):
        self.first_previous = segment.header.previous
        self.before_last = None
        self.last = segment
        self.tombstones = []


def pages_of(length: int) -> int:
    """Return the pages that a record of so many bytes takes."""
    return (length + PAGE_BYTES - 1) // PAGE_BYTES


def record_length(head: bytes) -> int:
    """Return the length that the head of a record claims, or 0 if it is none."""
    if head[:6] != _RECORD_HEAD:
        return 0
    try:
        major, n, end = read_head(head, 6)
    except ProtocolError:
        return 0
    length = end + n + _TAG_BYTES
    return length if major == 2 and length <= segment_bytes_max else 0


def peek(raw: bytes):
    """Return (lane, epoch, number) of a record without checking the rest, or None."""
    at = read_head(raw, 6)[2] + 12
    try:
        lane = read_head(raw, at)
        epoch = read_head(raw, lane[2])
        number = read_head(raw, epoch[2])
    except ProtocolError:
        return None
    return lane[1], epoch[1], number[1]


class Ring:
    """Sectors first_sector .. the last of flash. point(name) is called around programs, read-backs and erases."""

    def __init__(self, flash, first_sector: int, point):
        self._flash = flash
        self._first = first_sector
        self._point = point
        self._newest = 0
        # Of the sector that was read last: on which page each number of its run begins, from the first on, as far as was walked.
        # Boot reads a sector's segments downwards, the exchange upwards: neither walks it from page 0 for each.
        self._read_last = (-1, 0, [])
        self.sectors = [Sector() for _ in range(flash.sectors - first_sector)]
        self.torn_pages = 0

    def _offset(self, index: int, page: int) -> int:
        return (self._first + index) * SECTOR_BYTES + page * PAGE_BYTES

    def records(self, index: int, page: int = 0):
        """Yield (page, bytes) of every record of a sector from a page on; (page, None) for a page that is neither record nor blank."""
        while page < PAGES_PER_SECTOR:
            offset = self._offset(index, page)
            raw = self._flash.read(offset, PAGE_BYTES)
            length = record_length(raw)
            pages = pages_of(length)
            if not length or page + pages > PAGES_PER_SECTOR:
                if raw != BLANK_PAGE:
                    yield page, None
                page += 1
                continue
            if pages > 1:
                raw += self._flash.read(offset + PAGE_BYTES, (pages - 1) * PAGE_BYTES)
            yield page, raw[:length]
            page += pages

    def scan(self, is_good) -> dict:
        """Read all sectors, fill the index, return {index: Found}. is_good(segment): whether its seal, where known, fits."""
        found = {}
        for index in range(len(self.sectors)):
            entry = self._scan_sector(index, is_good)
            if entry is not None:
                found[index] = entry
        return found

    def _scan_sector(self, index: int, is_good):
        sector = self.sectors[index]
        found = None
        sector.free(True)
        for page, raw in self.records(index):
            sector.is_blank = False
            segment = _parse(raw) if raw is not None else None
            if segment is None or not is_good(segment):
                self.torn_pages += 1
                sector.page = min(PAGES_PER_SECTOR, page + 2)
                continue
            sector.page = page + pages_of(len(raw))
            found = self._add(sector, found, segment)
        self._skip_rest(index, sector)
        return found

    def _skip_rest(self, index: int, sector) -> None:
        # A head that was torn early may be blank while bytes further on are not.
        for page in range(sector.page, PAGES_PER_SECTOR):
            if self._flash.read(self._offset(index, page), PAGE_BYTES) != BLANK_PAGE:
                sector.is_blank = False
                sector.page = min(PAGES_PER_SECTOR, page + 2)

    def _add(self, sector, found, segment):
        header = segment.header
        if found is not None and (header.lane, header.epoch) == (sector.lane, sector.epoch):
            if header.number == sector.last + 1 and header.previous == found.last.digest:
                found.before_last = found.last
                found.last = segment
                sector.last = header.number
                self._note_tombstone(found, segment)
                return found
            if header.number == sector.last and header.previous == found.last.header.previous:
                # The one before was torn; only a seal that can no longer be checked let it pass.
                found.last = segment
                if sector.first == sector.last:
                    found.first_previous = header.previous
                self._note_tombstone(found, segment)
                return found
        sector.hold(header.lane, header.epoch, header.number, header.number)
        found = Found(segment)
        self._note_tombstone(found, segment)
        return found

    def _note_tombstone(self, found, segment) -> None:
        number = segment.header.number
        if found.tombstones and found.tombstones[-1][0] == number:
            found.tombstones.pop()
        if segment.tombstone is not None:
            found.tombstones.append((number, segment.tombstone))

    def free(self) -> int:
        """Return how many sectors hold nothing."""
        return sum([sector.lane is None for sector in self.sectors])

    def of(self, lane: int, epoch: int) -> list:
        """Return the indexes of a lane's sectors that hold something, lowest numbers first."""
        held = []
        for index in range(len(self.sectors)):
            sector = self.sectors[index]
            if sector.lane == lane and sector.epoch == epoch and sector.last >= sector.first:
                held.append((sector.first, index))
        held.sort()
        return [index for _, index in held]

    def lowest(self, lane: int, epoch: int):
        """Return the lowest number of a lane that is here, or None."""
        lowest = None
        for sector in self.sectors:
            if sector.lane == lane and sector.epoch == epoch and sector.last >= sector.first:
                if lowest is None or sector.first < lowest:
                    lowest = sector.first
        return lowest

    def read(self, lane: int, epoch: int, number: int):
        """Return the bytes of a segment, or None if it is not here."""
        for index in range(len(self.sectors)):
            sector = self.sectors[index]
            if sector.lane == lane and sector.epoch == epoch and sector.first <= number <= sector.last:
                return self._read_in(index, (lane, epoch, number))
        return None

    def _read_in(self, index: int, wanted: tuple):
        first = self.sectors[index].first
        pages = self._pages_of_run(index, first)
        known = min(wanted[2] - first, len(pages) - 1)
        best = None
        for page, raw in self.records(index, pages[known] if known >= 0 else 0):
            place = peek(raw) if raw is not None else None
            if place is None or place[:2] != wanted[:2]:
                continue
            if place[2] == first + len(pages):
                # The first page with a number: a record that was torn lies before the good one, and both are to be walked.
                pages.append(page)
            if place == wanted:
                best = raw
            elif best is not None and place[2] == wanted[2] + 1:
                break
        return best

    def _pages_of_run(self, index: int, first: int) -> list:
        """Return the pages of a sector's run that are known; who walks on adds to them."""
        if self._read_last[:2] != (index, first):
            self._read_last = (index, first, [])
        return self._read_last[2]

    def age(self, index: int) -> int:
        """Return how long ago, in turns of the ring, a sector was taken: the largest is the oldest."""
        return (self._newest - index) % len(self.sectors)

    def take(self, lane: int, epoch: int, number: int) -> int:
        """Give the next free sector to a lane, whose next number this is; return its index. There must be one."""
        count = len(self.sectors)
        for step in range(1, count + 1):
            index = (self._newest + step) % count
            sector = self.sectors[index]
            if sector.lane is None:
                if not sector.is_blank:
                    self.erase(index)
                sector.hold(lane, epoch, number, number - 1)
                self._newest = index
                return index
        raise AssertionError("no sector of the ring is free")

    def mark_newest(self, index: int) -> None:
        """Begin the next search for a free sector behind this one."""
        self._newest = index

    def room(self, index: int) -> int:
        """Return how many pages are left in a sector."""
        return PAGES_PER_SECTOR - self.sectors[index].page

    def program(self, index: int, raw: bytes) -> bool:
        """Program a record on the next pages and read it back; return whether it is there. Its pages are used up either way."""
        sector = self.sectors[index]
        pages = pages_of(len(raw))
        offset = self._offset(index, sector.page)
        sector.is_blank = False
        self._point("before_program")
        self._flash.program(offset, raw + b"\xff" * (pages * PAGE_BYTES - len(raw)))
        self._point("after_program")
        self._point("before_readback")
        is_there = self._flash.read(offset, len(raw)) == raw
        self._point("after_readback")
        sector.page = min(PAGES_PER_SECTOR, sector.page + (pages if is_there else 2))
        return is_there

    def erase(self, index: int) -> None:
        """Erase a sector and hold nothing in it."""
        self._read_last = (-1, 0, [])
        self._point("before_erase")
        self._flash.erase(self._first + index)
        self._point("after_erase")
        self.sectors[index].free(True)


def _parse(raw: bytes):
    try:
        return parse_segment(raw)
    except ProtocolError:
        return None
