"""The power-safe cell: the few numbers of a device that must never go back, in two sectors used in turn.

Every store programs one more page [serial, fields, check] behind the newest; when the sector is full the other one is erased
and taken. The sector with the newest valid page is never erased, so that at every cut there is one; the highest serial wins.
"""

from agent.flash import PAGE_BYTES
from agent.pages import PAGES_PER_SECTOR, FlashFault, decode_page, encode_page, page_offset, tail_page

_LABEL = b"outstation cell v1"
# Two sectors' worth of pages that do not keep their bytes: the part is worn out.
_TRIES_MAX = 2 * PAGES_PER_SECTOR

_NAMES = (
    "boot",
    "epoch",
    "critical_base",
    "routine_base",
    "sender_reserved",
    "id_context",
    "command_floor",
    "version_floor",
    "order_reserved",
    "epoch_start",
    "is_begun",
    "receipts",
    "release",
    "rejected",
    "owed",
    "failed",
)
_OWED = len(_NAMES) - 2

# Adoption steps that can be owed at once: a trial's beginning and end, and that the slot before it is damaged.
OWED_MAX = 3


class Cell:
    """The cell in sectors first_sector and the next one. After load() every field is an attribute.

    boot: how often the device has started. epoch; critical_base, routine_base: seal generation of its number 0.
    sender_reserved, id_context: of agents that kept the state of their link; what is there stays (agent/session.py).
    command_floor: highest command taken. version_floor: number of the release confirmed last, the lowest still accepted.
    order_reserved: orders below it may have been used. epoch_start: fields of the epoch's first event
    [reason, old epoch, critical head, routine head], or None in the first epoch.
    is_begun: an epoch was begun under this cell; not so in a cell never stored, or lost.
    receipts: [epoch, critical, routine], the highest receipted numbers (-1: none) as of the newest store, or None. The only
    field that may be behind: `note_receipts` changes it in memory, and whatever is stored next takes it along.
    release: [active slot or -1, slot on trial or -1, starts of this trial, its number]. rejected: highest number rolled back.
    owed: [step, number, detail] of each adoption step whose event is not known to be durable, at most OWED_MAX.
    failed: starts of the confirmed agent that ended by themselves, since it was healthy last; see agent.starter.
    """

    def __init__(self, flash, first_sector: int = 0):
        self._flash = flash
        self._first = first_sector
        self._sector = first_sector
        self._serial = 0
        (
            self.boot,
            self.epoch,
            self.critical_base,
            self.routine_base,
            self.sender_reserved,
            self.id_context,
            self.command_floor,
            self.version_floor,
            self.order_reserved,
            self.epoch_start,
            self.is_begun,
            self.receipts,
            self.release,
            self.rejected,
            self.owed,
            self.failed,
        ) = _new()

    def _set(self, fields: list) -> None:
        for i in range(len(_NAMES)):
            setattr(self, _NAMES[i], fields[i])

    def load(self) -> None:
        """Read the newest valid page. A cell never stored has every field at its start."""
        for sector in (self._first, self._first + 1):
            item = self._newest(sector)
            if item is not None and item[0] > self._serial:
                self._serial = item[0]
                self._sector = sector
                self._set(item[1:] + list(_new()[len(item) - 1 :]))

    def _newest(self, sector: int):
        """Return the item of a sector's last valid page, or None. Pages are programmed in turn: none before it is newer."""
        for page in range(PAGES_PER_SECTOR - 1, -1, -1):
            item = decode_page(_LABEL, self._flash.read(page_offset(sector, page), PAGE_BYTES))
            if item is not None:
                return item
        return None

    def note_receipts(self, epoch: int, critical: int, routine: int) -> None:
        """Let the next store, of whatever field, make these numbers durable: not worth a program of their own."""
        self.receipts = [epoch, critical, routine]

    def store(self, **changes) -> None:
        """Change fields; durable, and read back, when this returns. Raises FlashFault if no page keeps its bytes."""
        fields = [changes.pop(name, getattr(self, name)) for name in _NAMES]
        assert not changes, "the cell has no field {}".format(", ".join(changes))
        assert len(fields[_OWED]) <= OWED_MAX, "{} steps are owed".format(len(fields[_OWED]))
        serial = self._serial + 1
        self._sector = self._program(encode_page(_LABEL, [serial] + fields))
        self._serial = serial
        self._set(fields)

    def _program(self, data: bytes) -> int:
        for _ in range(_TRIES_MAX):
            sector, page = self._place()
            offset = page_offset(sector, page)
            self._flash.program(offset, data)
            if self._flash.read(offset, PAGE_BYTES) == data:
                return sector
        raise FlashFault(
            "no page of the cell in sectors {} and {} keeps its bytes".format(self._first, self._first + 1)
        )

    def _place(self) -> tuple:
        other = 2 * self._first + 1 - self._sector
        for sector in (self._sector, other):
            page = tail_page(self._flash, sector)
            if page < PAGES_PER_SECTOR:
                return sector, page
        self._flash.erase(other)
        return other, 0


def _new():
    """Return every field of a cell that was never stored."""
    return 0, 0, 0, 0, 0, None, 0, 0, 0, None, False, None, [-1, -1, 0, 0], 0, [], 0
