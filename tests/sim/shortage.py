"""What a simulated device has of battery, heap and link, and what a plan takes of it for some hours: docs/operating/degradation.md."""

from agent.flash import PowerCut
from protocol.command import LINK_DAY_BYTES
from tests.sim.history import Crash

PLENTY = 1000
DAY_S = 86_400
_OFF_S = 5
# Thousandths of a battery: low, scarce, empty; of a heap: low, scarce; bytes that a link may move in a day: plenty, few, hardly any.
BATTERY = (250, 80, 0)
HEAP = (90, 40)
ALLOWANCE = (60_000, 8_000, 1_500)


class Shortage:
    """One device's supplies. A board made of them is asked what is left, as one with a gauge is."""

    def __init__(self, device):
        self._device = device
        self.battery_left = self.heap_left = PLENTY
        self.day_bytes = 0
        self._last_s = None

    def tell(self, board):
        """Let a board measure what there is."""
        board.battery = lambda: self.battery_left
        board.heap = lambda: (self.heap_left, PLENTY)

    def take(self, what, left, seconds):
        """Leave only so much of one of them, and give it back after so long."""
        self._set(what, left)
        self._device.world.after(seconds, lambda: self.give_back(what))

    def give_back(self, what):
        """Let there be enough again."""
        if getattr(self, what) != _ENOUGH[what]:
            self._set(what, _ENOUGH[what])

    def end(self):
        """Let there be enough of all."""
        for what in _ENOUGH:
            self.give_back(what)

    def _set(self, what, left):
        setattr(self, what, left)
        self._last_s = self._device.world.time.now
        if what == "day_bytes" and self._device.agent is not None:
            try:
                # As a command does it.
                self._device.agent.change(LINK_DAY_BYTES, left)
            except (PowerCut, Crash):
                # It writes, and its power may end in that; nobody above here is the device.
                self._device.power_off(_OFF_S)

    def may_be_quiet(self):
        """Say whether its heartbeats may be further apart, or the office may not have heard yet that they are not any more."""
        is_short = any(getattr(self, what) != left for what, left in _ENOUGH.items())
        return is_short or (self._last_s is not None and self._device.world.time.now - self._last_s < DAY_S)


_ENOUGH = {"battery_left": PLENTY, "heap_left": PLENTY, "day_bytes": 0}
