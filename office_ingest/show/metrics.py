"""What the office counts, as Prometheus reads it: one look at the database for each scrape, by site and never by device.

Numbers that only grow are counters of the database itself, so they go on over restarts. Levels come from the open findings:
opening every newest heartbeat of ten thousand devices would hold up what gateways bring. What belongs to no registered device has
an empty site.

docs/operating/metrics.md has every name; a test compares.
"""

import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from office_ingest.health import LEVELS, RESOURCES
from office_ingest.storage.usage import ALL_USAGE
from office_ingest.watch.levels import DEGRADED
from protocol.usage import DAY_MS, LINK_NAMES

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Said(NamedTuple):
    """One name: what it says, its labels after site, and the query that gives (site, labels ..., value)."""

    name: str
    words: str
    labels: tuple[str, ...]
    sql: str


def _by_site(columns: str, table: str, labels: int = 0) -> str:
    """Return a query of (site, labels ..., value). table: with a condition behind it, where there is one."""
    site = "coalesce((SELECT site FROM devices WHERE id = device), '')"
    groups = ", ".join(str(1 + at) for at in range(1 + labels))
    return f"SELECT {site}, {columns} FROM {table} GROUP BY {groups}"  # noqa: S608 - all of it is written here


# Columns of one query: the sums of ten thousand devices are to be made once a scrape.
_COUNTERS = (
    ("segments_stored", "Segments that verified and were committed."),
    ("events_stored", "Events in those segments."),
    ("decisions_stored", "Decisions among those events."),
    ("segments_duplicate", "Segments that came again with the same digest."),
)
_TALLIES = _by_site("sum(segments), sum(events), sum(decisions), sum(duplicates)", "tallies")
_GAUGES = (
    _Said("devices", "Registered devices.", (), "SELECT site, count(*) FROM devices GROUP BY 1"),
    _Said("devices_revoked", "Devices that were revoked.", (), _by_site("count(*)", "revoked")),
    _Said(
        "quarantine_entries",
        "Different things that were refused and are kept.",
        (),
        _by_site("count(*)", "quarantine"),
    ),
    _Said(
        "forks",
        "Segments and heads that contradict what is held for their place.",
        (),
        _by_site("count(*)", "forks"),
    ),
    _Said(
        "segments_missing",
        "Segments known to exist and not held.",
        ("state",),
        _by_site("state, sum(stop - start)", "gaps WHERE state <> 'filled'", 1),
    ),
    _Said(
        "findings_open",
        "Findings that are open.",
        ("kind",),
        _by_site("kind, count(*)", "findings WHERE state = 'open'", 1),
    ),
)
_HEARD = _by_site(
    "min(?1 - received_ms), max(?1 - received_ms)",
    "reports WHERE device NOT IN (SELECT device FROM revoked)",
)
# What gateways received devices have sent. Only kinds of links that are known here are kept.
_MOVED = _by_site("link, sum(received_bytes), sum(sent_bytes)", f"{ALL_USAGE} WHERE day = ?1", 1)
_SHORT = _by_site("place, count(*)", "findings WHERE state = 'open' AND kind = ?1", 1)


class _Look:
    """One scrape. sites: those that may be seen, None for all."""

    def __init__(self, connection: sqlite3.Connection, now_ms: int, sites: Collection[str] | None):
        self._connection = connection
        self._now_ms = now_ms
        self._sites = sites

    def collect(self) -> Iterator[Metric]:
        """Give every name with its values."""
        yield from self._counters()
        for said in _GAUGES:
            name = f"outstation_office_{said.name}"
            family = GaugeMetricFamily(name, said.words, labels=("site", *said.labels))
            for site, *labels, value in self._rows(said.sql):
                family.add_metric([site, *labels], value)
            yield family
        yield from self._heard()
        yield self._short()
        yield self._moved()

    def _counters(self) -> Iterator[Metric]:
        rows = self._rows(_TALLIES)
        for at, (name, words) in enumerate(_COUNTERS, 1):
            family = CounterMetricFamily(f"outstation_office_{name}", words, labels=("site",))
            for row in rows:
                family.add_metric([row[0]], row[at])
            yield family

    def _rows(self, sql: str, *values: object) -> list[tuple]:
        rows = self._connection.execute(sql, values).fetchall()
        return [row for row in rows if self._sites is None or row[0] in self._sites]

    def _heard(self) -> Iterator[Metric]:
        name = "outstation_office_heard_age_seconds"
        words = "Seconds since a heartbeat of the device that was heard last, and of the one that was heard first."
        family = GaugeMetricFamily(name, words, labels=("site", "device"))
        for site, newest, eldest in self._rows(_HEARD, self._now_ms):
            family.add_metric([site, "newest"], max(0, newest) / 1000)
            family.add_metric([site, "eldest"], max(0, eldest) / 1000)
        yield family

    def _short(self) -> Metric:
        words = "Devices that say that they run short of something."
        family = GaugeMetricFamily(
            "outstation_office_devices_short", words, labels=("site", "resource", "level")
        )
        found = {(site, place): count for site, place, count in self._rows(_SHORT, DEGRADED)}
        for (site,) in self._rows("SELECT DISTINCT site FROM devices ORDER BY 1"):
            for resource in RESOURCES:
                for level in LEVELS[1:]:
                    # Zeros too: an alert waits for a value, not for a name to appear.
                    family.add_metric([site, resource, level], found.get((site, f"{resource} {level}"), 0))
        return family

    def _moved(self) -> Metric:
        words = (
            "Bytes that devices moved today, UTC, as gateways count them; sent by devices, received by them."
        )
        family = GaugeMetricFamily(
            "outstation_office_link_bytes_today", words, labels=("site", "link", "direction")
        )
        for site, link, sent, received in self._rows(_MOVED, self._now_ms // DAY_MS):
            family.add_metric([site, LINK_NAMES[link], "sent"], sent)
            family.add_metric([site, LINK_NAMES[link], "received"], received)
        return family


def metrics_of(connection: sqlite3.Connection, now_ms: int, sites: Collection[str] | None = None) -> bytes:
    """Return what a scraper gets, in the text format. now_ms: office wall time. sites: those that may be seen, None for all."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Look(connection, now_ms, sites))  # type: ignore[arg-type]  # duck-typed there
    return generate_latest(registry)
