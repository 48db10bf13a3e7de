"""Records every flash operation of a run, and makes of each the flash that a power cut within it leaves behind.

A history is recorded once; each of its operations is then cut without running what came before it again. What has been promised by
then is kept with it: a device is copied, flash and promises, just before each operation.
"""

from typing import Any, NamedTuple

from agent.flash import SECTOR_BYTES, PowerCut
from tests.both.flash_site import StrictFlash


class WatchedFlash(StrictFlash):
    """Tells `observe(operation)` of each program and erase before it happens; copies of it tell nobody."""

    observe = None

    def program(self, offset, data):
        if self.observe is not None:
            self.observe(("program", offset, bytes(data)))
        StrictFlash.program(self, offset, data)

    def erase(self, sector):
        if self.observe is not None:
            self.observe(("erase", sector))
        StrictFlash.erase(self, sector)


class Moment(NamedTuple):
    """A device just before a flash operation. device: has flash and copy(); operation: a method of the flash and its arguments."""

    device: Any
    operation: tuple

    def sector(self):
        """Return the sector that the operation works on."""
        kind, place = self.operation[:2]
        return place if kind == "erase" else place // SECTOR_BYTES

    def cut(self, mode, seed):
        """Return the device after the power failed within the operation, its flash without power yet restored: power_on() is next."""
        device = self.device.copy()
        device.flash.cut_after(0, mode, seed)
        try:
            getattr(device.flash, self.operation[0])(*self.operation[1:])
        except PowerCut:
            pass
        return device


def record(device, run):
    """Run run(device) on a watched flash; return the Moments of all its operations, in order."""
    moments = []
    device.flash.observe = lambda operation: moments.append(Moment(device.copy(), operation))
    try:
        run(device)
    finally:
        device.flash.observe = None
    return moments
