"""How a new epoch begins: when the journal cannot go on as it was, its numbers and keys begin anew, above all that were used.

What the old epoch left on flash stays readable until its sectors are needed.
"""

from agent.run import Lane
from protocol._const import const
from protocol.keys import CRITICAL, LANES, ROUTINE
from protocol.limits import generation_ahead_max

# Reasons of an epoch's start, as in wire.cddl.
FIRST = const(0)
RESTORED = const(1)
REKEYED = const(2)
UNREADABLE = const(3)


def move_to_next_epoch(journal, reason: int, generation_above: int) -> None:
    """Move keys and cell to the next epoch and let both lanes begin anew; what is open stays open. Raises KeyFault."""
    heads = []
    for lane in journal.lanes:
        held = lane.next_number > 0
        heads.append([lane.next_number - 1, lane.previous, lane.next_sequence] if held else None)
    old = journal.epoch
    bases = _skip_keys(journal, generation_above)
    # The keys move first: a cut in between leaves keys that do not fit the epoch, and boot starts another one.
    journal.cell.store(
        epoch=1 + max([old, journal.epoch_seen] + [sector.epoch for sector in journal.ring.sectors]),
        is_begun=True,
        critical_base=bases[CRITICAL],
        routine_base=bases[ROUTINE],
        epoch_start=[reason, old, heads[CRITICAL], heads[ROUTINE]],
    )
    journal.forget_keys()
    journal.checkpoint = journal.replay_start = None
    runs = [lane.run for lane in journal.lanes]
    for lane in LANES:
        journal.old_receipts[(lane, old)] = journal.lanes[lane].receipt
    journal.lanes = [Lane(journal.device, lane, journal.epoch) for lane in LANES]
    for lane in LANES:
        journal.lanes[lane].run = runs[lane]


def _skip_keys(journal, above: int) -> list:
    """Move both seal chains above every generation that either lane is known to have used; return where they are."""
    highest = max([above] + [journal.keystore.seal_key(lane)[0] for lane in LANES])
    bases = []
    for lane in LANES:
        # The office follows at most generation_ahead_max steps; half of it, as its own view may be older.
        reach = journal.keystore.seal_key(lane)[0] + generation_ahead_max // 2
        journal.keystore.skip_seal(lane, min(highest + 1, reach) if above < reach else above + 1)
        bases.append(journal.keystore.seal_key(lane)[0])
    return bases
