"""How much of each lane is held, for a device's page: counted once, and then only what came since.

Segments are only ever added. That as many are there as were counted is seen from the index at each look; where it is not so,
everything is counted anew.
"""

import sqlite3
from collections import OrderedDict
from typing import Any

from protocol.keys import LANE_NAMES

_KEPT_MAX = 64

# (lane, epoch) -> segments, newest number, events.
Lanes = dict[tuple[int, int], tuple[int, int, int]]


class _Counted:
    """One device's lanes up to a rowid."""

    def __init__(self) -> None:
        self.lanes: Lanes = {}
        self.segments = 0
        self.last = 0

    def add(self, connection: sqlite3.Connection, device: bytes, last: int) -> None:
        rows = connection.execute(
            "SELECT lane, epoch, count(*), max(number), sum(count) FROM segments"
            " WHERE device = ? AND rowid > ? AND rowid <= ? GROUP BY lane, epoch",
            (device, self.last, last),
        )
        for lane, epoch, segments, newest, events in rows:
            before = self.lanes.get((lane, epoch), (0, newest, 0))
            now = before[0] + segments, max(before[1], newest), before[2] + events
            self.lanes[lane, epoch] = now
            self.segments += segments
        self.last = last


class Chains:
    """Keeps the devices that were looked at last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Counted] = OrderedDict()

    def look(self, connection: sqlite3.Connection, device: bytes) -> list[dict[str, Any]]:
        """Return each lane and epoch of a device, the newest epoch first, with what is receipted and what the device's head says."""
        lanes = self._lanes(connection, device)
        return [
            {
                "lane": LANE_NAMES[lane],
                "epoch": epoch,
                "segments": segments,
                "newest": newest,
                "events": events,
                "receipted": _number(connection, "receipts", device, lane, epoch),
                "head": _number(connection, "heads", device, lane, epoch),
            }
            for (lane, epoch), (segments, newest, events) in sorted(
                lanes.items(), key=lambda one: (-one[0][1], one[0][0])
            )
        ]

    def _lanes(self, connection: sqlite3.Connection, device: bytes) -> Lanes:
        count, last = connection.execute(
            "SELECT count(*), coalesce(max(rowid), 0) FROM segments WHERE device = ?", (device,)
        ).fetchone()
        counted = self._kept.pop(device, None) or _Counted()
        if last > counted.last:
            counted.add(connection, device, last)
        if counted.segments != count:
            counted = _Counted()
            counted.add(connection, device, last)
        self._kept[device] = counted
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return counted.lanes


def _number(connection: sqlite3.Connection, table: str, device: bytes, lane: int, epoch: int) -> int | None:
    sql = f"SELECT number FROM {table} WHERE device = ? AND lane = ? AND epoch = ?"  # noqa: S608 - the table is ours
    row = connection.execute(sql, (device, lane, epoch)).fetchone()
    return None if row is None else row[0]
