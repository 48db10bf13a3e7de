"""Faults planted in the device's storage, by name: NAME -> plant(patch), where patch(object, attribute, value) undoes itself.

Each is a mistake somebody could make in good faith. tests/canary/test_device.py shows that a named check catches it.
"""

from agent import flash, journal, keystore, pages, prune, recovery, ring, run
from agent.cell import Cell
from protocol.limits import generation_segments
from protocol.segment import parse_segment


def acknowledge_before_readback(patch):
    """Take a program for done without reading it back."""
    real = ring.Ring.program

    def program(self, index, raw):
        real(self, index, raw)
        self.sectors[index].page = min(16, self.sectors[index].page)
        return True

    patch(ring.Ring, "program", program)


def acknowledge_before_program(patch):
    """Hold a segment back in memory until the next one comes, and call it durable."""
    held = []

    def program(self, index, raw):
        sector = self.sectors[index]
        pages = ring.pages_of(len(raw))
        held.append((self._flash, self._offset(index, sector.page), raw + b"\xff" * (256 * pages - len(raw))))
        sector.page += pages
        if len(held) > 1:
            window, offset, data = held.pop(0)
            window.program(offset, data)
        return True

    patch(ring.Ring, "program", program)


def rewrite_torn_page_in_place(patch):
    """Go on at the torn page instead of behind it."""

    def skip_rest(self, index, sector):
        held = [page + ring.pages_of(len(raw)) for page, raw in self.records(index) if raw and _fits(raw)]
        sector.page = max([0, *held])

    patch(ring.Ring, "_skip_rest", skip_rest)


def _fits(raw):
    return raw[-1] != 0xFF and ring._parse(raw) is not None


def erase_before_tombstone(patch):
    """Make room first, and say afterwards what is gone."""

    def write_tombstone(self, lane, victim):
        tombstone = prune._tombstone(self, lane, victim)
        self.ring.erase(victim)
        index = prune.place(self, lane, 1)
        header = self.header(lane, 1, prune.CLEAR)
        self.commit(lane, index, prune.seal_tombstone(header, tombstone, self.tag_key(lane)), header)

    patch(prune, "_write_tombstone", write_tombstone)


def forget_tombstone(patch):
    """Prune without a word."""
    patch(prune, "_write_tombstone", lambda self, lane, victim: None)


def forget_earlier_tombstone(patch):
    """Begin each tombstone anew, so that the newest does not stand for all."""
    real = prune._tombstone

    def tombstone(self, lane, victim):
        self.lanes[lane].tombstone = None
        return real(self, lane, victim)

    patch(prune, "_tombstone", tombstone)


def prune_the_checkpoint(patch):
    """Prune the newest checkpoint without writing a new one."""
    patch(prune, "_renew_checkpoint", lambda self: None)


def use_the_last_sector(patch):
    """Give events the sector that a tombstone may need."""
    real = ring.Ring.free
    patch(ring.Ring, "free", lambda self: real(self) + 1 if real(self) else 0)


def prune_the_newest_first(patch):
    """Take a lane's newest full sector instead of its oldest."""

    def candidates(self):
        found = [self.ring.of(lane, self.epoch) for lane in (0, 1)]
        return [held[-2] for held in found if len(held) > 1]

    patch(prune, "_candidates", candidates)


def keep_old_key(patch):
    """Leave an old key on flash once the new one is written."""
    patch(keystore.Keystore, "_zero", lambda self, page: None)


def zero_old_key_first(patch):
    """Zero the old key before the new one is on flash."""

    def replace(self, chain, step, key):
        self._zero(self._live[chain][0][2])
        self._live[chain] = []
        self._live[chain] = [(step, key, self._write(chain, step, key))]

    patch(keystore.Keystore, "_replace", replace)


def forget_interrupted_move(patch):
    """Trust the first key sector at boot, whatever the other one holds."""
    real = keystore.Keystore._scan

    def scan(self, sector):
        return real(self, sector) if sector == self._first else []

    patch(keystore.Keystore, "_scan", scan)


def zero_ratchet_before_checkpoint(patch):
    """End a view period before the state can be read in the next one."""

    def switch_period(self, write_checkpoint):
        for lane in (1, 0):
            self.seal(lane)
        self.keystore.prepare_period()
        self.keystore.finish_period()
        self._keys = {}
        write_checkpoint()

    patch(journal.Journal, "switch_period", switch_period)


def cell_in_place(patch):
    """Keep the cell in one page of one sector, erased before each store."""

    def place(self):
        self._flash.erase(self._first)
        return self._first, 0

    patch(Cell, "_place", place)


def trust_torn_page(patch):
    """Take the length of an item for proof that it is whole."""

    def decode_page(label, page):
        try:
            return pages.load_prefix(page)[0] if page[0] not in (0, 0xFF) else None
        except pages.ProtocolError:
            return None

    patch(pages, "decode_page", decode_page)
    patch(keystore, "decode_page", decode_page)


def reuse_number(patch):
    """Go on at boot with the newest number instead of the next."""
    real = recovery._recover_lane

    def recover_lane(self, lane, found):
        real(self, lane, found)
        state = self.lanes[lane]
        if state.next_number % generation_segments > 1:
            head = parse_segment(self.ring.read(lane, self.epoch, state.next_number - 1)).header
            state.next_number, state.next_sequence, state.previous = (
                head.number,
                head.first_sequence,
                head.previous,
            )

    patch(recovery, "_recover_lane", recover_lane)


def reuse_order(patch):
    """Begin the orders of each boot at zero."""
    patch(recovery, "_next_order", lambda self: 0)


def move_key_before_readback(patch):
    """Move the seal key on when the last segment of a generation is sealed, before it is on flash."""
    real = ring.Ring.program
    owners = []
    opened = journal.Journal.open

    def open_journal(self):
        owners[:] = [self]
        return opened(self)

    def commit(self, lane, index, raw, header):
        if (header.number + 1) % generation_segments == 0:
            self.keystore.advance_seal(lane)
            self.keystore.advance_seal, kept = lambda lane: None, self.keystore.advance_seal
            real_commit(self, lane, index, raw, header)
            self.keystore.advance_seal = kept
        else:
            real_commit(self, lane, index, raw, header)

    real_commit = journal.Journal.commit
    patch(journal.Journal, "open", open_journal)
    patch(journal.Journal, "commit", commit)
    patch(ring.Ring, "program", real)


def never_check_seals(patch):
    """Take every record at boot that has the shape of one."""
    patch(recovery, "_is_good", lambda self, segment: True)


def loose_fill(patch):
    """Call a run full long before it is."""
    patch(run, "events_bytes_max", 120)


def program_sets_bits(patch):
    """Let flash take ones over zeros, as no flash does."""
    patch(flash, "_and", lambda old, data: bytes(data))


# Fault -> (plant, name of the check in tests/agent/power_cuts.py or scenario that catches it).
DEVICE_FAULTS = {
    "acknowledge_before_readback": (acknowledge_before_readback, "bad_pages"),
    "acknowledge_before_program": (acknowledge_before_program, "pruning"),
    "rewrite_torn_page_in_place": (rewrite_torn_page_in_place, "pruning"),
    "erase_before_tombstone": (erase_before_tombstone, "pruning"),
    "forget_tombstone": (forget_tombstone, "pruning"),
    "forget_earlier_tombstone": (forget_earlier_tombstone, "pruning"),
    "prune_the_checkpoint": (prune_the_checkpoint, "pruning_the_checkpoint"),
    "use_the_last_sector": (use_the_last_sector, "pruning"),
    "prune_the_newest_first": (prune_the_newest_first, "pruning"),
    "keep_old_key": (keep_old_key, "keystore"),
    "zero_old_key_first": (zero_old_key_first, "keystore"),
    "forget_interrupted_move": (forget_interrupted_move, "keystore"),
    "zero_ratchet_before_checkpoint": (zero_ratchet_before_checkpoint, "switching_the_period"),
    "cell_in_place": (cell_in_place, "cell"),
    "trust_torn_page": (trust_torn_page, "keystore"),
    "reuse_number": (reuse_number, "pruning"),
    "reuse_order": (reuse_order, "crossing_a_generation"),
    "move_key_before_readback": (move_key_before_readback, "crossing_a_generation"),
    "never_check_seals": (never_check_seals, "torn_tags"),
    "loose_fill": (loose_fill, "fill"),
    "program_sets_bits": (program_sets_bits, "flash"),
}
