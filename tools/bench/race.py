"""Contenders of one case, lap after lap in turn, on the same work: what each made of it, and how they compare within a round.

A machine drifts: other work, a warm processor, a disk that flushes. So contenders never run one after the other but in turn
(A B C, B C A, ...), and a ratio is made of two laps of the same round. What is reported of rates and ratios is the median with
the least and the greatest.

Every contender of a round must report the same count of the same work. What it counts it found after the clock had stopped: rows of
a store opened anew, messages of a stream, decisions that came out the same. Two cannot, and say so where they count: an appended
file is compared with what was written, byte by byte, and the device works its count out again and holds it against what its
flash says (`micropython/lap.py`), because a ring gives up its oldest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Lap:
    """What one lap did: count of its units, the seconds it took, and what else is worth knowing, by name."""

    count: int
    seconds: float
    more: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.count / self.seconds


@dataclass(frozen=True)
class Contender:
    """Who runs. name: short; means: what it does and what its acknowledgement is worth. lap(): one lap, set-up not timed."""

    name: str
    means: str
    lap: Callable[[], Lap]


@dataclass(frozen=True)
class Skipped:
    """Who should have run and did not. why: what is missing; fix: what to do about it. Neither is ever empty."""

    name: str
    why: str
    fix: str


@dataclass(frozen=True)
class Figure:
    """What was found of one contender: values in the unit of its case, one a lap."""

    name: str
    means: str
    values: tuple[float, ...]
    more: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """(greatest - least) / median: how much the laps of one contender differ."""
        return (max(self.values) - min(self.values)) / self.median


@dataclass(frozen=True)
class Ratio:
    """How the first contender compares to another, lap by lap of the same round; above 1 it is ahead."""

    to: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)


@dataclass(frozen=True)
class Case:
    """One table row group: contenders on one work. The first figure is Outstation's; better: HIGHER or LOWER.

    units: of the work, in all contenders' laps. note: what a reader must know to judge the row.
    """

    name: str
    unit: str
    better: str
    units: int
    figures: tuple[Figure, ...]
    skipped: tuple[Skipped, ...]
    note: str = ""

    def ratios(self) -> list[Ratio]:
        """Return how the first contender compares to each of the others."""
        if not self.figures:
            return []
        ours, *others = self.figures
        return [Ratio(other.name, tuple(self._ahead(ours, other))) for other in others]

    def _ahead(self, ours: Figure, other: Figure) -> Iterable[float]:
        for mine, its in zip(ours.values, other.values, strict=True):
            yield mine / its if self.better == HIGHER else its / mine

    def as_json(self) -> dict[str, Any]:
        """Return the case as build/bench.json holds it."""
        return {
            "case": self.name,
            "unit": self.unit,
            "better": self.better,
            "units": self.units,
            "note": self.note,
            "contenders": [
                {
                    "name": figure.name,
                    "means": figure.means,
                    **_span(figure.values),
                    "laps": [_short(value) for value in figure.values],
                    **{name: _short(value) for name, value in figure.more.items()},
                }
                for figure in self.figures
            ],
            "ratios": [{"to": ratio.to, **_span(ratio.values)} for ratio in self.ratios()],
            "skipped": [
                {"name": skipped.name, "why": skipped.why, "fix": skipped.fix} for skipped in self.skipped
            ],
        }


def _span(values: tuple[float, ...]) -> dict[str, float]:
    return {"median": _short(median(values)), "min": _short(min(values)), "max": _short(max(values))}


def _short(value: float) -> float:
    """Return four significant digits: more would be a claim that no lap supports."""
    return float(f"{value:.4g}")


def race(
    name: str,
    unit: str,
    runners: Sequence[Contender | Skipped],
    rounds: int,
    tell: Callable[[str], None],
    note: str = "",
) -> Case:
    """Return the case of rates that these contenders run for so many rounds, the first of them ours.

    tell: told who runs. An assertion fails where two contenders of a round did not do the same work, or one left the
    race without a reason: no figure is better than a wrong one.
    """
    ready = [runner for runner in runners if isinstance(runner, Contender)]
    assert not ready or runners[0] is ready[0], f"{name}: peers without us compare with nothing"
    laps: dict[str, list[Lap]] = {contender.name: [] for contender in ready}
    for number in range(rounds):
        for place in range(len(ready)):
            contender = ready[(number + place) % len(ready)]
            tell(f"{name}: round {number + 1} of {rounds}, {contender.name}")
            laps[contender.name].append(contender.lap())
        counts = {contender.name: laps[contender.name][-1].count for contender in ready}
        assert len(set(counts.values())) <= 1, f"{name}: not the same work: {counts}"
    figures = tuple(_figure(contender, laps[contender.name]) for contender in ready)
    skipped = tuple(runner for runner in runners if isinstance(runner, Skipped))
    units = laps[ready[0].name][0].count if ready else 0
    case = Case(name, unit, HIGHER, units, figures, skipped, note)
    check_complete(case, [runner.name for runner in runners], rounds)
    return case


def _figure(contender: Contender, laps: list[Lap]) -> Figure:
    names = laps[0].more if laps else {}
    more = {name: median(lap.more[name] for lap in laps) for name in names}
    return Figure(contender.name, contender.means, tuple(lap.rate for lap in laps), more)


def check_complete(case: Case, expected: list[str], laps: int) -> None:
    """Fail unless each expected contender has a figure of so many laps, or says why it has none."""
    for figure in case.figures:
        assert len(figure.values) == laps, (
            f"{case.name}: {figure.name} ran {len(figure.values)} of {laps} laps"
        )
    for skipped in case.skipped:
        assert skipped.why and skipped.fix, f"{case.name}: {skipped.name} left without a reason"
    there = [figure.name for figure in case.figures] + [skipped.name for skipped in case.skipped]
    assert sorted(there) == sorted(expected), f"{case.name}: {sorted(set(expected) - set(there))} vanished"
