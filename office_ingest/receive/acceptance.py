"""Which gaps a person may accept: open ones that the device says it no longer has. Of what it still has the office asks on.

Accepting is never automatic: a heartbeat that says so may come before segments that a gateway has in custody, and a receipt
lets the gateway forget them unsent.
"""

from typing import NamedTuple

from office_ingest.receive.lane import Lane
from office_ingest.receive.lanes import Lanes
from office_ingest.storage.interface import Place
from protocol.keys import LANES


class Gap(NamedTuple):
    """Numbers start .. stop - 1 of a lane and epoch of a device."""

    device: bytes
    lane: int
    epoch: int
    start: int
    stop: int

    @property
    def place(self) -> Place:
        """Its device, lane and epoch."""
        return self[:3]


def acceptable(lanes: Lanes, device: bytes, lane: int | None = None, epoch: int | None = None) -> list[Gap]:
    """Return the gaps of a device that may be accepted now. lane, epoch: of this one alone."""
    return [
        gap
        for at in LANES
        if lane in (None, at)
        for number, held in sorted(lanes.epochs(device, at).items())
        if epoch in (None, number)
        for gap in _of_lane(held)
    ]


def acceptable_of(lanes: Lanes, shown: Gap) -> list[Gap]:
    """Return what of a gap that was shown to a person may be accepted now."""
    pairs = [
        (max(gap.start, shown.start), min(gap.stop, shown.stop))
        for gap in acceptable(lanes, shown.device, shown.lane, shown.epoch)
    ]
    return [Gap(*shown.place, start, stop) for start, stop in pairs if start < stop]


def _of_lane(lane: Lane) -> list[Gap]:
    rows = sorted(row for row in lane.gap_rows() if row.state == "open" and row.pruned)
    return [Gap(*lane.place, row.start, row.stop) for row in rows]
