"""Bodies of segments that were opened for the page, kept for the next look: a segment never changes, and opening one costs a cipher.

A body is found again by the sealed bytes themselves. It is given out only while the keystore holds the key of its period, and is
forgotten when that key was erased: what was erased must not live on in this process. Bounded by events; who was not looked at for
longest goes first.
"""

from collections import OrderedDict
from typing import Any

from office_ingest.errors import KeyUnknown
from office_ingest.receive.body import open_events
from office_ingest.receive.keystore import Keystore
from protocol.errors import ProtocolError
from protocol.keys import CLEAR
from protocol.segment import parse_segment

# Each takes some hundred bytes: 25 MB at most, the newest of some twenty devices.
EVENTS_MAX = 40_000

Event = tuple[int, int, int, tuple[Any, ...]]
# Device, view class and view period: what one view key reads.
Period = tuple[bytes, int, int]


class Body:
    """One body. period: of its key, None where it is clear; events: (boot, event) in order, None where it is no body. Only itself equals it."""

    __slots__ = ("events", "period")

    def __init__(self, period: Period | None, events: list[tuple[int, Event]] | None):
        self.period = period
        self.events = events


class Keys:
    """The view keys of one look, each asked for once."""

    def __init__(self, keystore: Keystore):
        self._keystore = keystore
        self._known: dict[Period, bytes | None] = {}

    def of(self, period: Period) -> bytes | None:
        """Return a period's key, None where the keystore does not give it or no longer."""
        if period not in self._known:
            try:
                self._known[period] = self._keystore.view_key(*period)
            except (KeyUnknown, ProtocolError):
                self._known[period] = None
        return self._known[period]


class Bodies:
    """Keeps opened bodies. events_max: how many events at most; one body more than that is never kept."""

    def __init__(self, events_max: int = EVENTS_MAX):
        self._events_max = events_max
        self._events = 0
        self._kept: OrderedDict[tuple[bytes, bytes], Body] = OrderedDict()

    def body(self, keys: Keys, device: bytes, raw: bytes) -> Body | None:
        """Return the body of one verified segment; None where its period's key is gone."""
        place = (device, raw)
        kept = self._kept.get(place)
        if kept is not None:
            self._kept.move_to_end(place)
            return kept if kept.period is None or keys.of(kept.period) is not None else None
        made = _opened(keys, device, raw)
        if made is not None:
            self._keep(place, made)
        return made

    def forget(self, periods: set[Period]) -> None:
        """Forget every body of some periods."""
        for place in [place for place, body in self._kept.items() if body.period in periods]:
            self._drop(place)

    def periods(self) -> set[Period]:
        """Return the periods of all that is kept."""
        return {body.period for body in self._kept.values() if body.period is not None}

    def _keep(self, place: tuple[bytes, bytes], body: Body) -> None:
        self._kept[place] = body
        self._events += _size(body)
        while self._events > self._events_max:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[bytes, bytes]) -> None:
        self._events -= _size(self._kept.pop(place))


def _size(body: Body) -> int:
    # What has no events is a few hundred bytes of segment all the same.
    return 1 + len(body.events or ())


def _opened(keys: Keys, device: bytes, raw: bytes) -> Body | None:
    segment = parse_segment(raw)
    if segment.header.view_class == CLEAR:
        return Body(None, [])
    period = (device, segment.header.view_class, segment.header.period)
    key = keys.of(period)
    if key is None:
        return None
    try:
        boot, opened = open_events(segment, key)
    except ProtocolError:
        return Body(period, None)
    return Body(period, [(boot, event) for event in opened])
