"""What a person sees while the demonstration runs: a timeline, one line a device, and what just happened."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tools.demo.plan import Plan

_NEWS_MIN = 5
_NEWS_MAX = 12
# Title, timeline, the table's head, its line for devices that are not shown, an empty line, and where the cursor stands.
_LINES_AROUND = 6
_LINES_MIN = 8
_BAR_COLUMNS = 36
_PLAIN_EVERY_S = 5.0


@dataclass
class DeviceLine:
    """What is shown of one device. waiting: segments that the gateway holds and the office has not receipted."""

    name: str
    state: str = "starting"
    events: int = 0
    segments: int = 0
    decisions: int = 0
    waiting: int = 0


@dataclass
class View:
    """Everything the screen shows at one moment."""

    plan: Plan
    lines: list[DeviceLine]
    elapsed_s: float = 0.0
    office: str = "starting"
    gateway: str = "starting"
    uplink: str = "up"
    news: list[tuple[float, str]] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Add one line of news."""
        self.news.append((self.elapsed_s, text))


class Screen:
    """Draws a View: live on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, view: View, clock: Callable[[], float] = monotonic):
        self.console = console
        self.view = view
        self._clock = clock
        self._live: Live | None = None
        self._said = 0
        self._spoke = clock()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.draw()
        if self._live is not None:
            self._live.stop()

    def draw(self) -> None:
        """Show the view as it is now."""
        if self._live is not None:
            self._live.update(render(self.view, height=self.console.height))
            return
        for at, text in self.view.news[self._said :]:
            self.console.print(f"{at:6.1f} s  {text}", highlight=False, soft_wrap=True)
        self._said = len(self.view.news)
        if self._clock() - self._spoke >= _PLAIN_EVERY_S:
            self._spoke = self._clock()
            events = sum(line.events for line in self.view.lines)
            waiting = sum(line.waiting for line in self.view.lines)
            self.console.print(
                f"{self.view.elapsed_s:6.1f} s  {events} events at the office, {waiting} segments wait at the gateway",
                highlight=False,
                soft_wrap=True,
            )


def render(view: View, *, height: int) -> RenderableType:
    """Return the whole picture of a view in at most height lines, for a terminal of 80 columns or more."""
    room = max(_LINES_MIN, height - _LINES_AROUND)
    shown = min(len(view.lines), room - _NEWS_MIN)
    news = min(_NEWS_MAX, room - shown)
    return Group(_title(view), _timeline(view), _devices(view, shown), Text(), _news(view, news))


def _title(view: View) -> Text:
    title = Text("Outstation ", style="bold")
    for name, state in (("office", view.office), ("gateway", view.gateway), ("uplink", view.uplink)):
        good = state in ("up", "serving")
        title.append(f"  {name} ", style="dim")
        title.append(state, style="green" if good else "bold red")
    return title


def _timeline(view: View) -> RenderableType:
    plan = view.plan
    done = min(view.elapsed_s, plan.seconds)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        f"{done:4.0f} of {plan.seconds:.0f} s",
        ProgressBar(total=plan.seconds, completed=done, width=_BAR_COLUMNS),
        Text(f"uplink cut from {plan.cut_s:.0f} to {plan.mend_s:.0f} s", style="dim"),
    )
    return grid


def _devices(view: View, shown: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("device", "state"):
        table.add_column(name, no_wrap=True)
    table.columns[1].min_width = len("no power")
    for name in ("events at office", "segments", "decisions", "at gateway"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in view.lines[:shown]:
        style = "" if line.state in ("running", "stopped") else "yellow"
        table.add_row(
            line.name,
            Text(line.state, style=style),
            str(line.events),
            str(line.segments),
            str(line.decisions),
            str(line.waiting or "-"),
        )
    if shown < len(view.lines):
        hidden = view.lines[shown:]
        sums = [
            sum(getattr(line, name) for line in hidden)
            for name in ("events", "segments", "decisions", "waiting")
        ]
        table.add_row(f"{len(hidden)} more", "", *(str(number) for number in sums), style="dim")
    return table


def _news(view: View, lines: int) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for at, text in view.news[-lines:]:
        grid.add_row(Text(f"{at:5.1f} s", style="dim"), text)
    return grid
