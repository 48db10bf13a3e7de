"""The journal: events become sealed segments in a ring of raw flash sectors, two lanes, and survive every power cut.

    flash = FileFlash(path, sectors, on_cut=...)            # agent.flash
    cell = Cell(flash, 0); cell.load(); cell.store(boot=cell.boot + 1)
    keystore = Keystore(flash, 2); keystore.open()
    journal = Journal(flash, cell, keystore, device, (OFFICE, SITE), ctr, point=point)
    reason = journal.open()                                 # None, or why a new epoch has to start
    for number, boot, event in journal.replay_critical(): fold(event)
    if reason is not None: journal.start_epoch(reason, tick_ms)
    journal.write_checkpoint = callback                     # () -> None: appends checkpoint parts to CRITICAL and seals
    ... append the boot event, write a checkpoint, journal.seal(CRITICAL)

An event is open (in memory) after append, durable after seal: programmed and read back. Only then is its segment offered, and only
after the 32nd of a generation does the seal key move on. What is where in this package: `run` what is open, `ring` the
sectors, `prune` whose turn it is when room is needed, `recovery` what happens at boot.

The priorities and the tombstone's room are explained in `prune`.
"""

from agent import prune, recovery
from agent.acknowledgements import Acknowledgements
from agent.epoch import FIRST, move_to_next_epoch
from agent.pages import FlashFault
from agent.prune import NoRoom  # noqa: F401  callers catch it from here
from agent.ring import Ring, pages_of
from protocol._const import const
from protocol.event import CHECKPOINT, EPOCH_START
from protocol.keys import CRITICAL, ROUTINE, body_keys, heartbeat_key, tag_key, view_key
from protocol.limits import generation_segments, segment_bytes_max
from protocol.segment import Header, seal_segment

# Orders reserved in the cell at once: one store each so many events.
_ORDERS_AHEAD = const(65536)
# Framing at its longest (SPEC.md section 3.3): whether a plaintext will need one page or two.
_FRAMING_BYTES = const(151)
_PROGRAM_TRIES = const(3)
# The class of the routine lane was never changed, or is wanted and no segment of the lane lies here.
_NEVER = const(-2)
_NONE = const(-1)
# Segments of the critical lane after which a new checkpoint is due.
_CHECKPOINT_SEGMENTS = const(64)


class Journal(Acknowledgements):
    """See the module. ctr(key16, iv16, data) -> bytes. classes: (class of critical, class of routine).

    point(name): called at the named kill points. The ring lies in sectors first_sector .. flash.sectors - 1.
    cell.boot must already be this boot's count (store it before open()).
    write_checkpoint: called before the newest whole checkpoint would be pruned; at most 6 parts fit then.
    """

    def __init__(self, flash, cell, keystore, device, classes, ctr, point=None, first_sector=4):
        assert len(device) == 8 and flash.sectors - first_sector >= 4, "a ring has at least 4 sectors"
        self.device = device
        self.classes = classes
        # What a command wants of the routine lane, and the period of that lane's newest segment with a body: from then on only.
        self.routine_class = classes[ROUTINE]
        self._classed = _NEVER
        self.ctr = ctr
        self.point = point if point is not None else _no_point
        Acknowledgements.__init__(self, Ring(flash, first_sector, self.point), cell, keystore)
        self.write_checkpoint = None
        self.order = 0
        # First number of the newest whole checkpoint, or None; and how far the one being written has come.
        self.checkpoint = None
        # What boot found of it, (number, order), until replay() has used it.
        self.replay_start = None
        self._parts = None
        # Whether its segments since then lie in too many sectors, as counted before this number was sealed.
        self._is_spread = False
        self._counted = None
        self._keys = {}
        self.room_mode = prune.NORMAL

    @property
    def period(self) -> int:
        """The view period in which is sealed."""
        return self.keystore.boot_periods()[-1]

    @property
    def torn_pages(self) -> int:
        """Torn pages met at boot (health counter 8)."""
        return self.ring.torn_pages

    @property
    def segments_since_checkpoint(self) -> int:
        """Critical segments since the newest whole checkpoint began; all of them when there is none."""
        return self.lanes[CRITICAL].next_number - (self.checkpoint or 0)

    @property
    def checkpoint_due(self) -> bool:
        """Whether to write a checkpoint soon: 64 critical segments, or a third of the ring, since the newest."""
        since = self.segments_since_checkpoint
        if self.checkpoint is None or since >= _CHECKPOINT_SEGMENTS:
            return True
        sectors = self.ring.sectors
        most = max(2, len(sectors) // 3)
        # Asked at each turn: so few segments cannot lie in more sectors.
        if since <= most:
            return False
        number = self.lanes[CRITICAL].next_number
        if self._counted != number:
            # Only a new segment makes them more.
            held = [i for i in self.ring.of(CRITICAL, self.epoch) if sectors[i].last >= self.checkpoint]
            self._is_spread = len(held) > most
            self._counted = number
        return self._is_spread

    def open(self):
        """Recover. Return None, or an epoch reason (agent.epoch): call start_epoch with it before recording."""
        return recovery.recover(self)

    def start_epoch(self, reason: int, tick_ms: int, generation_above: int = -1) -> None:
        """Begin an epoch and seal its first event, epoch_start, with the heads of the old one.

        reason: what open() returned, or RESTORED after note_receipt said so, with the receipt's generation.
        An epoch whose start was cut off by the power is not begun twice: only its event is recorded.
        Raises KeyFault if generation_above is 4,096 or more above this lane's own generation.
        REKEYED: all keys were replaced a moment ago; the epoch begins above the generation with which they do.
        """
        starts_here = self.lanes[CRITICAL].next_number == 0 and recovery.keys_fit(self)
        if reason != FIRST and not (
            starts_here and self.cell.epoch_start and self.cell.epoch_start[0] == reason
        ):
            move_to_next_epoch(self, reason, generation_above)
        if not self.cell.is_begun:
            # Before the first segment: a cell without it beside segments is a cell that was lost.
            self.cell.store(is_begun=True)
        fields = self.cell.epoch_start or [FIRST, None, None, None]
        self.append(CRITICAL, (self.next_order(), tick_ms, EPOCH_START, tuple(fields)))
        self.seal(CRITICAL)

    def next_order(self) -> int:
        """Return the next order, unique in the life of the device."""
        order = self.order
        if order >= self.cell.order_reserved:
            self.cell.store(order_reserved=order + _ORDERS_AHEAD)
        self.order += 1
        return order

    def append(self, lane: int, event: tuple) -> bool:
        """Add event (order, tick_ms, kind, fields) to the open run. True: the run is full, call seal_full(lane) now.

        Raises RunFull if the caller goes on without thinning.
        """
        return self.lanes[lane].run.add(event, self.cell.boot)

    def seal_full(self, lane: int) -> list:
        """Seal the largest run that fits one segment, leave the rest open. Return as seal does. Raises NoRoom."""
        first = self.lanes[lane].next_number
        if self.lanes[lane].run.events:
            self._seal_once(lane)
        return list(range(first, self.lanes[lane].next_number))

    def seal(self, lane: int) -> list:
        """Seal all that is open: program, read back; on return it is durable. Raises NoRoom.

        Return the numbers that came into the lane: the events', and those of tombstones and checkpoints that made room.
        """
        first = self.lanes[lane].next_number
        while self.lanes[lane].run.events:
            self._seal_once(lane)
        prune.keep_one_free(self)
        return list(range(first, self.lanes[lane].next_number))

    def _seal_once(self, lane: int) -> None:
        state = self.lanes[lane]
        while True:
            count, plaintext = state.run.longest(self.cell.boot)
            before = (state.next_number, len(state.run.events))
            index = prune.place(self, lane, pages_of(min(len(plaintext) + _FRAMING_BYTES, segment_bytes_max)))
            # Making room may have sealed a tombstone or a checkpoint in this very lane.
            if before == (state.next_number, len(state.run.events)):
                break
            if not state.run.events:
                return
        self.point("before_seal")
        header = self.header(lane, count, self._class_of(lane))
        keys = self.view_keys(header.view_class, header.period)
        raw = seal_segment(header, plaintext, self.tag_key(lane), keys[0], keys[1], self.ctr)
        self.point("after_seal")
        self.commit(lane, index, raw, header)
        self._follow_checkpoint(lane, state.run.events[:count], header)
        state.run.drop_first(count)

    def want_class(self, view_class: int) -> None:
        """Seal the routine lane in this class from the next view period on; from now on, where this period holds nothing of that lane."""
        if self._classed == _NEVER:
            self._classed, in_force = recovery.newest_class(self, ROUTINE) or (_NONE, view_class)
            self.classes = (self.classes[CRITICAL], in_force)
        self.routine_class = view_class

    def _class_of(self, lane: int) -> int:
        if lane == ROUTINE and self._classed != _NEVER and self._classed != self.period:
            # A gateway that reads a period reads all of it, or nothing: the first segment decides.
            self._classed = self.period
            self.classes = (self.classes[CRITICAL], self.routine_class)
        return self.classes[lane]

    def header(self, lane: int, count: int, view_class: int) -> Header:
        """Return the header of the segment that comes next in a lane."""
        state = self.lanes[lane]
        generation = self.keystore.seal_key(lane)[0]
        place = (self.device, lane, self.epoch, state.next_number, state.next_sequence, count, state.previous)
        return Header(*(place + (generation, view_class, self.period)))

    def tag_key(self, lane: int) -> bytes:
        """Return the tag key of a lane's current generation."""
        return tag_key(self.keystore.seal_key(lane)[1])

    def view_keys(self, view_class: int, period: int) -> tuple:
        """Return (body key, iv key). Raises KeyFault if the period's ratchet is not held any more."""
        keys = self._keys.get((view_class, period))
        if keys is None:
            keys = body_keys(view_key(self.keystore.ratchet(view_class, period)[1]))
            self._keys[(view_class, period)] = keys
        return keys

    def forget_keys(self) -> None:
        """Drop view keys from memory: their period, or the epoch, is over."""
        self._keys = {}

    def commit(self, lane: int, index: int, raw: bytes, header: Header) -> None:
        """Program a sealed segment and read it back, then let it be the lane's head and move the key on if it is due."""
        state = self.lanes[lane]
        index = self._program(lane, index, raw)
        sector = self.ring.sectors[index]
        sector.last = header.number
        segment_digest = recovery.digest(raw)
        if (header.number + 1) % generation_segments == 0:
            self.keystore.advance_seal(lane)
        state.previous = segment_digest
        state.next_number = header.number + 1
        state.next_sequence = header.next_sequence()

    def _program(self, lane: int, index: int, raw: bytes) -> int:
        for _ in range(_PROGRAM_TRIES):
            if self.ring.room(index) < pages_of(len(raw)):
                if not self.ring.free():
                    break
                index = prune.take(self, lane)
            if self.ring.program(index, raw):
                return index
        raise FlashFault("{} pages in turn do not keep a segment's bytes".format(_PROGRAM_TRIES))

    def _follow_checkpoint(self, lane: int, events: list, header: Header) -> None:
        if lane != CRITICAL:
            return
        for event in events:
            if event[2] != CHECKPOINT:
                continue
            index, of = event[3][0], event[3][1]
            if index == 0:
                self._parts = (header.number, header.period, 0, of)
            elif self._parts is not None and self._parts[2:] == (index - 1, of):
                self._parts = self._parts[:2] + (index, of)
            else:
                self._parts = None
            if self._parts is not None and index == of - 1:
                self._take_checkpoint(self._parts[0], self._parts[1])

    def _take_checkpoint(self, number: int, period: int) -> None:
        self._parts = self.replay_start = None
        self.checkpoint = number
        if len(self.keystore.boot_periods()) == 2 and period == self.period:
            # State no longer needs the period before: its ratchets, and keys that come from them, end here.
            self.keystore.finish_period()
            self.forget_keys()

    def thin(self, lane: int) -> int:
        """Drop every second open sample and return how many; the caller records a thinning event."""
        return self.lanes[lane].run.thin()

    def spare(self) -> int:
        """Return the share of the ring, in thousandths, that can be taken before something is given up that is nowhere else."""
        return prune.spare(self)

    def open_events(self, lane: int) -> int:
        """Return how many events are open (recorded, not yet sealed)."""
        return len(self.lanes[lane].run.events)

    def oldest_open_tick(self, lane: int):
        """Return tick_ms of the oldest open event, or None."""
        events = self.lanes[lane].run.events
        return events[0][1] if events else None

    def replay_critical(self):
        """Yield (number, boot, event) of the critical lane from the newest whole checkpoint on; all that opens if there is none."""
        return recovery.replay(self)

    def switch_period(self, write_checkpoint) -> None:
        """Seal both lanes, step to the next view period, call write_checkpoint(), then forget the old ratchets.

        A switch that a cut ended is taken up at boot: both periods are held, sealing goes on in the new one, and the first whole
        checkpoint ends it. Raises NoRoom before anything moved; the caller thins and tries again.
        """
        for lane in (ROUTINE, CRITICAL):
            self.seal(lane)
        self.keystore.prepare_period()
        write_checkpoint()
        assert len(self.keystore.boot_periods()) == 1, "write_checkpoint() left no whole checkpoint"

    def heartbeat_key(self) -> tuple:
        """Return (generation, key) with which a heartbeat is sealed now."""
        generation, key = self.keystore.seal_key(CRITICAL)
        return generation, heartbeat_key(key)


def _no_point(name: str) -> None:
    """Be called at a kill point and do nothing."""
