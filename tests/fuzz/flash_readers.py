"""What a device reads from its flash at boot, fed with damaged flash: cell, key sector, ring, slots. Runs on both runtimes.

A frame is a whole window in which a few pages were damaged: bits flipped, bytes set, pages blanked, zeroed or swapped. Damage that no
power cut makes: what is asked here is only that a boot ends, in a value or in a fault that it documents.
"""

from agent.cell import Cell
from agent.flash import PAGE_BYTES, RamFlash
from agent.incumbent import choose_at_boot
from agent.journal import Journal, NoRoom
from agent.keystore import KeyFault, Keystore
from agent.layout import SLOTS_SECTORS
from agent.ring import Ring, peek, record_length
from agent.slots import Slots
from protocol.keys import CRITICAL, LANES, ROUTINE
from tests.both.flash_site import CLASSES, DEVICE, Site, ctr
from tests.fuzz.frames import Entry

_SECTOR = 4096
_TURNS_AFTER = 30


def _lived():
    """Return the flash of a device with both lanes, a tombstone and key steps behind it."""
    site = Site(ring_sectors=6)
    site.boot()
    for turn in range(60):
        site.decide(turn)
        site.sample(turn)
        if turn == 9:
            site.switch()
        if turn % 3 == 0 and turn < 40:
            site.seal(ROUTINE)
    return bytes(site.flash.image)


def damage(dice, golden):
    """Return a window with one to six places damaged: a bit, some bytes, a part of a page blank, a page of zeros or of another."""
    image = bytearray(golden[dice.below(len(golden))])
    pages = len(image) // PAGE_BYTES
    for _ in range(1 + dice.below(6)):
        at = dice.below(pages) * PAGE_BYTES
        kind = dice.below(5)
        if kind == 0:
            place = at + dice.below(PAGE_BYTES)
            image[place] ^= 1 << dice.below(8)
        elif kind == 1:
            place = at + dice.below(PAGE_BYTES - 8)
            image[place : place + 4] = bytes([dice.below(256) for _ in range(4)])
        elif kind == 2:
            size = 1 + dice.below(PAGE_BYTES)
            image[at : at + size] = b"\xff" * size
        elif kind == 3:
            image[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)
        else:
            other = dice.below(pages) * PAGE_BYTES
            image[at : at + PAGE_BYTES] = image[other : other + PAGE_BYTES]
    return image


def _flash(image):
    return RamFlash(len(image) // _SECTOR, image)


def _cell(image):
    Cell(_flash(image)).load()


def _keys(image):
    Keystore(_flash(image), 0).open()


def _ring(image):
    ring = Ring(_flash(image), 4, lambda name: None)
    ring.scan(lambda segment: True)
    for index in range(len(ring.sectors)):
        for _page, raw in ring.records(index):
            if raw is not None:
                record_length(raw)
                peek(raw)


def _boot(image):
    """A boot: everything that reads the journal's window; then more than a sector of segments, so that damaged ones are pruned."""
    flash = _flash(image)
    cell = Cell(flash, 0)
    cell.load()
    cell.store(boot=cell.boot + 1)
    keystore = Keystore(flash, 2)
    keystore.open()
    journal = Journal(flash, cell, keystore, DEVICE, CLASSES, ctr)
    reason = journal.open()
    for _ in journal.replay_critical():
        pass
    if reason is not None:
        journal.start_epoch(reason, 0)
    for turn in range(_TURNS_AFTER):
        lane = ROUTINE if turn % 5 == 4 else CRITICAL
        journal.append(lane, (journal.next_order(), turn, 99, (b"after",)))
        try:
            journal.seal(lane)
        except NoRoom:
            journal.lanes[ROUTINE].run.drop_first(journal.open_events(ROUTINE))
    for lane in LANES:
        for number in range(journal.kept_from(lane), journal.lanes[lane].next_number):
            journal.read(lane, number)


def _slots(image):
    flash = _flash(image)
    cell = Cell(flash, 0)
    cell.load()
    choose_at_boot(cell, Slots(flash), 0, lambda body: body or b"provisioned")


def _with_slots():
    """Return a window of a cell and slots, in which a release is staged as far as pages say."""
    flash = RamFlash(2 + SLOTS_SECTORS)
    cell = Cell(flash, 0)
    slots = Slots(flash)
    for slot in range(2):
        slots.begin(slot, 7 + slot, bytes(8))
        slots.write_release(slot, 0, bytes(range(200)))
        slots.note_whole(slot, 200)
        slots.note_staged(slot, 7 + slot, bytes(32))
    cell.store(boot=1, release=[0, 1, 1, 8])
    return bytes(flash.image)


_WINDOW = _lived()
# ProtocolError: a body that does not open under a key that is gone still ends a boot (test_device.py says so).
_BOOT_FAULTS = (KeyFault,)

FLASH_ENTRIES = [
    Entry("flash_cell", _cell, [_WINDOW[: 2 * _SECTOR]], ("agent.cell.Cell.load",), 40, (), damage),
    Entry(
        "flash_keys",
        _keys,
        [_WINDOW[2 * _SECTOR : 4 * _SECTOR]],
        ("agent.keystore.Keystore.open",),
        40,
        (KeyFault,),
        damage,
    ),
    Entry(
        "flash_ring",
        _ring,
        [_WINDOW],
        ("agent.ring.Ring.scan", "agent.ring.peek", "agent.ring.record_length"),
        2,
        (),
        damage,
    ),
    Entry(
        "flash_boot",
        _boot,
        [_WINDOW],
        ("agent.recovery.recover", "agent.recovery.open_events"),
        2,
        _BOOT_FAULTS,
        damage,
    ),
    Entry(
        "flash_slots",
        _slots,
        [_with_slots()],
        ("agent.incumbent.read_slot", "agent.slots.Slots.held"),
        2,
        (),
        damage,
    ),
]
