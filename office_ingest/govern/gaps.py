"""What is missing of which device, whom the office asks for it since when, and who accepted that it never comes."""

import sqlite3
from typing import Any

from office_ingest.overview import Rows
from office_ingest.receive.acceptance import Gap
from office_ingest.storage.sqlite import NEWEST_HEARTBEAT
from protocol.keys import LANE_NAMES

_NAMES = (
    *("device", "name", "lane", "epoch", "state", "start", "stop", "pruned", "since_ms"),
    *("author", "gateway", "asked_ms"),
)
_OF_HEARTBEAT = f"FROM heartbeats h WHERE h.device = g.device ORDER BY {NEWEST_HEARTBEAT} LIMIT 1"
_GAPS = (
    "SELECT g.device, d.name, g.lane, g.epoch, g.state, g.start, g.stop, g.pruned, g.changed_ms,"  # noqa: S608 - names are ours
    " (SELECT a.author FROM accepted_gaps a WHERE g.state = 'accepted' AND (a.device, a.lane, a.epoch)"
    " = (g.device, g.lane, g.epoch) AND a.start <= g.start AND g.start < a.stop),"
    f" (SELECT h.gateway {_OF_HEARTBEAT}), (SELECT h.received_ms {_OF_HEARTBEAT})"
    " FROM gaps g LEFT JOIN devices d ON d.id = g.device"
    " WHERE g.state <> 'filled' AND (?1 IS NULL OR g.device = ?1)"
    " ORDER BY d.name, g.device, g.lane, g.epoch, g.start"
)


def gaps_overview(connection: sqlite3.Connection, device: bytes | None = None) -> Rows:
    """Return every gap that is not filled. device: of this one alone.

    since_ms: it is so since then. gateway, asked_ms: who brought the device's newest heartbeat when, and was asked with the answer.
    """
    found = [dict(zip(_NAMES, row, strict=True)) for row in connection.execute(_GAPS, (device,))]
    for row in found:
        row.update(device=row["device"].hex(), lane=LANE_NAMES[row["lane"]], pruned=bool(row["pruned"]))
    return found


def gap_as_json(gap: Gap) -> dict[str, Any]:
    """Return what `--json` prints of a gap that was accepted."""
    return {**gap._asdict(), "device": gap.device.hex(), "lane": LANE_NAMES[gap.lane]}


def gap_words(gap: Gap) -> str:
    """Return a gap in words, without its device."""
    count = gap.stop - gap.start
    numbers = f"number {gap.start}" if count == 1 else f"numbers {gap.start} to {gap.stop - 1}"
    segments = "1 segment" if count == 1 else f"{count} segments"
    return f"{LANE_NAMES[gap.lane]} epoch {gap.epoch} {numbers}: {segments}"


def why_none(rows: Rows, lane: str | None, epoch: int | None, now_ms: int) -> str:
    """Say why none of a device's gaps can be accepted: what is open all the same, and when its gateway was asked for it."""
    open_rows = [
        row
        for row in rows
        if row["state"] == "open" and lane in (None, row["lane"]) and epoch in (None, row["epoch"])
    ]
    if not open_rows:
        return "nothing of it is missing that is not accepted or excused already"
    missing = sum(row["stop"] - row["start"] for row in open_rows)
    since_ms, row = min(row["since_ms"] for row in open_rows), open_rows[0]
    asked = "no gateway was asked yet"
    if row["asked_ms"] is not None:
        asked = f"gateway {row['gateway']} was asked {ago(row['asked_ms'], now_ms)}, and first {ago(since_ms, now_ms)}"
    return (
        f"of what is missing, {missing} segments, the device does not say that it has them no longer; {asked}"
    )


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago a wall time was, in the unit that says most."""
    seconds = max(0, now_ms - then_ms) // 1000
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
