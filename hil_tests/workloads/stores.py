"""What an event costs the flash: our journal beside littlefs, to which one appends and flushes, on the same flash with the same events."""

import vfs
from board_flash import SECTOR_BYTES, NorFlash

from hil_tests.workloads.clock import instructions
from hil_tests.workloads.journal import SECTORS
from protocol.cbor import dumps
from protocol.event import SAMPLE
from protocol.keys import CRITICAL, ROUTINE
from tests.both.flash_site import Site

PAGE_BYTES = 256
FIRST_SECTOR = 1024


class Blocks:
    """A block device of MicroPython over our NOR flash, whose unit of programming is a whole page."""

    def __init__(self, flash):
        self._flash = flash

    def readblocks(self, block, buffer, offset=0):
        """Read into buffer."""
        buffer[:] = self._flash.read(block * SECTOR_BYTES + offset, len(buffer))

    def writeblocks(self, block, buffer, offset=0):
        """Program what was erased before."""
        self._flash.program(block * SECTOR_BYTES + offset, buffer)

    def ioctl(self, request, argument):
        """Answer as the extended interface wants it: 4 blocks, 5 bytes a block, 6 erase."""
        if request == 4:
            return self._flash.sectors
        if request == 5:
            return SECTOR_BYTES
        if request == 6:
            self._flash.erase(argument)
        return 0


def sample(number):
    """Return one event of two channels that walk."""
    return (number, number * 1000, SAMPLE, ([11000 + number * 7 % 13, 600 + number * 5 % 11], [0, 0]))


def append_to_file(file, encoded, every):
    """Append events, and flush after every so many."""
    for number in range(len(encoded)):
        file.write(encoded[number])
        if number % every == every - 1:
            file.flush()
    file.flush()


def append_to_journal(journal, lane, count, every):
    """Append the same events, and seal after every so many, or when the run is full (None)."""
    for number in range(count):
        _, tick_ms, kind, fields = sample(number)
        is_full = journal.append(lane, (journal.next_order(), tick_ms, kind, fields))
        if every is not None and number % every == every - 1:
            journal.seal(lane)
        elif is_full:
            journal.seal_full(lane)
    journal.seal(lane)


def costs(flash, event_bytes, count, work, *given):
    """Return [bytes programmed an event byte, erases an event, instructions an event]."""
    programmed, erases = flash.programmed, flash.erases
    spent = instructions(work, *given)
    return [(flash.programmed - programmed) / event_bytes, (flash.erases - erases) / count, spent // count]


def littlefs(encoded, event_bytes, every):
    """Return the costs of littlefs, which begins with an empty file."""
    flash = NorFlash(SECTORS, FIRST_SECTOR)
    blocks = Blocks(flash)
    sizes = {"readsize": 32, "progsize": PAGE_BYTES}
    vfs.VfsLfs2.mkfs(blocks, **sizes)
    store = vfs.VfsLfs2(blocks, mtime=False, **sizes)
    file = store.open("events", "ab")
    found = costs(flash, event_bytes, len(encoded), append_to_file, file, encoded, every)
    file.close()
    store.umount()
    return found


def worn_in():
    """Return a device whose ring of as many sectors has gone round once: until then they are blank and nothing is erased."""
    site = Site(ring_sectors=SECTORS, flash_class=NorFlash)
    site.boot()
    while site.flash.erases < SECTORS // 2:
        site.bulk()
    return site


def journal(site, count, lane, every):
    """Return the costs of our journal."""
    size = sum([len(dumps(list(sample(number)))) for number in range(count)])
    return costs(site.flash, size, count, append_to_journal, site.journal, lane, count, every)


def measure(count):
    """Return costs by name, and the bytes of an event. count: of events, each of which is flushed or sealed."""
    encoded = [dumps(list(sample(number))) for number in range(count)]
    size = sum([len(event) for event in encoded])
    site = worn_in()
    return {
        "event_bytes": size / count,
        "littlefs_flush_each": littlefs(encoded, size, 1),
        "littlefs_flush_every_100": littlefs(encoded, size, 100),
        # A sector holds many events of runs: fewer would not tell how often one is erased.
        "journal_seal_every_100": journal(site, 10 * count, ROUTINE, 100),
        "journal_seal_full": journal(site, 20 * count, ROUTINE, None),
        # Last: what is critical is not given up for what is routine.
        "journal_seal_each": journal(site, count, CRITICAL, 1),
    }
