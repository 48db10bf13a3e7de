"""Whose turn it is when the ring needs room, and the tombstone that must always have some.

Order of victims: the oldest receipted sector; then routine in custody, routine, critical in custody, critical. Of each lane only its oldest
sector is a candidate, so that what is kept stays one run; the sector with a lane's head never is, or boot could not
tell where the lane had been. Demand of the routine lane never takes a critical segment without a receipt: NoRoom, and it is thinned.

The tombstone's room. At least one sector is free between any two calls. A lane opens a sector for events only while two are
free; until then a victim goes. Its tombstone is programmed first: on the last pages of the victim lane's open sector, or, if
that is full, in the free one. Then the victim is erased and is the free one. A cut between the two leaves a tombstone
that covers a whole sector: boot erases it. Only a checkpoint that has to be written before its predecessor is pruned also
uses the free sector; it leaves two pages, enough for a tombstone and one torn try.
"""

from protocol._const import const
from protocol.keys import CLEAR, CRITICAL, LANES, ROUTINE
from protocol.segment import Tombstone, parse_segment, seal_tombstone

# What the record that is being placed may use: see the module.
NORMAL = const(0)
BEFORE_PRUNE = const(1)
TOMBSTONE = const(2)

_KEPT_PAGES = const(2)
_REASON_ROOM = const(0)


class NoRoom(Exception):
    """Nothing may be pruned for this lane now: the caller thins (`Journal.thin`), records that, and tries later."""


def place(journal, lane: int, pages: int) -> int:
    """Return the index of a sector of this lane with room for so many pages, pruning until there is. Raises NoRoom."""
    ring = journal.ring
    # Each turn frees a sector or ends; one more for the turn that finds room.
    for _ in range(2 * len(ring.sectors) + 1):
        index = journal.lanes[lane].sector
        kept = _KEPT_PAGES if journal.room_mode == BEFORE_PRUNE and not ring.free() else 0
        if index is not None and ring.room(index) >= pages + kept:
            return index
        if ring.free() > (1 if journal.room_mode == NORMAL else 0):
            return take(journal, lane)
        if journal.room_mode != NORMAL:
            raise _no_room(lane)
        _prune_one(journal, lane)
    raise _no_room(lane)


def _no_room(lane: int):
    return NoRoom("no sector may be pruned for the {} lane".format("routine" if lane else "critical"))


def take(journal, lane: int) -> int:
    """Open a free sector for a lane and return its index."""
    state = journal.lanes[lane]
    state.sector = journal.ring.take(lane, journal.epoch, state.next_number)
    return state.sector


def keep_one_free(journal) -> None:
    """Prune at once where a cut ended the writing of a checkpoint in the last free sector: the state is in memory by now."""
    if journal.room_mode == NORMAL and not journal.ring.free() and journal.write_checkpoint is not None:
        try:
            _prune_one(journal, CRITICAL)
        except NoRoom:
            # Nothing may go yet; what was sealed is durable all the same, and the next seal tries again.
            pass


def _prune_one(journal, lane: int) -> None:
    victim = _choose(journal, lane)
    if victim is None:
        raise _no_room(lane)
    sector = journal.ring.sectors[victim]
    if sector.epoch == journal.epoch:
        if sector.lane == CRITICAL and journal.checkpoint is not None and journal.checkpoint <= sector.last:
            _renew_checkpoint(journal)
        if sector.last > journal.lanes[sector.lane].receipt:
            _write_tombstone(journal, sector.lane, victim)
    journal.ring.erase(victim)


def _choose(journal, lane: int):
    best = None
    for index in _candidates(journal):
        rank = _rank(journal, journal.ring.sectors[index])
        if lane == ROUTINE and rank >= 3:
            continue
        key = (rank, -journal.ring.age(index))
        if best is None or key < best[0]:
            best = (key, index)
    return None if best is None else best[1]


def _candidates(journal) -> list:
    ring = journal.ring
    found = []
    for index in range(len(ring.sectors)):
        sector = ring.sectors[index]
        if sector.lane is not None and sector.epoch != journal.epoch:
            found.append(index)
    for lane in LANES:
        held = ring.of(lane, journal.epoch)
        if len(held) > 1:
            found.append(held[0])
    return found


def spare(journal) -> int:
    """Return the share of the ring, in thousandths, that can be taken before something is given up that is nowhere else.

    Sectors that are free, receipted, or routine in custody; of all but the one that always stays free. One of the critical lane in
    custody goes only after routine ones that are nowhere else: it is no room for them.
    """
    sectors = journal.ring.sectors
    epoch, lanes, old = journal.epoch, journal.lanes, journal.old_receipts
    held = 0
    # _rank(journal, sector) > 1, without a call for each: every look of the steward asks.
    for sector in sectors:
        lane = sector.lane
        if lane is None:
            continue
        if sector.epoch != epoch:
            held += sector.last > old.get((lane, sector.epoch), -1)
        elif sector.last > lanes[lane].receipt:
            held += lane == CRITICAL or sector.last >= lanes[lane].custody
    most = len(sectors) - 1
    return 1000 * max(0, most - held) // most


def _rank(journal, sector) -> int:
    """Return 0 receipted, 1 routine in custody, 2 routine, 3 critical in custody, 4 critical."""
    custody = 0
    if sector.epoch == journal.epoch:
        receipt = journal.lanes[sector.lane].receipt
        custody = journal.lanes[sector.lane].custody
    else:
        receipt = journal.old_receipts.get((sector.lane, sector.epoch), -1)
    if sector.last <= receipt:
        return 0
    return (3 if sector.lane == CRITICAL else 1) + (0 if sector.last < custody else 1)


def _renew_checkpoint(journal) -> None:
    if journal.write_checkpoint is None:
        return
    journal.room_mode = BEFORE_PRUNE
    try:
        journal.write_checkpoint()
    except NoRoom:
        # Cuts in a row have used up the reserve. State then lives in memory alone until the next checkpoint, moments later:
        # better than a journal that never moves again.
        pass
    finally:
        journal.room_mode = NORMAL


def _write_tombstone(journal, lane: int, victim: int) -> None:
    """Make durable that the victim's segments, all that were pruned before them, and any hole behind them are gone."""
    state = journal.lanes[lane]
    tombstone = _tombstone(journal, lane, victim)
    mode = journal.room_mode
    journal.room_mode = TOMBSTONE
    try:
        index = place(journal, lane, 1)
    finally:
        journal.room_mode = mode
    header = journal.header(lane, 1, CLEAR)
    raw = seal_tombstone(header, tombstone, journal.tag_key(lane))
    assert len(raw) <= 256, "tombstone of {} bytes".format(len(raw))
    journal.commit(lane, index, raw, header)
    state.tombstone = tombstone


def _tombstone(journal, lane: int, victim: int) -> Tombstone:
    state = journal.lanes[lane]
    sector = journal.ring.sectors[victim]
    following = journal.ring.sectors[journal.ring.of(lane, journal.epoch)[1]]
    after = _header(journal, lane, following.first)
    last = following.first - 1
    earlier = state.tombstone
    if earlier is not None and earlier.last > state.receipt and earlier.last + 1 == sector.first:
        count = (
            earlier.event_count + after.first_sequence - _header(journal, lane, sector.first).first_sequence
        )
        return Tombstone(earlier.first, last, earlier.before, after.previous, count, _REASON_ROOM)
    first = max(state.receipt + 1, sector.first)
    start = _header(journal, lane, first)
    count = after.first_sequence - start.first_sequence
    return Tombstone(first, last, start.previous, after.previous, count, _REASON_ROOM)


def _header(journal, lane: int, number: int):
    return parse_segment(journal.read(lane, number)).header
