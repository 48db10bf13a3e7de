"""One clock for a whole site. Time passes only when everything waits; what would run in a worker thread runs at once, in order."""

import asyncio

from tests.agent.virtual_time import _JumpingSelector

# A commit is on the disk when it ran, and its caller learns so a little later: between the two a process may be killed.
DISK_S = 0.004


class Time:
    """Seconds since the simulation began."""

    def __init__(self):
        self.now = 0.0


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop over a Time."""

    def __init__(self, time):
        self._time_of_site = time
        super().__init__(_JumpingSelector(time))

    def time(self):
        return self._time_of_site.now

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            value = func(*args)
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            self.call_later(DISK_S, _finish, future, None, error)
        else:
            self.call_later(DISK_S, _finish, future, value, None)
        return future


def _finish(future, value, error):
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


class HostClock:
    """The clock of a gateway or of the office: monotonic seconds of this boot, and wall time, which may jump.

    It runs `drift` too fast. Nothing may depend on wall_ms but what people read.
    """

    def __init__(self, time, start_ms, drift=0.0):
        self._time = time
        self._start_ms = start_ms
        self._rate = 1.0 + drift
        self._booted = 0.0
        self.jumped_ms = 0

    def boot(self):
        """Monotonic time begins anew."""
        self._booted = self._time.now

    def monotonic(self):
        return (self._time.now - self._booted) * self._rate + 1000.0

    def wall_ms(self):
        return max(0, self._start_ms + round(self._time.now * 1000) + self.jumped_ms)

    async def sleep(self, seconds):
        await asyncio.sleep(max(seconds, 0))


class DeviceTicks:
    """A device's millisecond counter: it wraps, drifts, and begins somewhere at each boot."""

    wrap = 1 << 30

    def __init__(self, time, start_ms, drift):
        self._time = time
        self._rate = 1.0 + drift
        self._start_ms = start_ms

    def ticks_ms(self):
        return (self._start_ms + int(self._time.now * 1000 * self._rate)) % self.wrap

    def ticks_diff(self, new, old):
        half = self.wrap // 2
        return (new - old + half) % self.wrap - half
