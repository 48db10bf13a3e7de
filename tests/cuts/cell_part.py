"""The power-safe cell under cuts: after each, it says what the last store that returned said, or the one that was cut; never a mixture."""

from agent.cell import _NAMES as cell_fields
from agent.cell import Cell
from tests.both.flash_site import check
from tests.cuts.recorder import WatchedFlash

# All but the one that may be behind: the receipts ride along with whatever is stored next.
_FIELDS = tuple(name for name in cell_fields if name != "receipts")
_STORES = 20


class CellDevice:
    """A cell on a flash of its own. said: the fields of the last store that returned; asked: those of the one under way."""

    def __init__(self):
        self.flash = WatchedFlash(2)
        self.said = self.asked = None

    def copy(self):
        """Return a device with the same flash and promises."""
        other = CellDevice()
        other.flash = WatchedFlash(2, bytearray(self.flash.image))
        other.said, other.asked = self.said, self.asked
        return other

    def power_on(self):
        """Start again on the same bytes."""
        self.flash = WatchedFlash(2, self.flash.image)

    def load(self):
        """Load the cell; it must say one of the two."""
        self.cell = Cell(self.flash, 0)
        self.cell.load()
        found = self._fields()
        if self.said is not None:
            check(
                found in (self.said, self.asked),
                f"the cell says {found}, told was {self.said}, then {self.asked}",
            )
        self.said = self.asked = found

    def store(self, **changes):
        """Store as a device does; remember when it has returned."""
        self.asked = tuple(changes.get(name, getattr(self.cell, name)) for name in _FIELDS)
        self.cell.store(**changes)
        self.said = self.asked

    def _fields(self):
        return tuple(getattr(self.cell, name) for name in _FIELDS)


class CellPart:
    """Histories of stores of every field that a device changes."""

    name = "cell"

    def area(self, sector):
        """Return what lies in a sector."""
        return self.name

    def start(self, dice):
        """Return a device that has stored up to a whole cell full."""
        device = CellDevice()
        device.load()
        for _ in range(dice.below(34)):
            device.store(boot=device.cell.boot + 1)
        device = device.copy()
        device.power_on()
        return device

    def live(self, device, dice):
        """Load and store."""
        device.load()
        for _ in range(_STORES):
            device.store(**_changes(device.cell, dice))

    def recover(self, device):
        """Load, and store the boot count, as each boot does."""
        device.load()
        device.store(boot=device.cell.boot + 1)

    def check(self, device):
        """Load once more."""
        device.power_on()
        device.load()

    def go_on(self, device):
        """Fill more than a sector; load."""
        for _ in range(20):
            device.store(boot=device.cell.boot + 1)
        self.check(device)


def _changes(cell, dice):
    return (
        {"boot": cell.boot + 1},
        {"sender_reserved": cell.sender_reserved + 64},
        {"order_reserved": cell.order_reserved + 65536},
        {"command_floor": cell.command_floor + 1 + dice.below(3)},
        {"id_context": dice.bytes(8), "sender_reserved": 0},
        {
            "release": [dice.below(2), dice.below(2), dice.below(3), dice.below(1 << 32)],
            "owed": [[1, dice.below(99), 0]],
        },
        {"version_floor": cell.version_floor + 1 + dice.below(9), "owed": []},
        {
            "epoch": cell.epoch + 1,
            "is_begun": True,
            "critical_base": dice.below(99),
            "epoch_start": [1, cell.epoch, None, [3, bytes(32), 9]],
        },
    )[dice.below(8)]
