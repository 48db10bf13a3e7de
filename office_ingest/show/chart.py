"""Charts as SVG, drawn here: they are in the page as it comes, work without any script, and have their numbers beside them.

No style attributes: the page's policy forbids them, and its style sheet gives the colours of both themes.
"""

from itertools import pairwise
from typing import NamedTuple

from office_ingest.show.readings import Act, Channel, Recent
from protocol.event import ACTION, GOOD

WIDTH, HEIGHT = 860, 204
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 44
_TICKS_Y = 4
# More points than pixels say nothing more; each column of pixels keeps its lowest and its highest.
_COLUMNS = 400


class Mark(NamedTuple):
    """A place and a text on an axis."""

    at: float
    text: str


class Dot(NamedTuple):
    """A place of something that happened, the shape that shows it, and words for who points at it."""

    x: float
    shape: str
    words: str


class Picture(NamedTuple):
    """One channel's chart. lines: points of each unbroken run; bad: where the quality was not good."""

    channel: Channel
    lines: list[str]
    bad: list[float]
    y: list[Mark]
    x: list[Mark]
    dots: list[Dot]
    newest: str


def value_text(value: int | None, scale: int) -> str:
    """Return a fixed-point value as a person writes it, exactly: 9012 at scale -2 is 90.12."""
    if value is None:
        return "-"
    if scale >= 0:
        return str(value * 10**scale)
    digits = str(abs(value)).rjust(1 - scale, "0")
    return f"{'-' if value < 0 else ''}{digits[:scale]}.{digits[scale:]}"


def draw(recent: Recent) -> list[Picture]:
    """Return a chart for each channel; [] where there is nothing to draw."""
    if len(recent.samples) < 2:
        return []
    return [_draw(recent, index, channel) for index, channel in enumerate(recent.channels)]


def _draw(recent: Recent, index: int, channel: Channel) -> Picture:
    first, last = recent.samples[0].at, recent.samples[-1].at
    width = max(1, last - first)
    points = [
        (sample.at, sample.values[index] if sample.qualities[index] == GOOD else None)
        for sample in recent.samples
        if index < len(sample.values)
    ]
    good = [value for _, value in points if value is not None]
    low, high = (min(good), max(good)) if good else (channel.low, channel.high)
    span = max(1, high - low)

    def x(at: int) -> float:
        return round(_LEFT + (at - first) * (WIDTH - _LEFT - _RIGHT) / width, 1)

    def y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) * (HEIGHT - _TOP - _BOTTOM) / span, 1)

    lines = [" ".join(f"{x(at)},{y(value)}" for at, value in run) for run in _runs(points, first, width)]
    bad = [x(at) for at, value in points if value is None]
    marks_y = [
        Mark(y(low + span * step / _TICKS_Y), value_text(low + span * step // _TICKS_Y, channel.scale))
        for step in range(_TICKS_Y + 1)
    ]
    marks_x = [
        Mark(x(first + width * step // 4), _ago((last - first) * (4 - step) // 4)) for step in range(5)
    ]
    dots = [Dot(x(act.at), _shape(act), _act_words(act)) for act in recent.acts if first <= act.at <= last]
    newest = value_text(points[-1][1] if points else None, channel.scale)
    return Picture(channel, lines, bad, marks_y, marks_x, dots, newest)


def _runs(points: list[tuple[int, int | None]], first: int, width: int) -> list[list[tuple[int, int]]]:
    """Return the unbroken runs of good values, thinned to the lowest and highest of each column of pixels."""
    runs: list[list[tuple[int, int]]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [_thinned(run, first, width) for run in runs if run]


def _thinned(run: list[tuple[int, int]], first: int, width: int) -> list[tuple[int, int]]:
    if len(run) <= _COLUMNS:
        return run
    columns: dict[int, list[tuple[int, int]]] = {}
    for point in run:
        columns.setdefault((point[0] - first) * _COLUMNS // width, []).append(point)
    kept = []
    for column in columns.values():
        ends = {min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _ago(ticks: int) -> str:
    """Return how long before the newest sample, in the two units that say most."""
    seconds = ticks // 10
    if not seconds:
        return "newest"
    for (size, unit), (less, smaller) in pairwise(((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))):
        if seconds >= size:
            rest = seconds % size // less
            return f"-{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"-{seconds} s"


def _shape(act: Act) -> str:
    if act.kind == ACTION:
        return "action"
    return "allowed" if act.verdict == 0 else "refused"


def _act_words(act: Act) -> str:
    if act.kind == ACTION:
        return f"action {act.action} set to {act.value}"
    said = "allowed" if act.verdict == 0 else "refused by its gate"
    return f"rule {act.rule} asked action {act.action} for {act.value}: {said}"
