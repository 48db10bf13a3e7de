"""Looks now and then at what is left of heap, flash, battery and link, records each change of a level, and puts its measures in force.

The change first, the measures after it: who reads the journal knows why readings are missing from there on. One for which
there is no room changes nothing; the next look tries again.

Source: SPEC.md section 4.6; the table is agent.resources.
"""

from agent.resources import (
    ALL_LEFT,
    ENOUGH,
    HOLD_RELEASES,
    HOLD_ROUTINE,
    LINK,
    NO_REPORTS,
    OPEN_WINDOW,
    RESOURCES,
    SEAL_EARLY,
    SPACE_HEARTBEATS,
    Allowance,
    Levels,
)
from protocol._const import const
from protocol.event import LEVEL
from protocol.keys import CRITICAL, ROUTINE

# Between two looks, real milliseconds: a collection, two walks over the heap and one over the ring's sectors each.
LOOK_MS = const(10000)
# Heartbeats are so many times further apart.
SPACING = const(6)
# Routine events that may wait in memory while the heap is low.
_WAITING_MAX = const(16)
# Releases are not held for longer at a time, real milliseconds: one of them may be what mends the device.
_HELD_MS_MAX = const(86400000)


class Steward:
    """One boot's levels and what follows from them. board, recorder, journal, clock, exchange, telemetry: the agent's.

    may_fetch(is_held): told when releases are held, and when not any more. checkpoint(): called where samples are recorded without a
    hole again. config: Config, of which thresholds, flash_keep and link_day_bytes.
    """

    def __init__(self, board, recorder, journal, clock, exchange, telemetry, may_fetch, checkpoint, config):
        self._board = board
        self._recorder = recorder
        self._journal = journal
        self._clock = clock
        self._exchange = exchange
        self._telemetry = telemetry
        self._may_fetch = may_fetch
        self._checkpoint = checkpoint
        self.levels = Levels(config.thresholds, config.flash_keep)
        self._allowance = Allowance(config.link_day_bytes)
        self.heap_lowest = 0
        self.left = [None] * len(RESOURCES)
        self._look_at = 0
        self._has_looked = False
        self._held_since = None
        self._is_whole_again = False

    @property
    def day_bytes(self) -> int:
        """Bytes that the link may move in a day, 0 for no allowance."""
        return self._allowance.day_bytes

    def allow(self, day_bytes: int) -> None:
        """Give the link another allowance from now on."""
        self._allowance = Allowance(day_bytes, self.moved(), self._clock.real_ms())
        if not day_bytes and self.levels.levels[LINK] != ENOUGH:
            # Nobody counts any more what would bring its level back.
            self._change(LINK, ENOUGH, ALL_LEFT)

    def moved(self) -> int:
        """Return how many bytes the link has moved since boot, both ways."""
        link = self._board.link
        # A board whose journal is read by hand has none.
        return 0 if link is None else link.sent_bytes + link.received_bytes

    def turn(self) -> None:
        """Look, where it is time to, and let the measures in force have their turn."""
        now = self._clock.real_ms()
        if now >= self._look_at:
            self._look_at = now + LOOK_MS
            self._look(now)
        if self._is_whole_again:
            # Who replays the samples cannot know the registers behind a hole: from here on it can. Not where the level changes:
            # that may be in the middle of a command.
            self._is_whole_again = False
            self._checkpoint()
        if self._held_since is not None and now - self._held_since >= _HELD_MS_MAX:
            self._held_since = now
            self._may_fetch(False)
        if self.levels.measures & SEAL_EARLY and self._journal.open_events(ROUTINE) >= _WAITING_MAX:
            self._recorder.seal(ROUTINE)

    def _look(self, now: int) -> None:
        self.left = [
            # Not at a boot's first look: what lives is what was just built, and the walks would come before the first decision.
            self._heap() if self._has_looked else None,
            # Nor this: what a gateway has in custody it says with its first answer.
            self._journal.spare() if self._has_looked else None,
            self._board.battery(),
            self._allowance.left(self.moved(), now),
        ]
        self._has_looked = True
        for resource, level, left in self.levels.changes(self.left):
            self._change(resource, level, left)

    def _heap(self):
        measured = self._board.heap()
        if measured is None:
            return None
        free, whole = measured
        self.heap_lowest = min(self.heap_lowest or free, free)
        return free * ALL_LEFT // whole

    def _change(self, resource: int, level: int, left: int) -> None:
        fields = (resource, level, left) + self.levels.after(resource, level)
        self._recorder.note_passed()
        recorder = self._recorder
        if recorder.record(CRITICAL, self._clock.tick_ms(), LEVEL, fields) and recorder.seal(CRITICAL):
            self.levels.take(resource, level)
            self._put_in_force()

    def _put_in_force(self) -> None:
        measures = self.levels.measures
        keep = self.levels.keep
        if keep != self._recorder.keep:
            self._is_whole_again = keep == 1
        self._recorder.keep = keep
        self._exchange.holds_routine = bool(measures & HOLD_ROUTINE)
        self._exchange.spacing = SPACING if measures & SPACE_HEARTBEATS else 1
        self._exchange.bulk.yields = bool(measures & OPEN_WINDOW)
        self._telemetry.has_events = not measures & NO_REPORTS
        is_held = bool(measures & HOLD_RELEASES)
        if is_held != (self._held_since is not None):
            self._held_since = self._clock.real_ms() if is_held else None
            self._may_fetch(is_held)
        self._telemetry.owe()
        self._exchange.beat_now()
