"""Writes pages from templates, and says things as people read them: times, ages, short digests."""

from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from office_ingest import VERSION
from office_ingest.energy import energy_text
from office_ingest.health import CAUSES
from office_ingest.moved import bytes_text
from office_ingest.show.chart import HEIGHT, WIDTH, value_text
from office_ingest.show.histogram import BARS_HEIGHT
from office_ingest.show.snapshot import STATES
from protocol.event import QUALITY_NAMES

_TEMPLATES = Path(__file__).parent / "templates"

# As base.html has it, and the page's head before it holds no text but the title, without markup.
_NO_TIME = '<time id="as-of"></time>'
# No page with readings: what was read with a key that is erased must not live on here.
PAGES_KEPT = ("findings",)
_WRITTEN_MAX = 4


class Paper:
    """name: of the office.

    Of PAGES_KEPT a page is not written again while its view gives the very same object: only the time on it is another.
    """

    def __init__(self, name: str):
        self._written: OrderedDict[tuple[str, str], tuple[dict[str, Any], str]] = OrderedDict()
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            clock=clock,
            day=day,
            short=short,
            number=number,
            lasting=lasting,
            value=value_text,
            query=query,
            size=bytes_text,
            energy=energy_text,
        )
        self._environment.globals.update(
            office=name,
            version=VERSION,
            states=STATES,
            qualities=QUALITY_NAMES,
            chart_width=WIDTH,
            chart_height=HEIGHT,
            bars_height=BARS_HEIGHT,
            causes=CAUSES,
        )

    def write(self, page: str, shown: dict[str, Any], topic: str, as_of: str) -> str:
        """Return a page's HTML. shown: what its view gave; topic: its address; as_of: office time, HH:MM:SS."""
        html = self._body(page, shown, topic)
        # The first one is the header's: what people and devices wrote comes behind it, and is never markup.
        return html.replace(_NO_TIME, f'<time id="as-of">{as_of}</time>', 1)

    def _body(self, page: str, shown: dict[str, Any], topic: str) -> str:
        kept = self._written.pop((page, topic), None)
        if kept is None or kept[0] is not shown:
            kept = (
                shown,
                self._environment.get_template(f"{page}.html").render(**shown, page=page, topic=topic),
            )
        if page in PAGES_KEPT:
            self._written[page, topic] = kept
            if len(self._written) > _WRITTEN_MAX:
                self._written.popitem(last=False)
        return kept[1]


# The last millisecond that a calendar of four digits has; what a device says of time may lie beyond it.
_LAST_MS = 253_402_300_799_999


def clock(wall_ms: int | None) -> str:
    """Return the time of day of a wall time, UTC, to the second."""
    return _written(wall_ms, "%H:%M:%S")


def day(wall_ms: int | None) -> str:
    """Return day and time of a wall time, UTC, to the second."""
    return _written(wall_ms, "%Y-%m-%d %H:%M:%S UTC")


def _written(wall_ms: int | None, pattern: str) -> str:
    if wall_ms is None:
        return "-"
    if wall_ms > _LAST_MS:
        return f"{wall_ms} ms"
    return datetime.fromtimestamp(wall_ms / 1000, UTC).strftime(pattern)


def lasting(span_ms: int) -> str:
    """Return how long something lasted, in the two largest units."""
    left = max(0, span_ms) // 1000
    parts = []
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, unit_s)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def short(digest: bytes | str | None) -> str:
    """Return the first 12 hex digits of a digest."""
    if digest is None:
        return "-"
    return (digest.hex() if isinstance(digest, bytes) else digest.lower())[:12]


def number(value: int | None) -> str:
    """Return a count with thin groups of three digits."""
    return "-" if value is None else f"{value:,}".replace(",", "\u202f")


def query(asked: dict[str, Any], **changes: Any) -> str:
    """Return the query string of what was asked with changes; what is empty is left out."""
    merged = {**asked, **changes}
    kept = {name: value for name, value in merged.items() if value not in (None, "", 0)}
    return f"?{urlencode(kept)}" if kept else "?"
