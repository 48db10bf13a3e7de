"""Promises of firmware/agent/journal.py that need no power cut; tests/agent/test_power_cuts.py has the others."""

import hashlib

import pytest

from agent import recovery
from agent.epoch import FIRST, RESTORED
from agent.journal import NoRoom
from agent.pages import PAGES_PER_SECTOR
from agent.run import RunFull
from protocol.event import CHECKPOINT, EPOCH_START, decode_events
from protocol.keys import CRITICAL, LANES, ROUTINE
from protocol.messages import Receipt
from protocol.segment import parse_segment
from tests.agent.power_cuts import fill
from tests.both.flash_site import DEVICE, Site


@pytest.fixture
def site():
    site = Site(ring_sectors=7)
    site.boot()
    return site


def _events(site, lane, number):
    segment = parse_segment(site.journal.read(lane, number))
    keys = site.journal.view_keys(segment.header.view_class, segment.header.period)
    return decode_events(segment.open_body(*keys, site.journal.ctr), segment.header.count)[1]


def _head_receipt(site, lane, **changes):
    _, number, digest = site.journal.offer()[lane]
    fields = {"epoch": site.journal.epoch, "number": number, "digest": digest, "generation": 0, **changes}
    return Receipt(DEVICE, lane, **fields)


def test_first_event_of_the_first_epoch_is_its_start(site):
    """A new device begins epoch 0 with reason `first` and no heads."""
    event = _events(site, CRITICAL, 0)[0]

    assert (site.reason, event[2], event[3]) == (FIRST, EPOCH_START, (FIRST, None, None, None))


def test_what_is_open_is_not_offered(site):
    """An event is offered after it was sealed, programmed and read back, not before."""
    before = site.journal.offer()[ROUTINE]
    site.sample(5)

    assert (before, site.journal.offer()[ROUTINE], site.journal.open_events(ROUTINE)) == (None, None, 1)
    assert site.journal.seal(ROUTINE) == [0]
    assert site.journal.offer()[ROUTINE][:2] == (0, 0)


def test_orders_rise_over_both_lanes_and_over_boots(site):
    """No order is given twice, and after a boot they go on above the highest durable one."""
    site.sample(1)
    site.decide(1)
    highest = site.journal.order
    site.power_on()
    site.boot()

    assert _events(site, CRITICAL, site.journal.offer()[CRITICAL][1])[-1][0] > highest - 1


def test_run_that_does_not_fit_is_cut(site):
    """Events that need several segments are sealed as such, in order and whole."""
    for i in range(5):
        site.journal.append(ROUTINE, site.event(99, (bytes([i]) * 200,)))
    numbers = site.journal.seal(ROUTINE)
    fields = [event[3][0][0] for number in numbers for event in _events(site, ROUTINE, number)]

    assert (len(numbers), fields) == (5, [0, 1, 2, 3, 4])


def test_routine_never_displaces_critical_segments_without_receipt():
    """With the ring full of critical segments, the routine lane is told to thin; no critical one is lost."""
    site = Site(ring_sectors=4)
    site.boot()
    fill(site, 40)
    kept = site.journal.kept_from(CRITICAL)
    with pytest.raises(NoRoom, match="routine"):
        for _ in range(60):
            site.bulk()

    assert site.journal.kept_from(CRITICAL) == kept
    assert site.journal.thin(ROUTINE) == 0
    site.power_on()
    site.boot()
    site.check_all()


def test_critical_displaces_routine_before_anything_critical(site):
    """Under the demand of the critical lane the oldest routine sector goes first."""
    fill(site, 0, 30)
    fill(site, 30)

    assert site.journal.kept_from(ROUTINE) > 0
    assert site.journal.kept_from(CRITICAL) == 0


def test_receipted_sectors_go_first_after_a_boot_without_any_answer(site):
    """A device that boots with a full ring while the gateway is away gives up what is receipted, and nothing that nobody has."""
    fill(site, 20, 20)
    site.acknowledge(CRITICAL, site.journal.offer()[CRITICAL][1])
    # Whatever is stored next in the cell takes the receipts along.
    site.cell.store(sender_reserved=64)
    kept = site.journal.kept_from(ROUTINE)
    site.power_on()
    site.boot()
    fill(site, 20)

    assert site.journal.kept_from(ROUTINE) == kept
    assert site.journal.kept_from(CRITICAL) > 0


def test_receipts_of_an_epoch_that_ended_are_known_after_a_boot(site):
    """What the office has of the earlier epoch is not sent again after a boot."""
    fill(site, 5)
    site.acknowledge(CRITICAL, site.journal.offer()[CRITICAL][1])
    site.journal.start_epoch(RESTORED, site.tick)
    site.power_on()
    site.boot()

    assert [entry for entry in site.journal.older() if entry[:2] == (CRITICAL, 0)] == []


def test_receipted_sectors_go_first_and_without_a_word(site):
    """A receipt puts even critical segments before unreceipted routine ones, and needs no tombstone."""
    fill(site, 20)
    site.acknowledge(CRITICAL, site.journal.offer()[CRITICAL][1])
    fill(site, 0, 40)

    assert site.journal.kept_from(CRITICAL) > 0
    assert site.journal.lanes[CRITICAL].tombstone is None
    site.check_all()


def test_routine_in_custody_goes_before_routine_that_is_not(site):
    """Among a lane's own sectors the order never changes: the oldest goes, whatever is in custody."""
    fill(site, 0, 20)
    site.journal.note_custody(ROUTINE, 0, 12)

    assert site.journal.unacknowledged(ROUTINE) == 12
    assert site.journal.pending(ROUTINE) == 8
    site.journal.note_custody(ROUTINE, 0, 3)
    assert site.journal.unacknowledged(ROUTINE) == 3


def test_receipts_of_both_lanes_end_the_draining(site):
    """Everything is receipted when each lane's head is, and not before."""
    fill(site, 1, 1)
    for lane in LANES:
        assert not site.journal.is_receipted()
        assert site.journal.note_receipt(_head_receipt(site, lane)) == "ok"

    assert site.journal.is_receipted()
    assert site.journal.unacknowledged(ROUTINE) is None


@pytest.mark.parametrize(
    "wrong", ["beyond the head", "another digest", "a later generation", "a later epoch"]
)
def test_receipt_for_what_this_flash_never_held_tells_that_it_was_restored(site, wrong):
    """The office knows more of the device than its own flash: a copy of it lives, or lived, elsewhere."""
    fill(site, 1, 1)
    head = site.journal.offer()[CRITICAL][1]
    changes = {
        "beyond the head": {"number": head + 1},
        "another digest": {"digest": bytes(32)},
        "a later generation": {"generation": 1},
        "a later epoch": {"epoch": 1},
    }[wrong]

    assert site.journal.note_receipt(_head_receipt(site, CRITICAL, **changes)) == "restored"
    site.journal.start_epoch(RESTORED, site.tick, 1)
    assert site.journal.epoch == 1 + changes.get("epoch", 0)


@pytest.mark.parametrize("lane", [CRITICAL, ROUTINE])
def test_receipt_that_knows_more_of_the_epoch_before_starts_another_one(site, lane):
    """A stale receipt began this epoch; the office held later generations already and refuses it for good."""
    fill(site, 1, 1)
    site.journal.start_epoch(RESTORED, site.tick, 1)
    known = Receipt(DEVICE, lane, 0, 70, bytes(32), 1)
    later = Receipt(DEVICE, lane, 0, 70, bytes(32), 2)

    assert site.journal.note_receipt(known) == "ok"
    assert site.journal.note_receipt(later) == "restored"
    site.journal.start_epoch(RESTORED, site.tick, 2)
    assert site.journal.epoch == 2
    assert site.journal.note_receipt(later) == "ok"


def test_new_epoch_starts_above_every_generation_and_names_the_old_heads(site):
    """Epoch, both bases and the first event carry on from what was, and the old segments can still be read."""
    fill(site, 3, 2)
    heads = site.journal.offer()
    site.journal.start_epoch(RESTORED, site.tick, 40)
    fields = _events(site, CRITICAL, 0)[0][3]

    assert (site.journal.epoch, site.cell.critical_base, site.cell.routine_base) == (1, 41, 41)
    assert fields[:2] == (RESTORED, 0)
    assert [head[:2] for head in fields[2:]] == [list(head[1:]) for head in heads]
    raw = site.journal.read(CRITICAL, heads[CRITICAL][1], epoch=0)
    assert hashlib.sha256(raw).digest() == heads[CRITICAL][2]
    assert [entry[:2] for entry in site.journal.older()] == [(CRITICAL, 0), (ROUTINE, 0)]


def test_lane_that_cannot_be_read_at_all_starts_a_new_epoch(site):
    """Where keys have moved on and their segments are gone, numbers are not used again."""
    fill(site, 40)
    for at in range(4 * 4096, len(site.flash.image)):
        site.flash.image[at] = 0
    site.may_give_up = True
    site.power_on()
    site.boot()

    assert (site.reason, site.journal.epoch) == (3, 1)
    assert site.journal.offer()[CRITICAL][0] == 0


def test_device_whose_cell_is_lost_starts_a_new_epoch(site):
    """Without its cell a device cannot know which epoch it was in: it starts another one."""
    site.flash.image[: 2 * 4096] = b"\xff" * 8192
    site.floor = {}
    site.power_on()
    site.boot()

    assert (site.reason, site.journal.epoch) == (RESTORED, 1)


def test_caller_that_never_thins_is_stopped():
    """Memory for open events has a bound."""
    site = Site(ring_sectors=4)
    site.boot()
    with pytest.raises(RunFull):
        for _ in range(5000):
            site.sample(1)


def test_wear_is_even(site):
    """Over many turns of the ring no sector is erased much more often than another."""
    erased = [0] * site.flash.sectors
    real = site.flash.erase

    def erase(sector):
        erased[sector] += 1
        real(sector)

    site.flash.erase = erase
    for _ in range(40):
        fill(site, 4, 12)
        for lane in LANES:
            site.acknowledge(lane, site.journal.offer()[lane][1])
        site.checkpoint()
    ring = erased[4:]

    assert min(ring) >= 3
    assert max(ring) <= 3 * min(ring)


def test_segment_is_read_wherever_the_one_before_was_read(site):
    """Forwards, backwards and across, while the ring turns and sectors are erased: what was sealed is read, or nothing that is gone."""
    for turn in range(12):
        fill(site, 5, 9)
        for lane in LANES:
            first, head = site.journal.kept_from(lane), site.journal.lanes[lane].next_number
            numbers = [
                *range(first, head),
                *range(head - 1, first - 1, -1),
                *range(first, head, 2 + turn % 3),
            ]
            for number in numbers:
                assert site.journal.read(lane, number) == site.durable[(lane, site.journal.epoch, number)]


def test_backlog_is_read_page_by_page(site):
    """The next segment is found behind the one before: not by reading its sector from the start each time."""
    fill(site, 0, 14)
    pages = 2 * 14
    reads = []
    read = site.flash.read
    site.flash.read = lambda offset, n: reads.append(n) or read(offset, n)
    for number in range(14):
        site.journal.read(ROUTINE, number)

    assert len(reads) <= 3 * pages


def test_sector_that_was_erased_is_read_from_its_start(site):
    """What was known of a sector's pages ends when the sector does."""
    fill(site, 0, 4)
    head = site.journal.offer()[ROUTINE][1]
    site.journal.read(ROUTINE, head)
    sector = site.journal.ring.sectors[site.journal.lanes[ROUTINE].sector]
    while sector.lane != ROUTINE or sector.first <= head:
        site.journal.append(ROUTINE, site.event(99, (bytes(300),)))
        site.journal.seal(ROUTINE)
        site.journal.note_receipt(_head_receipt(site, ROUTINE))

    assert parse_segment(site.journal.read(ROUTINE, sector.first)).header.number == sector.first


def test_boot_walks_no_sector_anew_for_each_segment(monkeypatch):
    """Downwards, as the newest checkpoint is looked for, a segment costs as few reads of flash as upwards: at most three."""
    site = _with_sixteen_in_a_sector()
    reads = []
    read = site.flash.read
    monkeypatch.setattr(site.flash, "read", lambda offset, size: reads.append(offset) or read(offset, size))
    top = site.journal.lanes[CRITICAL].next_number
    site.journal.read(CRITICAL, top - 1)
    reads.clear()

    for number in range(top - 2, top - 12, -1):
        assert site.journal.read(CRITICAL, number) == site.durable[CRITICAL, 0, number]

    assert len(reads) <= 3 * 10


def test_boot_looks_for_the_newest_checkpoint_once(monkeypatch):
    """The search opens every segment since: what recovery found is where the replay begins."""
    site = Site(ring_sectors=7)
    site.boot()
    searches = []
    search = recovery._newest_checkpoint
    monkeypatch.setattr(
        recovery,
        "_newest_checkpoint",
        lambda journal, epoch: searches.append(epoch) or search(journal, epoch),
    )
    site.power_on()
    site.boot()

    assert searches == [0]
    assert site.replayed[0][2][2] == CHECKPOINT
    assert next(iter(site.journal.replay_critical()))[0] == site.journal.checkpoint > site.replayed[0][0]


def test_torn_record_is_not_read_for_the_good_one_whichever_way_is_walked():
    """Two records have one number where the first was torn: upwards and downwards the later one is read."""
    site = _with_sixteen_in_a_sector(torn=5)
    numbers = range(site.journal.kept_from(CRITICAL), site.journal.lanes[CRITICAL].next_number)

    for order in (numbers, numbers[::-1], [*numbers[::2], *numbers[::-2]]):
        for number in order:
            assert site.journal.read(CRITICAL, number) == site.durable[CRITICAL, 0, number]


def _with_sixteen_in_a_sector(torn=None):
    """Return a device whose critical lane ends in a sector of small segments. torn: which of them flash spoils, to be sealed again."""
    site = Site(ring_sectors=12)
    site.boot()
    lane = site.journal.lanes[CRITICAL]
    while lane.sector is None or site.journal.ring.sectors[lane.sector].page < PAGES_PER_SECTOR:
        site.decide(0)
    for number in range(PAGES_PER_SECTOR - 3):
        if number == torn:
            ring = site.journal.ring
            site.flash.bad = ((4 + lane.sector) * PAGES_PER_SECTOR + ring.sectors[lane.sector].page,)
        site.decide(number)
    assert site.flash.bad == ()
    return site
