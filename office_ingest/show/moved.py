"""What a device moved each day, as bars: one for a day, by link, and a line where its allowance is. Drawn as the other charts are (chart.py)."""

from typing import Any, NamedTuple

from office_ingest.energy import energy_text
from office_ingest.moved import budget_words, bytes_text
from office_ingest.show.chart import WIDTH, Mark
from office_ingest.show.histogram import BARS_HEIGHT

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 24
_GAP = 8
# A bar of one byte is seen too.
_LEAST = 1.0
# Marks under the bars, days apart.
_MARKS_APART = 2


class Part(NamedTuple):
    """What one link moved in a day. link: its kind, by which it is coloured; words: all of it, for who points at it."""

    x: float
    y: float
    width: float
    height: float
    link: str
    words: str


class MovedPicture(NamedTuple):
    """The chart. allowed: where the line of the allowance is, None without one. words: what it shows, in a sentence."""

    parts: list[Part]
    y: list[Mark]
    x: list[Mark]
    allowed: float | None
    links: list[str]
    words: str


def draw_moved(view: dict[str, Any]) -> MovedPicture | None:
    """Return the chart of a view (office_ingest.moved), None where nothing was moved."""
    days, allowed = view["moved"], view["day_bytes"]
    most = max([day["bytes"] for day in days] + [allowed or 0])
    if not any(day["bytes"] for day in days):
        return None
    step = (WIDTH - _LEFT - _RIGHT) / len(days)
    parts: list[Part] = []
    for at, day in enumerate(days):
        parts += _bar(day, round(_LEFT + at * step, 1), round(step - _GAP, 1), most)
    names = [
        Mark(round(_LEFT + at * step + (step - _GAP) / 2, 1), day["day"][5:])
        for at, day in enumerate(days)
        if (len(days) - 1 - at) % _MARKS_APART == 0
    ]
    heights = [Mark(_y(0, most), "0"), Mark(_y(most, most), bytes_text(most))]
    line = None if allowed is None else _y(allowed, most)
    links = sorted({link["link"] for day in days for link in day["links"]})
    return MovedPicture(parts, heights, names, line, links, budget_words(view))


def _y(count: int, most: int) -> float:
    return round(BARS_HEIGHT - _BOTTOM - count * (BARS_HEIGHT - _TOP - _BOTTOM) / most, 1)


def _bar(day: dict[str, Any], x: float, width: float, most: int) -> list[Part]:
    parts, below = [], 0
    for link in day["links"]:
        count = link["sent_bytes"] + link["received_bytes"]
        height = max(_LEAST, round(_y(below, most) - _y(below + count, most), 1))
        words = f"{day['day']}, {link['link']}: {bytes_text(count)}, estimated {energy_text(link['estimated_energy_uj'])}"
        parts.append(
            Part(x, round(_y(below, most) - height, 1), width, round(height, 1), link["link"], words)
        )
        below += count
    return parts
