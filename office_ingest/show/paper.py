"""Writes pages from templates, and says things as people read them: times, ages, short digests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from office_ingest import VERSION
from office_ingest.show.chart import HEIGHT, WIDTH, value_text
from office_ingest.show.snapshot import STATES
from protocol.event import QUALITY_NAMES

_TEMPLATES = Path(__file__).parent / "templates"


class Paper:
    """name: of the office."""

    def __init__(self, name: str):
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            clock=clock, day=day, short=short, number=number, value=value_text, query=query
        )
        self._environment.globals.update(
            office=name,
            version=VERSION,
            states=STATES,
            qualities=QUALITY_NAMES,
            chart_width=WIDTH,
            chart_height=HEIGHT,
        )

    def write(self, page: str, shown: dict[str, Any], topic: str, as_of: str) -> str:
        """Return a page's HTML. shown: what its view gave; topic: its address; as_of: office time, HH:MM:SS."""
        return self._environment.get_template(f"{page}.html").render(
            **shown, page=page, topic=topic, as_of=as_of
        )


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
