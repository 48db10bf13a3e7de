"""The journal: events become sealed segments in a ring of raw flash sectors, two lanes, and survive every power cut.

SKELETON: signatures are final, bodies follow. Typical use:

    flash = FileFlash(path, sectors, on_cut=...)            # agent.flash
    cell = Cell(flash, 0); cell.load()                      # agent.cell
    keystore = Keystore(flash, 2); keystore.open()          # agent.keystore
    journal = Journal(flash, cell, keystore, device, (OFFICE, SITE), ctr, point=point)
    reason = journal.open()                                 # None, or why a new epoch has to start
    for number, boot, event in journal.replay_critical(): fold(event)
    if reason is not None: journal.start_epoch(reason, tick_ms)
    journal.write_checkpoint = callback                     # () -> None: appends checkpoint parts to CRITICAL and seals
    ... append boot event, write a checkpoint, journal.seal(CRITICAL)
"""


class NoRoom(Exception):
    """Nothing may be pruned for this lane now: the caller thins (`Journal.thin`), records that, and tries later."""


class Journal:
    """See the module. ctr(key16, iv16, data) -> bytes. classes: (class of critical, class of routine).

    point(name): called at the named kill points. The ring lies in sectors first_sector .. flash.sectors - 1.
    cell.boot must already be this boot's count (store it before open()).
    """

    def __init__(self, flash, cell, keystore, device, classes, ctr, point=None, first_sector=4):
        """Attributes others read: epoch, boot, torn_pages, period, checkpoint_due, segments_since_checkpoint."""

    def open(self):
        """Recover. Return None, or an epoch reason (0 first, 1 restored, 3 unreadable): call start_epoch with it before recording."""

    def start_epoch(self, reason: int, tick_ms: int, generation_above: int = -1) -> None:
        """Begin an epoch (reason 0 or an interrupted start: only record its first event). Seals the epoch_start event."""

    def next_order(self) -> int:
        """Return the next order, unique in the life of the device."""

    def append(self, lane: int, event: tuple) -> bool:
        """Add event (order, tick_ms, kind, fields) to the open run. True: the run is full, call seal_full(lane) now."""

    def seal_full(self, lane: int) -> list:
        """Seal the largest run that fits one segment, leave the rest open. Return numbers. Raises NoRoom."""

    def seal(self, lane: int) -> list:
        """Seal all that is open: program, read back. Return the numbers; on return they are durable. Raises NoRoom."""

    def thin(self, lane: int) -> int:
        """Drop every second open sample and return how many; the caller records a thinning event."""

    def open_events(self, lane: int) -> int:
        """Return how many events are open (recorded, not yet sealed)."""

    def oldest_open_tick(self, lane: int):
        """Return tick_ms of the oldest open event, or None."""

    def read(self, lane: int, number: int, epoch=None):
        """Return the bytes of one segment (current epoch by default), or None when it is not on flash."""

    def offer(self) -> tuple:
        """Return the heads (critical, routine), each (kept_from, number, digest) or None: what a heartbeat carries."""

    def unacknowledged(self, lane: int):
        """Return the lowest number on flash not in custody and not receipted, or None: what to send next."""

    def pending(self, lane: int) -> int:
        """Return how many sealed segments are not yet in custody (health counter 7)."""

    def is_receipted(self) -> bool:
        """Return whether the office's receipts cover everything sealed, both lanes."""

    def older(self) -> list:
        """Return [(lane, epoch, first, last)] of segments of earlier epochs still on flash and not receipted."""

    def note_custody(self, lane: int, epoch: int, watermark: int) -> None:
        """Take a gateway's custody watermark (it may go back when a gateway is replaced)."""

    def note_receipt(self, receipt) -> str:
        """Take a verified protocol.messages.Receipt. Return "ok", or "restored": call start_epoch(1, tick_ms, receipt.generation)."""

    def replay_critical(self):
        """Yield (number, boot, event) of the critical lane from the newest whole checkpoint on."""

    def switch_period(self, write_checkpoint) -> None:
        """Seal both lanes, step to the next view period, call write_checkpoint(), then forget the old ratchets."""

    def heartbeat_key(self) -> tuple:
        """Return (generation, key) with which a heartbeat is sealed now."""
