"""How old an event was when the office had committed it: real milliseconds, from a log that the devices keep beside the journal.

The log has a line for each event at the moment it was recorded; the office's rows say when their segment was committed.
Both clocks are this machine's wall clock, used for measuring and for nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from protocol.segment import Segment

# Before the cut: what is recorded so shortly before it may not have left the device yet.
SETTLED_MS = 2000


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


def orders(segment: Segment, keystore: Keystore) -> list[int]:
    """Return the orders of the events in a sealed segment; none for a tombstone."""
    if segment.tombstone is not None:
        return []
    header = segment.header
    view = keystore.view_key(header.device, header.view_class, header.period)
    return [] if view is None else [event[0] for event in open_events(segment, view)[1]]


def measure(
    segments: Iterable[tuple[Segment, int]],
    logs: dict[bytes, dict[int, int]],
    keystore: Keystore,
    cut: tuple[int, int],
    drained_ms: int,
) -> Ages:
    """Return the ages of all events recorded outside the cut (wall milliseconds, from and until)."""
    outside = []
    settled = []
    for recorded, age in _pairs(segments, logs, keystore):
        if not cut[0] <= recorded < cut[1]:
            outside.append(age)
            if recorded < cut[0] - SETTLED_MS or recorded > drained_ms:
                settled.append(age)
    outside.sort()
    settled.sort()
    return Ages(quantile(outside, 50), quantile(outside, 99), quantile(settled, 99), len(outside))


def _pairs(
    segments: Iterable[tuple[Segment, int]], logs: dict[bytes, dict[int, int]], keystore: Keystore
) -> Iterator[tuple[int, int]]:
    for segment, committed_ms in segments:
        log = logs.get(segment.header.device, {})
        for order in orders(segment, keystore):
            if order in log:
                yield log[order], committed_ms - log[order]


def quantile(values: list[int], percent: int) -> int:
    """Return the value below which so many percent of the sorted values lie; 0 of none."""
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0
