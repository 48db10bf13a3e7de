"""How old an event was when the office had committed it: real milliseconds, from a log that the devices keep beside the journal.

The log has a line for each event at the moment it was recorded; the office's rows say when their segment was committed.
Both clocks are this machine's wall clock, used for measuring and for nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from protocol.event import THINNING
from protocol.segment import parse_segment

# Before the cut: what is recorded so shortly before it may not have left the device yet.
SETTLED_MS = 2000

Logs = dict[bytes, dict[int, int]]


class Opened(NamedTuple):
    """A segment of the office as far as it is measured. orders: of its events; thinned: events it says were given up."""

    device: bytes
    committed_ms: int
    orders: list[int]
    thinned: int


@dataclass(frozen=True)
class Ages:
    """Milliseconds from record to commit. settled: recorded well before the cut, or after the backlog had drained."""

    p50: int
    p99: int
    settled_p99: int
    events: int


def read_log(path: Path) -> dict[int, int]:
    """Return order -> wall milliseconds of a device's record log; a last line that a cut tore is left out."""
    recorded = {}
    for line in path.read_text().splitlines(keepends=True):
        words = line.split()
        if line.endswith("\n") and len(words) == 3:
            recorded[int(words[1])] = int(words[2])
    return recorded


def open_rows(rows: Iterable[tuple[bytes, int]], keystore: Keystore) -> Iterator[Opened]:
    """Open rows (raw, committed_ms) of the office's segments; tombstones and erased periods have no events to measure."""
    for raw, committed_ms in rows:
        segment = parse_segment(raw)
        header = segment.header
        if segment.tombstone is not None:
            continue
        view = keystore.view_key(header.device, header.view_class, header.period)
        if view is not None:
            events = open_events(segment, view)[1]
            thinned = sum(event[3][1] for event in events if event[2] == THINNING)
            yield Opened(header.device, committed_ms, [event[0] for event in events], thinned)


def drained_ms(segments: list[Opened], logs: Logs, mend_ms: int) -> int:
    """Return when the last event recorded before the uplink came back was committed."""
    late = (
        segment.committed_ms
        for segment in segments
        if any(logs[segment.device].get(order, mend_ms) < mend_ms for order in segment.orders)
    )
    return max(late, default=mend_ms)


def measure(segments: list[Opened], logs: Logs, cut: tuple[int, int], settled_ms: int) -> Ages:
    """Return the ages of all events recorded outside the cut (wall milliseconds, from and until)."""
    outside = []
    settled = []
    for recorded, age in _pairs(segments, logs):
        if not cut[0] <= recorded < cut[1]:
            outside.append(age)
            if recorded < cut[0] - SETTLED_MS or recorded > settled_ms:
                settled.append(age)
    outside.sort()
    settled.sort()
    return Ages(quantile(outside, 50), quantile(outside, 99), quantile(settled, 99), len(outside))


def _pairs(segments: list[Opened], logs: Logs) -> Iterator[tuple[int, int]]:
    for segment in segments:
        log = logs[segment.device]
        for order in segment.orders:
            if order in log:
                yield log[order], segment.committed_ms - log[order]


def quantile(values: list[int], percent: int) -> int:
    """Return the value below which so many percent of the sorted values lie; 0 of none."""
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0
