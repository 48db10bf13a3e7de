"""Pictures as SVG, drawn here: bars of what was tried, curves of what drains and of what is stored. One file for a light page and a dark one."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from tools.proof.rows import Tried

WIDTH = 860
_LEFT, _RIGHT, _TOP, _LINE = 250, 170, 34, 20
# Of one curve: from its head to its foot; the next one begins a panel lower.
_HEAD, _FOOT, _PANEL, _BELOW = 28, 148, 164, 26
_CURVE_LEFT, _CURVE_WIDTH = 90, WIDTH - 110
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.faint { fill: #57606a }
.good { fill: #1a7f37 } .bad { fill: #cf222e }
.bar { fill: #4184e4 } .line { fill: none; stroke: #4184e4; stroke-width: 2 } .axis { stroke: #8c959f; stroke-width: 1 }
.bound { stroke: #bf8700; stroke-width: 1; stroke-dasharray: 5 4 } .band { fill: #8c959f; opacity: 0.22 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #9198a1 } .good { fill: #3fb950 } .bad { fill: #f85149 }
}
</style>"""


def _svg(height: int, title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", _STYLE, *body, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def bars(rows: Sequence[Tried]) -> str:
    """Return a bar for each row, as long as the logarithm of how often it was done, with what broke beside it."""
    most = max([row.times for row in rows] + [10])
    room = WIDTH - _LEFT - _RIGHT
    body = [_text(_LEFT, 18, "how often, in powers of ten", kind="faint")]
    y, part = _TOP, ""
    for row in rows:
        if row.part != part:
            part = row.part
            y += _LINE
            body.append(_text(8, y - 5, part, kind="head"))
        length = room * math.log10(max(1, row.times) * 1.3) / math.log10(most * 1.3)
        body.append(_text(_LEFT - 8, y + 12, row.what, anchor="end"))
        body.append(f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="{_LINE - 6}" class="bar"/>')
        body.append(_text(_LEFT + length + 6, y + 12, f"{row.times:,}"))
        if row.broken is not None:
            kind = "bad" if row.broken else "good"
            body.append(_text(WIDTH - 8, y + 12, f"broken {row.broken:,}", kind=kind, anchor="end"))
        y += _LINE
    return _svg(y + 10, "What was tried, how often, and what broke", body)


class Curve(NamedTuple):
    """up: what is measured. points: (x, y), y None where nothing was. bound: a line that y may not cross."""

    up: str
    points: Sequence[tuple[float, float | None]]
    bound: float | None = None


def curves(title: str, across: str, drawn: Sequence[Curve], bands: Sequence[tuple[float, float]] = ()) -> str:
    """Return curves one above the other on one axis across, each from 0 to its greatest. bands: spans of it to shade."""
    most_x = max(x for one in drawn for x, _ in one.points) or 1.0
    body: list[str] = []
    for place, one in enumerate(drawn):
        body += _panel(one, place * _PANEL, most_x, bands)
    foot = (len(drawn) - 1) * _PANEL + _FOOT
    body += [
        _text(_CURVE_LEFT + _CURVE_WIDTH, foot + 16, f"{most_x:,.4g}", anchor="end"),
        _text(_CURVE_LEFT, foot + 16, across, kind="faint"),
    ]
    return _svg(foot + _BELOW, title, body)


def curve(points: Sequence[tuple[float, float]], title: str, across: str, up: str) -> str:
    """Return one line through points (x, y), both axes from 0 to their greatest. across, up: what the axes are."""
    return curves(title, across, [Curve(up, points)])


def _panel(one: Curve, down: float, most_x: float, bands: Sequence[tuple[float, float]]) -> list[str]:
    most_y = max([y for _, y in one.points if y is not None] + [one.bound or 0.0]) or 1.0
    top, foot, right = down + _HEAD, down + _FOOT, _CURVE_LEFT + _CURVE_WIDTH

    def across(x: float) -> float:
        return _CURVE_LEFT + min(x, most_x) / most_x * _CURVE_WIDTH

    def up(y: float) -> float:
        return foot - y / most_y * (_FOOT - _HEAD)

    body = [
        f'<rect class="band" x="{across(a):.1f}" y="{top}" width="{across(b) - across(a):.1f}" height="{foot - top}"/>'
        for a, b in bands
    ]
    for run in _runs(one.points):
        places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in run)
        body.append(f'<polyline class="line" points="{places}"/>')
    if one.bound is not None:
        y = up(one.bound)
        body.append(f'<line class="bound" x1="{_CURVE_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        body.append(_text(right, y - 5, "bound", kind="faint", anchor="end"))
    return [
        *body,
        f'<line class="axis" x1="{_CURVE_LEFT}" y1="{foot}" x2="{right}" y2="{foot}"/>',
        f'<line class="axis" x1="{_CURVE_LEFT}" y1="{top}" x2="{_CURVE_LEFT}" y2="{foot}"/>',
        _text(_CURVE_LEFT - 6, top + 4, f"{most_y:,.0f}", anchor="end"),
        _text(_CURVE_LEFT - 6, foot, "0", anchor="end"),
        _text(_CURVE_LEFT, top - 8, one.up, kind="head"),
    ]


def _runs(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for x, y in points:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run
