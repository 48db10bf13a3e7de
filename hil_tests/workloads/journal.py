"""Append and seal: a whole run of samples into the routine lane, a decision into the critical one."""

from board_flash import NorFlash

from hil_tests.workloads.clock import cost, priced
from protocol.event import DECISION, SAMPLE
from protocol.keys import CRITICAL, ROUTINE
from tests.both.flash_site import Site

SECTORS = 16


def fill(site, counts):
    """Append samples of two channels that walk, until the run is full; add how many to counts."""
    journal = site.journal
    count = 0
    is_full = False
    while not is_full:
        count += 1
        site.tick += 1000
        values = [11000 + count * 7 % 13, 600 + count * 5 % 11]
        is_full = journal.append(ROUTINE, (journal.next_order(), site.tick, SAMPLE, (values, [0, 0])))
    counts.append(count)


def decide(site):
    """Append one decision to the critical lane."""
    acts = [[1, 0, 0, None]]
    fields = (
        1,
        1,
        2,
        bytes(32),
        site.tick,
        [8200, 600],
        [0, 0],
        3,
        0,
        [1, -1, 0, 0, 0],
        [0, -1, 0, 9, 9],
        acts,
    )
    site.journal.append(CRITICAL, (site.journal.next_order(), site.tick, DECISION, fields))


def measure():
    """Return instructions and bytes of heap by name."""
    site = Site(ring_sectors=SECTORS, flash_class=NorFlash)
    site.boot()
    counts = []
    # The first of each also derives keys.
    fill(site, counts)
    site.journal.seal_full(ROUTINE)
    appended = cost(fill, site, counts)
    sealed = cost(site.journal.seal_full, ROUTINE)
    decide(site)
    found = {"samples_a_seal": counts[-1]}
    found.update(priced("append", appended, counts[-1]))
    found.update(priced("seal", sealed))
    found.update(priced("seal_decision", cost(site.journal.seal, CRITICAL)))
    return found
