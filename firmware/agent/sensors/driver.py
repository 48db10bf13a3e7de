"""What every driver has in common: start() begins a measurement, read() gives its values, and nothing that the world does to a
sensor gets further than a counter.

A value is given once: read() without a start() before it has nothing to give, so that no old value passes for a new one.
How a driver is written: docs/write-a-driver.md.
"""

from agent.sensors import SensorFault
from agent.unset import unset

# What can be wrong, as the counters name it.
NO_ANSWER = "no answer"  # the bus says so: no acknowledge, a timeout, nobody present
CHECKSUM = "checksum"  # an answer was damaged on its way
IDENTITY = "identity"  # something answers, but not the part that this driver is for
NOT_READY = "not ready"  # asked too early, or never started
NO_READING = "no reading"  # the part's own mark for "no value", or a lost supply
OUT_OF_RANGE = "out of range"  # a number that the datasheet says the part cannot measure


class Driver:
    """One sensor of some channels. channels: values of a read(); settle_ms: from start() until read() may be called.

    A subclass has _begin() and _fetch() -> one integer a channel, None where there is none. Both raise SensorFault(cause) for what
    they find wrong, and let the bus's OSError pass. faults: cause -> how often; a cause that never came is not in it.
    """

    def __init__(self, channels: int, settle_ms: int):
        self.channels = channels
        self.settle_ms = settle_ms
        self.faults = {}
        self._is_started = unset()

    def start(self) -> bool:
        """Begin a measurement; return whether the sensor took the order. Never raises for what a sensor or bus does."""
        is_started = self._attempt(self._start) is not None
        self._is_started = is_started
        return is_started

    def _start(self) -> bool:
        self._begin()
        return True

    def _begin(self) -> None:
        """Order a measurement, where one must be ordered."""

    def _fetch(self) -> list:
        raise SensorFault(NO_READING)

    def read(self) -> list:
        """Return the values of the measurement begun last: integers, None where there is none. Never raises, as start()."""
        is_started, self._is_started = self._is_started, None
        if not is_started:
            # What start() could not begin, it has counted.
            if is_started is None:
                self.count(NOT_READY)
            return [None] * self.channels
        values = self._attempt(self._fetch)
        return [None] * self.channels if values is None else values

    def _attempt(self, work):
        try:
            return work()
        except OSError:
            self.count(NO_ANSWER)
        except SensorFault as fault:
            self.count(fault.args[0])
        self._lost()
        return None

    def _lost(self) -> None:
        """Forget what is known of the part: what failed may have lost its supply, or be another one by now."""

    def count(self, cause: str) -> None:
        """Count one fault."""
        self.faults[cause] = self.faults.get(cause, 0) + 1

    def within(self, value: int, low: int, high: int):
        """Return a value that the part can measure, None (counted) for any other."""
        if low <= value <= high:
            return value
        self.count(OUT_OF_RANGE)
        return None
