"""What the journal does at boot: from raw flash back to lanes, heads, tombstones and the newest checkpoint.

Seals of the current generation are checked; older segments, whose keys are gone, were read back before their key was given up and
are held by the chain: each is named by the digest in the one after it. A segment of a later generation than the
keystore's cannot be this device's. Costs one pass over the ring, whatever the journal's age.
"""

import hashlib

from agent.epoch import FIRST, REKEYED, RESTORED, UNREADABLE
from agent.keystore import KeyFault
from agent.pages import PAGES_PER_SECTOR
from agent.run import Lane
from protocol.errors import ProtocolError
from protocol.event import CHECKPOINT, decode_events
from protocol.keys import CLEAR, CRITICAL, LANES, ROUTINE, generation_of
from protocol.limits import generation_segments
from protocol.segment import parse_segment


def digest(raw: bytes) -> bytes:
    """Return the digest of a segment."""
    return hashlib.sha256(raw).digest()


def recover(journal):
    """Rebuild a journal's state from flash and finish what a cut interrupted. Return None or the reason for a new epoch."""
    journal.lanes = [Lane(journal.device, lane, journal.epoch) for lane in LANES]
    found = journal.ring.scan(lambda segment: _is_good(journal, segment))
    for lane in LANES:
        _recover_lane(journal, lane, found)
    journal.recall_receipts()
    reason = _reason(journal)
    journal.order = _next_order(journal)
    if reason is not None:
        journal.order = max(journal.order, journal.cell.order_reserved)
    if reason is None:
        _finish_generations(journal)
        for lane in LANES:
            _finish_prune(journal, lane)
        # Kept for replay(): the search opens every segment since, and is half of what boot costs.
        journal.replay_start = _newest_checkpoint(journal, journal.epoch)
        journal.checkpoint = journal.replay_start[0]
        if _is_stuck(journal):
            reason = UNREADABLE
    return reason


def _is_good(journal, segment) -> bool:
    header = segment.header
    generation = journal.keystore.seal_key(header.lane)[0]
    if header.device != journal.device or header.generation > generation:
        return False
    if header.epoch > journal.epoch and journal.cell.is_begun:
        return False
    if header.generation < generation:
        return True
    try:
        segment.verify(journal.tag_key(header.lane))
    except ProtocolError:
        return False
    return True


def _recover_lane(journal, lane: int, found: dict) -> None:
    ring = journal.ring
    held = ring.of(lane, journal.epoch)
    if not held:
        return
    upper = held[-1]
    for index in held[-2::-1]:
        if _fit(ring.sectors[index], found[index], ring.sectors[upper]):
            upper = index
    state = journal.lanes[lane]
    top = held[-1]
    head = found[top].last
    state.next_number = head.header.number + 1
    state.next_sequence = head.header.next_sequence()
    state.previous = head.digest
    state.sector = top if ring.sectors[top].page < PAGES_PER_SECTOR else None
    ring.mark_newest(top)
    for index in held:
        for number, tombstone in found[index].tombstones:
            if number <= ring.sectors[index].last:
                state.tombstone = tombstone


def _fit(lower, lower_found, upper) -> bool:
    """Shorten the lower sector's run where its last record was torn and sealed again in the upper one; whether it then fits."""
    if lower.last == upper.first and lower.last > lower.first:
        lower.last -= 1
        lower_found.last = lower_found.before_last
    if lower.last >= upper.first:
        # Numbers that are held twice: what comes later in the ring of one lane stands.
        lower.free(False)
        return False
    return True


def keys_fit(journal) -> bool:
    """Return whether both seal chains stand where the next numbers of this epoch need them."""
    return all([_expected(journal, lane) for lane in LANES])


def _expected(journal, lane: int) -> bool:
    number = journal.lanes[lane].next_number
    generation = journal.keystore.seal_key(lane)[0]
    if generation == generation_of(journal.base(lane), number):
        return True
    # The 32nd of a generation is durable, and the cut came before its key moved on.
    return number > 0 and generation == generation_of(journal.base(lane), number - 1)


def _finish_generations(journal) -> None:
    for lane in LANES:
        number = journal.lanes[lane].next_number
        if journal.keystore.seal_key(lane)[0] < generation_of(journal.base(lane), number):
            assert number % generation_segments == 0
            journal.keystore.advance_seal(lane)


def _reason(journal):
    if not journal.cell.is_begun and (_holds_any(journal) or journal.keystore.seal_key(CRITICAL)[0]):
        return RESTORED
    if not keys_fit(journal):
        # A rekey that the power cut off behind its keys and before its epoch.
        return REKEYED if journal.keystore.is_rekeyed() else UNREADABLE
    if journal.lanes[CRITICAL].next_number:
        return None
    if journal.lanes[ROUTINE].next_number:
        return UNREADABLE
    return journal.cell.epoch_start[0] if journal.cell.epoch_start else FIRST


def _holds_any(journal) -> bool:
    return any([sector.lane is not None for sector in journal.ring.sectors])


def _finish_prune(journal, lane: int) -> None:
    tombstone = journal.lanes[lane].tombstone
    if tombstone is None:
        return
    for index in journal.ring.of(lane, journal.epoch)[:-1]:
        if journal.ring.sectors[index].last <= tombstone.last:
            journal.ring.erase(index)


def _is_stuck(journal) -> bool:
    """Return whether no sector is free and the critical lane has no page left for a tombstone."""
    return journal.ring.free() == 0 and journal.lanes[CRITICAL].sector is None


def open_events(journal, raw: bytes):
    """Return (boot, events) of a segment, ([] for a tombstone), or None if its view key is gone."""
    segment = parse_segment(raw)
    header = segment.header
    if header.view_class == CLEAR:
        return 0, []
    try:
        keys = journal.view_keys(header.view_class, header.period)
    except KeyFault:
        return None
    return decode_events(segment.open_body(keys[0], keys[1], journal.ctr), header.count)


def newest_class(journal, lane: int):
    """Return (period, view class) of a lane's newest segment of this epoch that has a body, None if none is here."""
    for number in range(journal.lanes[lane].next_number - 1, journal.kept_from(lane) - 1, -1):
        raw = journal.read(lane, number)
        header = parse_segment(raw).header if raw is not None else None
        if header is not None and header.view_class != CLEAR:
            return header.period, header.view_class
    return None


def _next_order(journal) -> int:
    """Return the highest durable order + 1 over both lanes.

    A lane whose newest events no longer open lies before the other's: the checkpoint of a period's start has a higher
    order than anything of the period before. When neither opens, or flash lost bits of one, the cell's reservation is above all.
    """
    try:
        highest = _highest_order(journal)
    except ProtocolError:
        highest = -1
    return highest + 1 if highest >= 0 else journal.cell.order_reserved


def _highest_order(journal) -> int:
    highest = -1
    for lane in LANES:
        for number in range(journal.lanes[lane].next_number - 1, journal.kept_from(lane) - 1, -1):
            raw = journal.read(lane, number)
            opened = open_events(journal, raw) if raw is not None else None
            if opened is None:
                break
            if opened[1]:
                highest = max(highest, opened[1][-1][0])
                break
    return highest


def _newest_checkpoint(journal, epoch: int) -> tuple:
    """Return (number, order) of the first part of an epoch's newest whole checkpoint, or (None, None)."""
    wanted = None
    first, stop = _kept(journal, CRITICAL, epoch)
    for number in range(stop - 1, first - 1, -1):
        opened = _open_at(journal, CRITICAL, epoch, number)
        if opened is None:
            break
        for event in opened[1][::-1]:
            if event[2] != CHECKPOINT:
                continue
            index, of = event[3][0], event[3][1]
            if index == of - 1 or wanted == (index, of):
                wanted = (index - 1, of)
                if index == 0:
                    return number, event[0]
            else:
                wanted = None
    return None, None


def replay(journal):
    """Yield (number, boot, event) of the critical lane from the newest whole checkpoint's first part on.

    An epoch that a cut kept from its first checkpoint has no state of its own: the one before it comes first.
    """
    start, order = journal.replay_start or _newest_checkpoint(journal, journal.epoch)
    # What is sealed from now on may hold a newer one.
    journal.replay_start = None
    if start is None and journal.cell.epoch_start:
        old = journal.cell.epoch_start[1]
        old_start, old_order = _newest_checkpoint(journal, old)
        for found in _replay_from(journal, old, old_start, old_order):
            yield found
    for found in _replay_from(journal, journal.epoch, start, order):
        yield found


def _replay_from(journal, epoch: int, start, order):
    first, stop = _kept(journal, CRITICAL, epoch)
    for number in range(first if start is None else start, stop):
        opened = _open_at(journal, CRITICAL, epoch, number)
        if opened is None:
            continue
        for event in opened[1]:
            if order is None or event[0] >= order:
                yield number, opened[0], event


def newest_event(journal, lane: int):
    """Return (boot, event) of the newest durable event of a lane, in the epoch before where this one has none; None if none opens.

    None too where the newest is of a view period that is forgotten: the checkpoint of the present one is newer.
    """
    epochs = [journal.epoch]
    if journal.cell.epoch_start:
        epochs.append(journal.cell.epoch_start[1])
    for epoch in epochs:
        first, stop = _kept(journal, lane, epoch)
        for number in range(stop - 1, first - 1, -1):
            opened = _open_at(journal, lane, epoch, number)
            if opened is None:
                return None
            if opened[1]:
                return opened[0], opened[1][-1]
    return None


def _kept(journal, lane: int, epoch: int) -> tuple:
    """Return the half-open range of numbers of a lane that lie on flash; empty if there is none."""
    held = journal.ring.of(lane, epoch)
    return (journal.ring.sectors[held[0]].first, journal.ring.sectors[held[-1]].last + 1) if held else (0, 0)


def _open_at(journal, lane: int, epoch: int, number: int):
    """As open_events; no events of a segment of which flash lost bits: its key is gone, the chain tells the office, the device goes on."""
    raw = journal.read(lane, number, epoch)
    try:
        return open_events(journal, raw) if raw is not None else None
    except ProtocolError:
        return 0, []
