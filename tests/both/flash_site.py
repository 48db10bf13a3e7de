"""A device's storage on RAM flash, its whole boot, and the checks that must hold after any cut.

`Site` is one device: flash, keys as the office knows them, what seal() has returned. `boot` gives a fresh journal on the same flash.
"""

from hashlib import sha256

from agent.cell import Cell
from agent.flash import PAGE_BYTES, RamFlash
from agent.journal import Journal
from agent.keystore import Keystore
from protocol import aead
from protocol.errors import ProtocolError
from protocol.event import BOOT, CHECKPOINT, DECISION, SAMPLE, decode_events
from protocol.keys import (
    CRITICAL,
    LANES,
    OFFICE,
    ROUTINE,
    SITE,
    body_keys,
    seal_ahead,
    seal_start,
    tag_key,
    view_key,
    view_next,
    view_start,
)
from protocol.messages import Receipt
from protocol.segment import check_first, check_follows, parse_segment

try:
    import cryptolib  # noqa: F401  only MicroPython has it
except ImportError:
    from protocol.aes_host import Aes128
else:
    from agent.aes import Aes128

DEVICE = b"device-1"
SEAL_ROOT = b"s" * 32
VIEW_ROOT = b"v" * 32
CLASSES = (OFFICE, SITE)


def ctr(key, iv, data):
    return aead.ctr(Aes128(key), iv, data)


class Broken(Exception):
    """A promise of the storage does not hold."""


def check(holds, promise):
    if not holds:
        raise Broken(promise)


class StrictFlash(RamFlash):
    """Refuses to program a page that holds something, but to zeros; pages in `bad` lose a bit of what is programmed."""

    bad = ()

    def program(self, offset, data):
        old = self._get(offset, len(data))
        is_blank = old == b"\xff" * len(data)
        check(is_blank or bytes(data) == bytes(len(data)), "a page was programmed twice")
        RamFlash.program(self, offset, data)
        if offset // PAGE_BYTES in self.bad and bytes(data) != bytes(len(data)):
            self.image[offset + 40] = 0
            self.bad = ()


class Site:
    """One device. flash_class: StrictFlash, or one that misbehaves in another way."""

    def __init__(self, ring_sectors=6, flash_class=StrictFlash):
        self.flash = flash_class(4 + ring_sectors)
        self.orders = {}  # order -> place of the segment that holds it
        self.may_give_up = False
        self.durable = {}  # (lane, epoch, number) -> bytes, from the moment seal() returned
        self.shown = {}  # likewise, from the moment it could be offered
        self.floor = {}  # what the cell has once said
        self.generation = {}
        self.tick = 0
        self.checkpoint_place = (0, -1)
        self.decisions = []
        keystore = Keystore(self.flash, 2)
        keystore.provision(
            [seal_start(SEAL_ROOT, lane) for lane in LANES],
            [view_start(VIEW_ROOT, SITE), view_start(VIEW_ROOT, OFFICE)],
            b"d" * 32,
        )

    def power_on(self):
        """Start again on the same bytes."""
        self.flash = self.flash.__class__(self.flash.sectors, self.flash.image)

    def boot(self):
        """Boot: open everything, begin an epoch if need be, write boot event and checkpoint. Sets self.journal."""
        cell = Cell(self.flash, 0)
        cell.load()
        self.check_cell(cell)
        cell.store(boot=cell.boot + 1)
        self.check_cell(cell)
        keystore = Keystore(self.flash, 2)
        keystore.open()
        self.cell, self.keystore = cell, keystore
        self.journal = Journal(self.flash, cell, keystore, DEVICE, CLASSES, ctr)
        self.reason = self.journal.open()
        check(self.reason != 3 or self.may_give_up, "the journal was given up")
        self.replay_floor = self.checkpoint_place
        self.replayed = list(self.journal.replay_critical())
        if self.reason is not None:
            self.journal.start_epoch(self.reason, self.tick)
        self.journal.write_checkpoint = self.checkpoint
        self.record(CRITICAL, BOOT, (0, 0))
        self.checkpoint()

    def check_cell(self, cell):
        for name in ("boot", "epoch", "sender_reserved", "order_reserved", "critical_base"):
            value = getattr(cell, name)
            check(value >= self.floor.get(name, 0), "the cell's {} went back to {}".format(name, value))
            self.floor[name] = value

    def event(self, kind, fields):
        self.tick += 1000
        return (self.journal.next_order(), self.tick, kind, fields)

    def record(self, lane, kind, fields):
        self.journal.append(lane, self.event(kind, fields))
        self.seal(lane)

    def seal(self, lane, method="seal"):
        before = self.journal.lanes[lane].next_number
        getattr(self.journal, method)(lane)
        for other in LANES:
            self.note_durable(other)
        return before

    def note_durable(self, lane):
        state = self.journal.lanes[lane]
        for number in range(state.next_number - 1, -1, -1):
            key = (lane, self.journal.epoch, number)
            if key in self.durable:
                break
            raw = self.journal.read(lane, number)
            if raw is None:
                break
            self.durable[key] = raw

    def bulk(self):
        """Record a routine segment that is full."""
        self.record(ROUTINE, 99, (bytes(300),))

    def sample(self, value):
        return self.journal.append(ROUTINE, self.event(SAMPLE, ([value, 20 - value], [0, 0])))

    def decide(self, value):
        acts = [[0, 1, 0, None]]
        fields = (0, 1, 2, bytes(32), self.tick, [value], [0], 1, 0, [value, 1], [value, 2], acts)
        self.record(CRITICAL, DECISION, fields)
        self.decisions.append((self.journal.epoch, self.journal.order - 1))

    def checkpoint(self, parts=2):
        order = self.journal.order
        for index in range(parts):
            event = self.event(CHECKPOINT, (index, parts, b"c" * 200))
            self.journal.append(CRITICAL, event)
        self.seal(CRITICAL)
        self.checkpoint_place = (self.journal.epoch, order)

    def switch(self):
        self.journal.switch_period(self.checkpoint)
        for lane in LANES:
            self.note_durable(lane)

    def copy(self):
        """Return a device with the same flash and the same memory of what was promised, powered off."""
        other = Site.__new__(Site)
        other.flash = self.flash.__class__(self.flash.sectors, bytearray(self.flash.image))
        other.may_give_up = self.may_give_up
        for name in ("durable", "shown", "floor", "generation", "orders"):
            setattr(other, name, dict(getattr(self, name)))
        other.decisions = list(self.decisions)
        other.tick = self.tick
        other.checkpoint_place = self.checkpoint_place
        return other

    def acknowledge(self, lane, number):
        raw = self.durable[(lane, self.journal.epoch, number)]
        self.floor[("receipt", lane)] = number
        generation = parse_segment(raw).header.generation
        receipt = Receipt(DEVICE, lane, self.journal.epoch, number, sha256(raw).digest(), generation)
        return self.journal.note_receipt(receipt)

    # ---- promises

    def check_all(self):
        """After a boot: everything durable is there or covered, chains close, one sector is free, old keys are gone."""
        for lane in LANES:
            self.check_lane(lane)
        check(any([sector.lane is None for sector in self.journal.ring.sectors]), "no sector is free")
        self.check_keys()
        self.check_replay()

    def check_replay(self):
        """State comes back: the fold starts at the newest whole checkpoint and holds every durable decision after it."""
        if self.reason is not None:
            return
        events = [event for _, _, event in self.replayed]
        epoch, order = self.replay_floor
        if epoch == self.journal.epoch and order >= 0:
            starts = events and events[0][2] == CHECKPOINT and events[0][3][0] == 0
            check(starts and events[0][0] >= order, "the newest whole checkpoint was not found")
        orders = [event[0] for event in events]
        for epoch, order in self.decisions:
            check(
                epoch != self.journal.epoch or not orders or order < orders[0] or order in orders,
                "decision {} is not replayed".format(order),
            )

    def check_lane(self, lane):
        journal = self.journal
        kept = journal.kept_from(lane)
        top = journal.lanes[lane].next_number
        before = None
        tombstone = None
        for number in range(kept, top):
            raw = journal.read(lane, number)
            check(raw is not None, "segment {} of lane {} is not on flash".format(number, lane))
            segment = parse_segment(raw)
            self.check_opens(segment)
            if before is not None:
                check_follows(segment.header, before.header, before.digest)
            elif number == 0:
                check_first(segment.header)
            earlier = self.shown.setdefault((lane, journal.epoch, number), raw)
            check(earlier == raw, "segment {} of lane {} was shown with other bytes".format(number, lane))
            tombstone = segment.tombstone or tombstone
            before = segment
        receipt = journal.lanes[lane].receipt
        for key in self.durable:
            if key[0] != lane or key[1] != journal.epoch:
                continue
            check(key[2] < top, "segment {} of lane {} is above the head".format(key[2], lane))
            if key[2] >= kept:
                check(
                    journal.read(lane, key[2]) == self.durable[key],
                    "segment {} of lane {} changed".format(key[2], lane),
                )
            elif key[2] > max(receipt, self.floor.get(("receipt", lane), -1)):
                covered = tombstone is not None and tombstone.first <= key[2] <= tombstone.last
                check(covered, "segment {} of lane {} is gone and no tombstone says so".format(key[2], lane))
        if tombstone is not None:
            self.check_tombstone(lane, tombstone)

    def check_tombstone(self, lane, tombstone):
        at = lambda number: parse_segment(self.durable[(lane, self.journal.epoch, number)])  # noqa: E731
        if (lane, self.journal.epoch, tombstone.last) not in self.durable:
            return
        if (lane, self.journal.epoch, tombstone.first) not in self.durable:
            return
        first, last = at(tombstone.first), at(tombstone.last)
        check(tombstone.last_digest == last.digest, "a tombstone names another last digest")
        check(tombstone.before == first.header.previous, "a tombstone names another digest before it")
        events = last.header.next_sequence() - first.header.first_sequence
        check(
            tombstone.event_count == events,
            "a tombstone counts {} events, not {}".format(tombstone.event_count, events),
        )

    def check_opens(self, segment):
        """As the office: generation by arithmetic, seal, body with the period's key, count."""
        header = segment.header
        base = self.cell.routine_base if header.lane else self.cell.critical_base
        check(
            header.generation == base + header.number // 32,
            "segment {} has generation {}".format(header.number, header.generation),
        )
        try:
            segment.verify(tag_key(seal_ahead(seal_start(SEAL_ROOT, header.lane), header.generation)))
        except ProtocolError as error:
            raise Broken(str(error))
        if segment.tombstone is None:
            ratchet = view_start(VIEW_ROOT, header.view_class)
            for _ in range(header.period):
                ratchet = view_next(ratchet)
            body_key, iv_key = body_keys(view_key(ratchet))
            for event in decode_events(segment.open_body(body_key, iv_key, ctr), header.count)[1]:
                place = self.orders.setdefault(event[0], header.key())
                check(place == header.key(), "order {} was used twice".format(event[0]))

    def check_keys(self):
        image = bytes(self.flash.image)
        for lane in LANES:
            generation, key = self.keystore.seal_key(lane)
            check(generation >= self.generation.get(lane, 0), "a seal key went back")
            self.generation[lane] = generation
            check(
                seal_ahead(seal_start(SEAL_ROOT, lane), generation) == key, "a seal key is not of its chain"
            )
            for back in range(1, min(generation, 3) + 1):
                check(
                    seal_ahead(seal_start(SEAL_ROOT, lane), generation - back) not in image,
                    "an old seal key is on flash",
                )
        lowest = self.keystore.boot_periods()[0]
        for view_class in (SITE, OFFICE):
            ratchet = view_start(VIEW_ROOT, view_class)
            for _ in range(lowest):
                check(ratchet not in image, "an old ratchet is on flash")
                ratchet = view_next(ratchet)
            check(ratchet in image, "the ratchet of this period is not on flash")
