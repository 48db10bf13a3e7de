"""How often each channel read what, as bars: a drift of readings shows here before it is a finding. Drawn as the other charts are (chart.py).

Source: SPEC.md section 4.7.
"""

from typing import NamedTuple

from office_ingest.show.chart import WIDTH, Mark, value_text
from office_ingest.show.readings import Channel, Inputs, Recent

BARS_HEIGHT = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 24
_GAP = 2
# Marks under the bars: each fourth edge of the sixteen.
_MARKS_X = 4


class Bar(NamedTuple):
    """One part of a channel's range and how often it was read. words: the part, with its unit."""

    x: float
    y: float
    width: float
    height: float
    words: str
    times: int


class Histogram(NamedTuple):
    """One channel's newest count. total: good readings; at: (tick_ms, boot) of the count."""

    channel: Channel
    bars: list[Bar]
    y: list[Mark]
    x: list[Mark]
    total: int
    not_good: int
    at: tuple[int, int]


def draw_inputs(recent: Recent) -> list[Histogram]:
    """Return a histogram of each channel that was counted lately, by channel."""
    return [
        _draw(recent.channels[index], recent.inputs[index])
        for index in sorted(recent.inputs)
        if index < len(recent.channels)
    ]


def _draw(channel: Channel, inputs: Inputs) -> Histogram:
    parts = len(inputs.counts)
    most = max(1, *inputs.counts)
    step = (WIDTH - _LEFT - _RIGHT) / parts
    room = BARS_HEIGHT - _TOP - _BOTTOM
    edges = [_edge(channel, part, parts) for part in range(parts + 1)]
    bars = []
    for part, count in enumerate(inputs.counts):
        height = round(count * room / most, 1)
        x, y = round(_LEFT + part * step, 1), round(_TOP + room - height, 1)
        words = f"{edges[part]} to {edges[part + 1]} {channel.unit}"
        bars.append(Bar(x, y, round(step - _GAP, 1), height, words, count))
    marks_y = [Mark(_TOP + room, "0"), Mark(_TOP, str(most))]
    marks_x = [
        Mark(round(_LEFT + part * step, 1), edges[part]) for part in range(0, parts + 1, parts // _MARKS_X)
    ]
    return Histogram(channel, bars, marks_y, marks_x, sum(inputs.counts), inputs.not_good, inputs.at)


def _edge(channel: Channel, part: int, parts: int) -> str:
    """Return the lowest value of a part, as protocol.bins cuts a range; of the part behind the last, the first value that is out of range."""
    least = channel.low - (-part * (channel.high - channel.low + 1) // parts)
    return value_text(least, channel.scale)
