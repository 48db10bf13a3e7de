"""Pictures as SVG, drawn here: bars of what was tried, a curve of what drains. One file for a light page and a dark one."""

import math
from collections.abc import Sequence
from html import escape

from tools.proof.rows import Tried

WIDTH = 860
_LEFT, _RIGHT, _TOP, _LINE = 250, 170, 34, 20
_CURVE_HEIGHT, _CURVE_LEFT, _CURVE_FOOT = 240, 70, 40
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.faint { fill: #57606a }
.good { fill: #1a7f37 } .bad { fill: #cf222e }
.bar { fill: #4184e4 } .line { fill: none; stroke: #4184e4; stroke-width: 2 } .axis { stroke: #8c959f; stroke-width: 1 }
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


def curve(points: Sequence[tuple[float, float]], title: str, across: str, up: str) -> str:
    """Return a line through points (x, y), both axes from 0 to their greatest. across, up: what the axes are."""
    most_x = max(x for x, _ in points) or 1.0
    most_y = max(y for _, y in points) or 1.0
    width, height = WIDTH - _CURVE_LEFT - 20, _CURVE_HEIGHT - _CURVE_FOOT - 20
    foot = _CURVE_HEIGHT - _CURVE_FOOT
    places = " ".join(
        f"{_CURVE_LEFT + x / most_x * width:.1f},{foot - y / most_y * height:.1f}" for x, y in points
    )
    body = [
        f'<polyline class="line" points="{places}"/>',
        f'<line class="axis" x1="{_CURVE_LEFT}" y1="{foot}" x2="{_CURVE_LEFT + width}" y2="{foot}"/>',
        f'<line class="axis" x1="{_CURVE_LEFT}" y1="20" x2="{_CURVE_LEFT}" y2="{foot}"/>',
        _text(_CURVE_LEFT - 6, 26, f"{most_y:,.0f}", anchor="end"),
        _text(_CURVE_LEFT - 6, foot, "0", anchor="end"),
        _text(_CURVE_LEFT + width, foot + 16, f"{most_x:,.0f}", anchor="end"),
        _text(_CURVE_LEFT, foot + 16, across, kind="faint"),
        _text(_CURVE_LEFT + 6, 16, up, kind="faint"),
    ]
    return _svg(_CURVE_HEIGHT, title, body)
