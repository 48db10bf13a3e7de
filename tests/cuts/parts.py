"""The parts of the storage that are swept, and which share of all cuts each gets: as many as its checks are cheap."""

from tests.cuts.cell_part import CellPart
from tests.cuts.journal_part import JournalPart
from tests.cuts.keys_part import KeysPart
from tests.cuts.slots_part import SlotsPart

PARTS = {part.name: part for part in (JournalPart(), CellPart(), KeysPart(), SlotsPart())}
# In hundredths. The journal has the most to lose and costs the most for each cut.
SHARES = {"journal": 22, "cell": 30, "keys": 30, "slots": 18}


def share(name, cuts):
    """Return how many of so many cuts a part gets."""
    return -(-cuts * SHARES[name] // 100)
