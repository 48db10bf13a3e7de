"""Where lanes ended for good: when a device was given other keys, it named the head of each lane of the epoch that it left.

Whoever has a copy of the keys of before can go on sealing in that epoch; of it nothing above those heads is the device's. What is known
follows from the segments that begin epochs, which lie in the store; so it is read at a device's first touch and forgotten at will.

Source: SPEC.md section 10.1.
"""

from collections.abc import Iterable
from typing import Any

from office_ingest.errors import KeyUnknown
from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.interface import Place, Store
from protocol.errors import SUPERSEDED, ProtocolError
from protocol.event import EPOCH_START
from protocol.keys import CLEAR, CRITICAL, LANES
from protocol.segment import parse_segment

# The reason of an epoch that other keys began.
KEYS = 2
# Devices that are remembered.
_DEVICES_REMEMBERED = 8192

Events = list[tuple[Any, ...]]


class EpochEnds:
    """Of one office. Not for two threads at once."""

    def __init__(self, store: Store, keystore: Keystore):
        self._store = store
        self._keystore = keystore
        self._ends: dict[bytes, dict[tuple[int, int], int]] = {}

    def forget(self) -> None:
        """Drop everything: the next touch reads the store again."""
        self._ends.clear()

    def check(self, place: Place, number: int, epochs: Iterable[int]) -> None:
        """Check that a number is not above where its lane ended. epochs: the known ones of the device. Raises ProtocolError(SUPERSEDED)."""
        device, lane, epoch = place
        if device not in self._ends:
            self._read(device, epochs)
        end = self._ends[device].get((lane, epoch))
        if end is not None and number > end:
            text = (
                f"segment {number} is above {end}, where this lane ended when the device was given other keys"
            )
            raise ProtocolError(SUPERSEDED, text)

    def _read(self, device: bytes, epochs: Iterable[int]) -> None:
        if len(self._ends) >= _DEVICES_REMEMBERED:
            self._ends.clear()
        self._ends[device] = {}
        # All of them: an end that lies many epochs back holds too. A device has few, and begins each by a segment that it sealed.
        later = sorted(epoch for epoch in epochs if epoch > 0)
        for raw in self._store.epoch_begins(device, later):
            segment = parse_segment(raw)
            header = segment.header
            if header.view_class == CLEAR:
                continue
            try:
                key = self._keystore.view_key(device, header.view_class, header.period)
                if key is not None:
                    self._ends[device].update(ends_of(open_events(segment, key)[1]))
            except (KeyUnknown, ProtocolError):
                # Its body was found wanting when it came.
                continue

    def take(self, device: bytes, events: Events) -> dict[tuple[int, int], int]:
        """Take the events of a segment 0 of the critical lane; return (lane, epoch) -> last number of what they say ended."""
        ends = ends_of(events)
        if ends:
            self._ends.setdefault(device, {}).update(ends)
        return ends


def ends_of(events: Events) -> dict[tuple[int, int], int]:
    """Return (lane, epoch) -> last number, -1 for none, as the start of an epoch of other keys names them."""
    ends: dict[tuple[int, int], int] = {}
    for event in events:
        if event[2] == EPOCH_START and event[3][0] == KEYS:
            _reason, old, *heads = event[3]
            for lane in LANES:
                ends[lane, old] = heads[lane][0] if heads[lane] else -1
    return ends


def is_begin(lane: int, epoch: int, number: int) -> bool:
    """Say whether a segment is one that may name ends."""
    return lane == CRITICAL and epoch > 0 and number == 0
