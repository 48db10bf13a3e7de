"""A benchmark's cases as a table of 80 columns: what each contender made of the work, and how we compare to it."""

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from tools.bench.race import HIGHER, Case, Figure, Ratio

TITLES = {
    "gateway": "Gateway: segments into custody, on disk before the answer",
    "office": "Office: events verified and committed",
    "device": "Device: readings sampled, decided and recorded (MicroPython's unix port)",
    "link": "Link: bytes a reading, with security and acknowledgement",
    "replay": "Replay: recorded decisions decided again",
    "requests": "Requests: the gateway's whole path over UDP, with OSCORE",
    "restart": "Restart: devices served again by a gateway that starts anew",
}


# name, median, least and greatest, ratio, its least and greatest: 78 columns with two between them.
_WIDTHS = (21, 7, 18, 8, 16)


def number(value: float) -> str:
    """Return a figure with three significant digits, thousands apart, millions by a word; with two where it is below 1."""
    if value < 1:
        return f"{value:#.2g}" if value else "0"
    if value < 999.5:  # above it the format would change to an exponent
        return f"{value:#.3g}".rstrip(".")
    if value < 1_000_000:
        return f"{round(value, 3 - len(str(round(value)))):,.0f}"
    return f"{value / 1_000_000:#.3g} M"


def span(values: tuple[float, ...]) -> str:
    """Return the least and the greatest of some values, or nothing when they are one."""
    least, greatest = number(min(values)), number(max(values))
    return "" if least == greatest else f"{least} .. {greatest}"


def picture(name: str, cases: list[Case]) -> RenderableType:
    """Return one benchmark for a terminal of 80 columns or more."""
    head = _grid()
    head.add_row("", *(f"[dim]{word}[/]" for word in ("median", "least .. greatest", "we are", "")))
    parts: list[RenderableType] = [f"\n[bold]{escape(TITLES[name])}[/]", head]
    for case in cases:
        better = "more is better" if case.better == HIGHER else "less is better"
        parts += [f"[dim]{escape(case.name)}: {escape(case.unit)}, {better}[/]", _rows(case)]
    return Group(*parts)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for place, width in enumerate(_WIDTHS):
        grid.add_column(width=width, justify="right" if place else "left", no_wrap=True, overflow="ellipsis")
    return grid


def _rows(case: Case) -> Table:
    grid = _grid()
    ratios = {ratio.to: ratio for ratio in case.ratios()}
    for figure in case.figures:
        grid.add_row(*_cells(figure, ratios.get(figure.name)))
    for skipped in case.skipped:
        grid.add_row(f"  {escape(skipped.name)}", "[yellow]skipped[/]")
    return grid


def _cells(figure: Figure, ratio: Ratio | None) -> list[str]:
    compared = ("", "") if ratio is None else (f"{number(ratio.median)} x", span(ratio.values))
    return [f"  {escape(figure.name)}", number(figure.median), span(figure.values), *compared]


def reasons(cases: list[Case]) -> list[str]:
    """Return why contenders were skipped and what to do about it, each once."""
    found = {
        f"{skipped.name} skipped: {skipped.why}\n  fix: {skipped.fix}"
        for case in cases
        for skipped in case.skipped
    }
    return sorted(found)


def noise_line(noise: dict[str, Any]) -> str:
    """Return how quiet the machine was, as one line."""
    return (
        f"noise: one loop took up to {noise['loop_slowest_over_fastest']:.2f} times its best, one synced write "
        f"{noise['sync_slowest_over_fastest']:.2f} times ({noise['sync_us_fastest']} us); "
        f"load {noise['load_before']} before, {noise['load_after']} after"
    )
