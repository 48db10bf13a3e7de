"""The journal under cuts: random histories of both lanes on small rings, with cell and key sector in the same window."""

from functools import lru_cache

from agent.journal import NoRoom
from agent.layout import KEY_SECTOR, RING_SECTOR
from protocol.event import decode_events
from protocol.keys import (
    LANES,
    body_keys,
    seal_ahead,
    seal_start,
    tag_key,
    view_key,
    view_next,
    view_start,
)
from protocol.segment import parse_segment
from tests.agent.power_cuts import fill
from tests.both.flash_site import SEAL_ROOT, VIEW_ROOT, Site, check, ctr
from tests.cuts.recorder import WatchedFlash

# Turns before the recording begins: enough for a small ring to have wrapped, sometimes.
_TURNS_BEFORE_MAX = 90
_TURNS = 12


class JournalSite(Site):
    """A `Site` whose copies are of its own kind and which opens equal segments once."""

    def __init__(self, ring_sectors):
        Site.__init__(self, ring_sectors, WatchedFlash)

    def copy(self):
        other = Site.copy(self)
        other.__class__ = JournalSite
        return other

    def check_opens(self, segment):
        header = segment.header
        base = self.cell.routine_base if header.lane else self.cell.critical_base
        check(
            header.generation == base + header.number // 32,
            f"segment {header.number} has generation {header.generation}",
        )
        for order in _orders(segment.raw):
            place = self.orders.setdefault(order, header.key())
            check(place == header.key(), f"order {order} was used twice")


@lru_cache(20_000)
def _orders(raw):
    """Verify a segment's seal and body with the office's keys; return the orders of its events."""
    segment = parse_segment(raw)
    header = segment.header
    segment.verify(tag_key(seal_ahead(seal_start(SEAL_ROOT, header.lane), header.generation)))
    if segment.tombstone is not None:
        return ()
    ratchet = view_start(VIEW_ROOT, header.view_class)
    for _ in range(header.period):
        ratchet = view_next(ratchet)
    plaintext = segment.open_body(*body_keys(view_key(ratchet)), ctr)
    return tuple(event[0] for event in decode_events(plaintext, header.count)[1])


class JournalPart:
    """Histories: decisions, samples, full segments, receipts, custody, period switches, checkpoints, new epochs."""

    name = "journal"

    def area(self, sector):
        """Return what lies in a sector."""
        return "cell" if sector < KEY_SECTOR else "keys" if sector < RING_SECTOR else "ring"

    def start(self, dice):
        """Return a device that has lived for some time and is off."""
        site = JournalSite(4 + dice.below(3))
        site.boot()
        for _ in range(dice.below(_TURNS_BEFORE_MAX)):
            _turn(site, dice)
        # So that cell and key sector run full and are moved within what is recorded, in some histories.
        for _ in range(dice.below(32)):
            site.cell.store(boot=site.cell.boot + 1)
        for _ in range(dice.below(6)):
            _turn(site, dice, kind=_SWITCH)
        site = site.copy()
        site.power_on()
        return site

    def live(self, site, dice):
        """Boot and live on: what is recorded and then cut."""
        site.boot()
        for _ in range(_TURNS):
            _turn(site, dice)

    def recover(self, site):
        """Boot. Raises Broken when that alone shows a promise broken."""
        site.boot()

    def check(self, site):
        """Raise Broken unless every promise is kept."""
        site.check_all()

    def go_on(self, site):
        """Work on after a recovery, boot again: what is there then is right, too."""
        fill(site, 3)
        site.power_on()
        site.boot()
        site.check_all()


def _turn(site, dice, kind=None):
    kind = dice.below(16) if kind is None else kind
    try:
        if kind < 6:
            fill(site, 1 + dice.below(2))
        elif kind < 9:
            fill(site, 0, 0, 3 + dice.below(20))
        elif kind < 12:
            fill(site, 0, 1)
        else:
            _TURNINGS[kind - 12](site, dice)
    except NoRoom:
        # As the recorder does: thin, and go on.
        for lane in LANES:
            site.journal.thin(lane)
            site.journal.lanes[lane].run.drop_first(site.journal.open_events(lane))


def _receipt(site, dice):
    lane = dice.below(2)
    head = site.journal.offer()[lane]
    number = head[1] - dice.below(3) if head else -1
    if (lane, site.journal.epoch, number) in site.durable:
        site.acknowledge(lane, number)


def _custody(site, dice):
    # Each 64 requests cost a store; a receipt goes along with it.
    for _ in range(1 + dice.below(4)):
        site.cell.store(sender_reserved=site.cell.sender_reserved + 64)
    lane = dice.below(2)
    site.journal.note_custody(lane, site.journal.epoch, site.journal.lanes[lane].next_number - dice.below(4))


def _switch(site, dice):
    site.switch()


def _checkpoint_or_epoch(site, dice):
    if dice.below(6):
        site.checkpoint(1 + dice.below(3))
        return
    # Between keys and cell a cut leaves keys that fit no epoch: boot then begins one more, and says so.
    site.may_give_up = True
    site.journal.start_epoch(1, site.tick, dice.below(60))
    site.checkpoint()


_TURNINGS = (_receipt, _custody, _switch, _checkpoint_or_epoch)
_SWITCH = 12 + _TURNINGS.index(_switch)
