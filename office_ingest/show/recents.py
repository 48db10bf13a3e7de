"""What the pages of devices show of readings and decisions, kept while nothing of it changes: most seconds bring heartbeats only.

The sealed bytes that are held are read at every look, and the view key of each period is asked for; where both are as before, so is
the result. What was read with a key that is erased is forgotten within a look of the page, whoever looks.
"""

import sqlite3
from collections import OrderedDict
from typing import NamedTuple

from office_ingest.receive.keystore import Keystore
from office_ingest.show.bodies import Bodies, Keys, Period
from office_ingest.show.chart import Picture, draw
from office_ingest.show.histogram import Histogram, draw_inputs
from office_ingest.show.readings import Channel, Held, Recent, device_channels, read_recent, recent_of

# Devices: about 300 kB each at most.
_KEPT_MAX = 32


class Drawn(NamedTuple):
    """What a page shows of a device's readings, and its charts."""

    recent: Recent
    pictures: list[Picture]
    histograms: list[Histogram]


class _Kept(NamedTuple):
    """What a result was made of, and the result."""

    held: tuple[Held, Held]
    channels: list[Channel]
    drawn: Drawn

    def periods(self) -> set[Period]:
        return {body.period for lane in self.held for body in lane.bodies if body.period is not None}


class Recents:
    """Keeps the devices that were looked at last."""

    def __init__(self) -> None:
        self._bodies = Bodies()
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def look(self, connection: sqlite3.Connection, keystore: Keystore, device: bytes) -> Drawn:
        """Return a device's readings as the database and the keystore give them now. They are not to be changed."""
        held = read_recent(connection, self._bodies, Keys(keystore), device)
        channels = device_channels(connection, device)
        kept = self._kept.pop(device, None)
        if kept is None or (kept.held, kept.channels) != (held, channels):
            recent = recent_of(*held, channels)
            kept = _Kept(held, channels, Drawn(recent, draw(recent), draw_inputs(recent)))
        self._kept[device] = kept
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return kept.drawn

    def forget_erased(self, keystore: Keystore) -> bool:
        """Forget whatever was read with a key that the keystore no longer gives; say whether there was any."""
        keys = Keys(keystore)
        of_device = {device: kept.periods() for device, kept in self._kept.items()}
        erased = {
            period for period in self._bodies.periods().union(*of_device.values()) if keys.of(period) is None
        }
        if erased:
            self._bodies.forget(erased)
            for device, periods in of_device.items():
                if periods & erased:
                    del self._kept[device]
        return bool(erased)
