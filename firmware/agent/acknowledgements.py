"""What the journal tells others that it holds, and what they have told it: custody and receipts.

Custody lives in memory only: after a boot everything on flash without a receipt counts as unacknowledged until the first answers
come, which costs a few segments sent twice. Receipts go along with whatever the cell stores next, in a running exchange at
least once every 64 requests: who boots with a full ring while the gateway is away must still know what may go first, or
unsent segments would be pruned and receipted ones kept.
"""

import hashlib

from agent.cell import Cell
from agent.keystore import Keystore
from agent.ring import Ring
from protocol.keys import CRITICAL, LANES


class Acknowledgements:
    """The journal's side towards exchange and office: offers out, custody and receipts in. `Journal` is built on it.

    lanes: `run.Lane` of critical and routine, once open. old_receipts: highest receipted number by (lane, epoch) of earlier epochs.
    epoch_seen: highest epoch that any receipt has named; a restored device does not begin one that was there before.
    """

    def __init__(self, ring: Ring, cell: Cell, keystore: Keystore):
        self.ring = ring
        self.cell = cell
        self.keystore = keystore
        self.lanes = []
        self.old_receipts = {}
        self.epoch_seen = 0

    @property
    def epoch(self) -> int:
        """The epoch in which is recorded."""
        return self.cell.epoch

    def read(self, lane: int, number: int, epoch=None):
        """Return the bytes of one segment (current epoch by default), or None when it is not on flash."""
        return self.ring.read(lane, self.epoch if epoch is None else epoch, number)

    def kept_from(self, lane: int) -> int:
        """Return the lowest number of a lane still on flash; its next number when there is none."""
        lowest = self.ring.lowest(lane, self.epoch)
        return self.lanes[lane].next_number if lowest is None else lowest

    def head(self, lane: int):
        """Return a lane's (kept_from, number, digest), or None where nothing was ever sealed."""
        state = self.lanes[lane]
        return (self.kept_from(lane), state.next_number - 1, state.previous) if state.next_number else None

    def offer(self) -> tuple:
        """Return the heads (critical, routine): what a heartbeat carries."""
        return tuple([self.head(lane) for lane in LANES])

    def unacknowledged(self, lane: int):
        """Return the lowest number on flash not in custody and not receipted, or None: what to send next."""
        state = self.lanes[lane]
        from_number = max(state.custody, state.receipt + 1)
        for index in self.ring.of(lane, self.epoch):
            if self.ring.sectors[index].last >= from_number:
                return max(from_number, self.ring.sectors[index].first)
        return None

    def pending(self, lane: int) -> int:
        """Return how many sealed segments are not yet in custody (health counter 7)."""
        first = self.unacknowledged(lane)
        return 0 if first is None else self.lanes[lane].next_number - first

    def is_receipted(self) -> bool:
        """Return whether the office's receipts cover everything sealed, both lanes."""
        return all([lane.receipt + 1 >= lane.next_number for lane in self.lanes])

    def older(self) -> list:
        """Return [(lane, epoch, first, last)] of segments of earlier epochs still on flash and not receipted."""
        ranges = []
        epoch = self.epoch
        for sector in self.ring.sectors:
            if sector.lane is not None and sector.epoch != epoch:
                first = max(sector.first, self.old_receipts.get((sector.lane, sector.epoch), -1) + 1)
                if first <= sector.last:
                    ranges.append((sector.lane, sector.epoch, first, sector.last))
        ranges.sort(key=lambda entry: (entry[1], entry[0], entry[2]))
        return ranges

    def note_custody(self, lane: int, epoch: int, watermark: int) -> None:
        """Take a gateway's custody watermark (it may go back when a gateway is replaced)."""
        if epoch == self.epoch:
            self.lanes[lane].custody = min(watermark, self.lanes[lane].next_number)

    def note_receipt(self, receipt) -> str:
        """Take a verified protocol.messages.Receipt. Return "ok", or "restored": call start_epoch(RESTORED, tick_ms, receipt.generation).

        Restored: the office holds more of this device than the device itself, or than it knew when this epoch began, so this flash is an
        older copy or a clone.
        """
        self.epoch_seen = max(self.epoch_seen, receipt.epoch)
        if receipt.epoch > self.epoch or receipt.generation > self.keystore.seal_key(receipt.lane)[0]:
            return "restored"
        if receipt.epoch < self.epoch:
            if receipt.generation >= self.base(receipt.lane):
                # An older receipt had begun this epoch: the office holds its generation under the one before, and refuses it.
                return "restored"
            key = (receipt.lane, receipt.epoch)
            self.old_receipts[key] = max(receipt.number, self.old_receipts.get(key, -1))
            return "ok"
        state = self.lanes[receipt.lane]
        if receipt.number >= state.next_number:
            return "restored"
        if self._digest(receipt.lane, receipt.number) not in (None, receipt.digest):
            return "restored"
        state.receipt = max(state.receipt, receipt.number)
        self.cell.note_receipts(self.epoch, *[lane.receipt for lane in self.lanes])
        return "ok"

    def _digest(self, lane: int, number: int):
        """Return the digest of a segment of this epoch, or None when it is not on flash."""
        state = self.lanes[lane]
        if number == state.next_number - 1:
            return state.previous
        raw = self.read(lane, number)
        return None if raw is None else hashlib.sha256(raw).digest()

    def base(self, lane: int) -> int:
        """Return the seal generation with which a lane began in this epoch."""
        return self.cell.critical_base if lane == CRITICAL else self.cell.routine_base

    def recall_receipts(self) -> None:
        """Take from the cell what was receipted before this boot. Call with the lanes recovered."""
        if self.cell.receipts is None:
            return
        epoch = self.cell.receipts[0]
        for lane in LANES:
            number = self.cell.receipts[1 + lane]
            if epoch == self.epoch:
                # Never above what is on flash: only a receipt from the office may say that the flash was restored.
                self.lanes[lane].receipt = min(number, self.lanes[lane].next_number - 1)
            elif epoch < self.epoch:
                self.old_receipts[(lane, epoch)] = number
