"""Recovery of a journal whose ring is full and has gone round: what each boot of a device in use costs beyond imports."""

from hil_tests.workloads.clock import cost, priced
from hil_tests.workloads.stores import worn_in
from protocol.keys import CRITICAL
from tests.both.flash_site import CLASSES, DEVICE, Cell, Journal, Keystore, ctr

# Critical segments since the newest checkpoint: two thirds of what makes a new one due.
DECISIONS = 40


def in_use():
    """Return a device whose 16 sectors are taken, both lanes, and the segments that wait to be replayed."""
    site = worn_in()
    for number in range(2 * DECISIONS):
        site.decide(number)
    site.checkpoint()
    for number in range(DECISIONS):
        site.decide(number)
    return site


def recover(flash, replayed):
    """Open the journal as boot does, and replay it."""
    cell = Cell(flash, 0)
    cell.load()
    keystore = Keystore(flash, 2)
    keystore.open()
    journal = Journal(flash, cell, keystore, DEVICE, CLASSES, ctr)
    journal.open()
    for _number, _boot, event in journal.replay_critical():
        replayed.append(event[2])


def measure():
    """Return instructions and bytes of heap by name, and how much there was to do."""
    site = in_use()
    replayed = []
    found = priced("boot_over_full_ring", cost(recover, site.flash, replayed))
    taken = sum([sector.lane is not None for sector in site.journal.ring.sectors])
    critical = site.journal.lanes[CRITICAL].next_number - site.journal.kept_from(CRITICAL)
    found["ring_sectors_taken"] = taken
    found["ring_critical_segments"] = critical
    found["ring_events_replayed"] = len(replayed)
    return found
