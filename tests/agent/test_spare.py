"""What the steward is told of room on flash is what pruning makes of it: one is written out of the other, for speed."""

import random
from types import SimpleNamespace

from agent import prune
from protocol.keys import LANES


def _journal(dice):
    """Return what prune looks at, in any state: lanes with their receipts and custody, sectors of two epochs, some free."""
    lanes = [SimpleNamespace(receipt=dice.randrange(-1, 6), custody=dice.randrange(7)) for _ in LANES]
    sectors = [
        SimpleNamespace(
            lane=dice.choice((None, *LANES)), epoch=dice.randrange(2), first=0, last=dice.randrange(7)
        )
        for _ in range(8)
    ]
    old = {(lane, 0): dice.randrange(-1, 6) for lane in LANES if dice.random() < 0.5}
    return SimpleNamespace(epoch=1, lanes=lanes, old_receipts=old, ring=SimpleNamespace(sectors=sectors))


def test_room_is_what_may_go_before_something_is_lost():
    """In thousands of states: each sector that pruning would take only with a loss counts as held, and no other."""
    dice = random.Random(3)
    for _ in range(3000):
        journal = _journal(dice)
        sectors = journal.ring.sectors
        held = [one for one in sectors if one.lane is not None and prune._rank(journal, one) > 1]
        most = len(sectors) - 1
        assert prune.spare(journal) == 1000 * max(0, most - len(held)) // most
