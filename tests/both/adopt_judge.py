"""What the condition of a bundle may know of samples, kept apart from the engine, for the judge of that condition."""

from rules import interpreter
from rules.limits import value_max


class Seen:
    """Last good values, ages and masks of so many channels."""

    def __init__(self, channels):
        self.values = [0] * channels
        self.ticks = [None] * channels
        self.now = self.good = 0

    def take(self, now, values, mask):
        """Look at a sample."""
        self.now = now
        self.good = 0
        for channel in range(len(values)):
            value = values[channel]
            if mask >> channel & 1 and value is not None and abs(value) <= value_max:
                self.values[channel], self.ticks[channel] = value, now
                self.good |= 1 << channel

    def may_adopt(self, condition):
        """Return what a condition says of the newest sample."""
        ages = [value_max if tick is None else self.now - tick for tick in self.ticks]
        ever = sum([1 << i for i in range(len(self.ticks)) if self.ticks[i] is not None])
        return interpreter.may_adopt(condition, self.values, ages, self.now, self.good, ever)
