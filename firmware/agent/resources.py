"""What a device does when heap, flash, battery or link run short: one table, and which of its rows are in force. No I/O, no clock.

A level comes at once when what is left falls to its threshold, and goes only when it has risen a margin above it, so that what
swings about a threshold is one change and not many. What nobody can say (None: no battery, no allowance) leaves a level as it is.

Whatever the levels are, what is critical goes on: decisions, gates, actuators, commands, the critical lane.

Source: SPEC.md section 4.6; docs/operating/degradation.md, which a test holds against the table.
"""

from protocol._const import const

HEAP = const(0)
FLASH = const(1)
BATTERY = const(2)
LINK = const(3)
RESOURCES = ("heap", "flash", "battery", "link")

ENOUGH = const(0)
LOW = const(1)
SCARCE = const(2)

# measures, as SPEC.md section 4.6 numbers them
HOLD_RELEASES = const(1)
HOLD_ROUTINE = const(2)
SPACE_HEARTBEATS = const(4)
SEAL_EARLY = const(8)
NO_REPORTS = const(16)
OPEN_WINDOW = const(32)

# resource, level, at or below so many thousandths left, gone when so many more are left, measures, one sample recorded of so many
TABLE = (
    (HEAP, LOW, 100, 50, HOLD_RELEASES | SEAL_EARLY, 1),
    (HEAP, SCARCE, 50, 30, HOLD_RELEASES | SEAL_EARLY | NO_REPORTS, 2),
    (FLASH, LOW, 150, 100, NO_REPORTS | OPEN_WINDOW, 1),
    (FLASH, SCARCE, 30, 70, NO_REPORTS | OPEN_WINDOW, 4),
    (BATTERY, LOW, 300, 50, HOLD_RELEASES | SPACE_HEARTBEATS, 1),
    (BATTERY, SCARCE, 100, 50, HOLD_RELEASES | HOLD_ROUTINE | SPACE_HEARTBEATS | NO_REPORTS, 4),
    (LINK, LOW, 250, 100, HOLD_RELEASES | SPACE_HEARTBEATS, 2),
    (LINK, SCARCE, 100, 100, HOLD_RELEASES | HOLD_ROUTINE | SPACE_HEARTBEATS | NO_REPORTS, 4),
)

ALL_LEFT = const(1000)
_DAY_MS = const(86400000)


class Levels:
    """The level of each resource. thresholds: resource -> (thousandths at which it is low, scarce), over those of the table.

    flash_keep: one sample of so many is recorded where flash is scarce, None: as the table has it.
    measures: sum of those in force. keep: one sample of so many is recorded. lowest: of each resource since boot, None before any.
    """

    def __init__(self, thresholds=(), flash_keep=None):
        self._rows = [
            row[:2] + (_threshold(row, thresholds),) + row[3:5] + (_keep(row, flash_keep),) for row in TABLE
        ]
        # The rows of each resource: asked at every look.
        self._of = [[row for row in self._rows if row[0] == resource] for resource in range(len(RESOURCES))]
        self.levels = [ENOUGH] * len(RESOURCES)
        self.lowest = [None] * len(RESOURCES)
        self.measures = 0
        self.keep = 1

    def changes(self, left: list) -> list:
        """Return (resource, level, left) of each resource whose level is to change. left: thousandths of each, or None."""
        found = []
        for resource in range(len(RESOURCES)):
            now = left[resource]
            if now is None:
                continue
            now = max(0, min(ALL_LEFT, now))
            lowest = self.lowest[resource]
            self.lowest[resource] = now if lowest is None else min(lowest, now)
            level = self._level(resource, now)
            if level != self.levels[resource]:
                found.append((resource, level, now))
        return found

    def _level(self, resource: int, left: int) -> int:
        held = self.levels[resource]
        level = ENOUGH
        for row in self._of[resource]:
            if left <= row[2] or (held >= row[1] and left < row[2] + row[3]):
                level = row[1]
        return level

    def after(self, resource: int, level: int) -> tuple:
        """Return (measures, keep) of all resources together, were this one at that level."""
        measures, keep = 0, 1
        for row in self._rows:
            if row[1] == (level if row[0] == resource else self.levels[row[0]]):
                measures |= row[4]
                keep = max(keep, row[5])
        return measures, keep

    def take(self, resource: int, level: int) -> None:
        """Put a level in force: its change is recorded."""
        self.measures, self.keep = self.after(resource, level)
        self.levels[resource] = level

    def packed(self) -> int:
        """Return all levels as health counter 12 has them."""
        levels = self.levels
        return levels[HEAP] | levels[FLASH] << 2 | levels[BATTERY] << 4 | levels[LINK] << 6


def _threshold(row: tuple, thresholds) -> int:
    name = RESOURCES[row[0]]
    return thresholds[name][row[1] - LOW] if name in thresholds else row[2]


def _keep(row: tuple, flash_keep) -> int:
    return row[5] if flash_keep is None or row[:2] != (FLASH, SCARCE) else flash_keep


class Allowance:
    """Bytes that a link may move in a day: they run into a bucket evenly, and what is moved is taken out.

    It begins half full with each boot, and holds a day's at most; below nothing it goes as far as a day's, for what is critical
    goes on. moved: bytes of the link since boot, sent and received; real_ms: since boot.
    """

    def __init__(self, day_bytes: int, moved: int = 0, real_ms: int = 0):
        self.day_bytes = day_bytes
        self._moved = moved
        self._real_ms = real_ms
        # Of one byte in a day's worth of milliseconds: nothing is lost by rounding.
        self._held = day_bytes * (_DAY_MS // 2)

    def left(self, moved: int, real_ms: int):
        """Return what is left in thousandths of a day's, or None without an allowance."""
        full = self.day_bytes * _DAY_MS
        if not full:
            return None
        gained = (real_ms - self._real_ms) * self.day_bytes - (moved - self._moved) * _DAY_MS
        self._held = max(-full, min(full, self._held + gained))
        self._moved = moved
        self._real_ms = real_ms
        return max(0, self._held * ALL_LEFT // full)
