"""The sweep: histories of a part under every cut, each cut followed by another one inside its recovery, until a budget is used up.

A cut is named by `part:seed:operation:mode`, a second one inside the recovery from it by `:operation:mode` behind that. The name is all
that it takes to repeat it: `python -m tests.cuts --replay NAME`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from agent.flash import MODES
from tests.both.seeded_bytes import Dice
from tests.cuts.memory import remembered
from tests.cuts.recorder import record

# One in so many recovered devices also has to work on and boot again.
_GO_ON_EVERY = 16


class CutFailure(AssertionError):
    """A promise was broken after a cut, or two. The text names the cut and how to repeat it."""


class Name(NamedTuple):
    """Which cut: of which history, at which operation, in which mode; second: (operation, mode) inside the recovery, or None."""

    part: str
    seed: int
    operation: int
    mode: str
    second: tuple | None = None

    def __str__(self):
        behind = "" if self.second is None else ":{}:{}".format(*self.second)
        return f"{self.part}:{self.seed}:{self.operation}:{self.mode}{behind}"


def parse_name(text):
    """Return the Name that a text gives. Raises ValueError."""
    words = text.split(":")
    if len(words) not in (4, 6) or not {words[3], words[-1]} <= set(MODES):
        raise ValueError(
            f"{text!r} is no cut: part:seed:operation:mode[:operation:mode], modes {', '.join(MODES)}"
        )
    second = (int(words[4]), words[5]) if len(words) == 6 else None
    return Name(words[0], int(words[1]), int(words[2]), words[3], second)


@dataclass
class Tally:
    """What was tried: cuts in all, those at depth two, histories, their operations, cuts by mode, and by the place that was worked on."""

    cuts: int = 0
    second_cuts: int = 0
    histories: int = 0
    operations: int = 0
    modes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    places: dict[str, int] = field(default_factory=dict)

    def count(self, mode, depth, place):
        self.cuts += 1
        self.second_cuts += depth == 2
        self.modes[mode] += 1
        self.places[place] = self.places.get(place, 0) + 1


def sweep(part, cuts, seed=1, all_pairs=False):
    """Cut histories of a part from this seed on until so many cuts were tried, every operation of each; return a Tally.

    all_pairs: each operation inside each recovery is cut in each mode; otherwise one of them, by the dice.
    Raises CutFailure at the first broken promise.
    """
    tally = Tally()
    with remembered():
        while tally.cuts < cuts:
            _History(part, seed, tally, all_pairs).cut_everywhere()
            seed += 1
    return tally


def replay(part, name):
    """Repeat one cut. Raises CutFailure if it still breaks a promise."""
    with remembered():
        history = _History(part, name.seed, Tally(), False)
        if name.operation >= len(history.moments):
            raise ValueError(
                f"history {name.seed} of {part.name} has {len(history.moments)} operations, not {name.operation + 1}"
            )
        inner = history.cut_once(name._replace(second=None))
        if name.second is not None:
            history.cut_within(inner, name)


class _History:
    """One recorded history and its cuts."""

    def __init__(self, part, seed, tally, all_pairs):
        self._part = part
        self._seed = seed
        self._tally = tally
        self._all_pairs = all_pairs
        dice = Dice(seed)
        device = part.start(dice)
        self.moments = self._guard(
            Name(part.name, seed, -1, MODES[0]), lambda: record(device, lambda it: part.live(it, dice))
        )
        tally.histories += 1
        tally.operations += len(self.moments)

    def cut_everywhere(self):
        for operation in range(len(self.moments)):
            for mode in MODES:
                name = Name(self._part.name, self._seed, operation, mode)
                inner = self.cut_once(name)
                for second in self._seconds(name, inner):
                    self.cut_within(inner, name._replace(second=second))

    def _seconds(self, name, inner):
        if self._all_pairs:
            return [(operation, mode) for operation in range(len(inner)) for mode in MODES]
        dice = Dice(_cut_seed(name) + 1)
        return [(dice.below(len(inner)), MODES[dice.below(3)])] if inner else []

    def cut_once(self, name):
        """Cut, recover, check; return the Moments of the recovery."""
        return self._cut(self.moments[name.operation], name, name.mode)

    def cut_within(self, inner, name):
        """Cut the recovery, recover from that, check."""
        self._cut(inner[name.second[0]], name, name.second[1])

    def _cut(self, moment, name, mode):
        seed = _cut_seed(name)
        device = moment.cut(mode, seed)
        device.power_on()
        place = f"{self._part.area(moment.sector())} {moment.operation[0]}"
        self._tally.count(mode, 1 if name.second is None else 2, place)
        return self._guard(name, lambda: self._recover(device, seed % _GO_ON_EVERY == 0))

    def _recover(self, device, goes_on):
        inner = record(device, self._part.recover)
        self._part.check(device)
        if goes_on:
            self._part.go_on(device)
        return inner

    def _guard(self, name, run):
        try:
            return run()
        except Exception as error:
            text = f"{type(error).__name__}: {error}\nrepeat: .venv/bin/python -m tests.cuts --replay {name}"
            raise CutFailure(text) from error


def _cut_seed(name):
    """Return the seed of the noise of a cut: another for each."""
    second = name.second or (-1, MODES[0])
    place = (name.operation * 3 + MODES.index(name.mode)) * 1009 + second[0] * 3 + MODES.index(second[1]) + 5
    return (name.seed * 1_000_003 + place) & 0x7FFFFFFF
