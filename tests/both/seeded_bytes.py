"""Seeded random values and bytes for tests on both runtimes: the same seed gives the same everywhere."""

from protocol import event
from protocol.cbor import Simple


class Dice:
    """A 64-bit xorshift generator: `random` is not the same on MicroPython."""

    def __init__(self, seed):
        self.state = (seed * 0x9E3779B97F4A7C15 + 1) & 0xFFFFFFFFFFFFFFFF

    def below(self, n):
        """Return 0 .. n - 1."""
        x = self.state
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
        self.state = x
        return (x >> 11) % n

    def bits(self):
        """Return an integer of a random length up to 62 bits, either sign."""
        value = self.below(1 << 53) * self.below(1 << 9) >> self.below(63)
        return value if self.below(2) else -value

    def bytes(self, n):
        """Return n bytes."""
        return bytes([self.below(256) for _ in range(n)])


class QuickDice:
    """A 32-bit xorshift generator: no integer outgrows a machine word, so that it is quick where it is made a million times a run.

    seed, index: one generator for each thing that is to be repeated alone, without what came before it.
    """

    def __init__(self, seed, index):
        self.state = (seed * 2654435761 + index * 362437 + 88675123) & 0xFFFFFFFF or 1
        # Seeds that lie side by side begin alike.
        self.below(2)
        self.below(2)

    def below(self, n):
        """Return 0 .. n - 1."""
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return (x >> 7) % n


def random_value(dice, depth=5):
    """Return a value of the CBOR subset."""
    kind = dice.below(9 if depth else 6)
    if kind < 2:
        return dice.bits()
    if kind == 2:
        return dice.bytes(dice.below(30))
    if kind == 3:
        return "".join([chr((65, 0xFC, 0x6C34, 0x1F600)[dice.below(4)]) for _ in range(dice.below(9))])
    if kind == 4:
        return (None, True, False)[dice.below(3)]
    if kind == 5:
        return Simple((dice.below(20), 32 + dice.below(224))[dice.below(2)])
    if kind < 8:
        return [random_value(dice, depth - 1) for _ in range(dice.below(5))]
    return dict([(dice.bits(), random_value(dice, depth - 1)) for _ in range(dice.below(5))])


def changed(dice, raw):
    """Return raw with a bit flipped, a byte replaced, left out or put in, or cut off."""
    at = dice.below(len(raw))
    how = dice.below(5)
    if how == 0:
        return raw[:at] + bytes([raw[at] ^ (1 << dice.below(8))]) + raw[at + 1 :]
    if how == 1:
        return raw[:at] + dice.bytes(1) + raw[at + 1 :]
    if how == 2:
        return raw[:at] + raw[at + 1 :]
    if how == 3:
        return raw[:at] + dice.bytes(1) + raw[at:]
    return raw[:at]


def random_column(dice):
    """Return 1..60 integers: steady, noisy, with outliers, or anything."""
    base, step, noise = dice.bits() >> 8, dice.bits() >> 40, 1 << dice.below(12)
    values = [base + i * step + dice.below(noise) for i in range(1 + dice.below(60))]
    for _ in range(dice.below(4)):
        values[dice.below(len(values))] = dice.bits()
    return values


def random_events(dice):
    """Return (boot, events) of one segment: samples with every quality, and rows between them."""
    order, tick = dice.below(1 << 40), dice.below(1 << 40)
    channels = 1 + dice.below(8)
    listed = []
    for _ in range(1 + dice.below(6)):
        if dice.below(2):
            listed.append((order, tick, event.SAMPLE, _reading(dice, channels)))
        else:
            listed.append((order, tick) + _row(dice))
        order += 1 + dice.below(3)
        tick += dice.below(100000)
    return dice.below(1 << 32), listed


def _reading(dice, channels):
    qualities = [dice.below(7) * dice.below(2) for _ in range(channels)]
    values = [None if quality else dice.bits() >> 30 for quality in qualities]
    return values, qualities


def _row(dice):
    return (
        (event.BOOT, (dice.below(4), dice.below(1 << 40))),
        (event.CHECKPOINT, (0, 1 + dice.below(16), dice.bytes(1 + dice.below(20)))),
        (event.ACTION, (1 + dice.below(9), dice.below(4), dice.bits(), dice.below(3))),
        (event.TIME_MARK, (dice.below(1 << 44), dice.below(1000))),
        (event.HEALTH, ({0: dice.bits(), 3: dice.bits()},)),
        (11 + dice.below(99), (random_value(dice, 2),)),
    )[dice.below(6)]
