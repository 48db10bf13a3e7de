"""One clock for a whole site. Time passes only when everything waits; what would run in a worker thread runs at once, in order."""

import asyncio
import selectors
from collections import Counter
from heapq import heappop, heappush
from itertools import count

# A commit is on the disk when it ran, and its caller learns so a little later: between the two a process may be killed.
DISK_S = 0.004
_YEAR_MS = 365 * 86_400_000


class Time:
    """Seconds since the simulation began."""

    def __init__(self):
        self.now = 0.0


class _Handle:
    """What asyncio's handles are, less what nobody asks them here: a world makes a quarter of a million."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when")

    def __init__(self, callback, args, context, when=None):
        self._callback = callback
        self._args = args
        self._context = context
        self._when = when
        self._cancelled = False

    def cancel(self):
        self._cancelled = True
        self._callback = self._args = None

    def cancelled(self):
        return self._cancelled

    def when(self):
        return self._when


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop over a Time. Timers of one moment run in the order in which they were set.

    Nothing comes from outside, so it never asks the system for what is ready: a world is half a million turns of this loop.
    A callback that names no context runs in none of its own; tasks name theirs.
    """

    def __init__(self, time):
        self._time_of_site = time
        self._timers = []
        self._order = count()
        super().__init__(_NothingComes())
        # Every future that is made asks. bool() says no, without a frame of Python's.
        self.get_debug = bool

    def time(self):
        return self._time_of_site.now

    def call_soon(self, callback, *args, context=None):
        handle = _Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay, callback, *args, context=None):
        when = self._time_of_site.now + delay
        timer = _Handle(callback, args, context, when)
        heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_at(self, when, callback, *args, context=None):
        timer = _Handle(callback, args, context, when)
        heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _run_once(self):
        """Run turn after turn until somebody stops the loop: asyncio comes by only then."""
        ready = self._ready
        while not self._stopping:
            if not ready:
                self._jump()
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                try:
                    if handle._context is None:
                        handle._callback(*handle._args)
                    else:
                        handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio does it
                    self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _jump(self):
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)
        if not timers:
            raise RuntimeError("everything waits, and for nothing")
        time, append = self._time_of_site, self._ready.append
        if timers[0][0] > time.now:
            time.now = timers[0][0]
        now = time.now
        while timers and timers[0][0] <= now:
            append(heappop(timers)[2])

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            value = func(*args)
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            self.call_later(DISK_S, _finish, future, None, error)
        else:
            self.call_later(DISK_S, _finish, future, value, None)
        return future


class _NothingComes(selectors.DefaultSelector):
    """What an event loop is built on; this one is never asked."""

    def select(self, timeout=None):
        raise AssertionError("a simulated site hears nothing from outside")


def _finish(future, value, error):
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


class HostClock:
    """The clock of a gateway or of the office: monotonic seconds of this boot, and wall time, which may jump.

    It runs `drift` too fast. Nothing may depend on wall_ms but what people read. happened: counts who reads a clock that jumped.
    """

    def __init__(self, time, start_ms, drift=0.0, happened=None):
        self._time = time
        self._start_ms = start_ms
        self._rate = 1.0 + drift
        self._happened = Counter() if happened is None else happened
        self._booted = 0.0
        self.jumped_ms = 0

    def boot(self):
        """Monotonic time begins anew."""
        self._booted = self._time.now

    def monotonic(self):
        return (self._time.now - self._booted) * self._rate + 1000.0

    def wall_ms(self):
        now_ms = max(0, self._start_ms + round(self._time.now * 1000) + self.jumped_ms)
        if self.jumped_ms:
            off = "in 1970" if not now_ms else "a year off" if self.jumped_ms >= _YEAR_MS else "hours off"
            self._happened[f"wall clock read {off}"] += 1
        return now_ms

    async def sleep(self, seconds):
        await asyncio.sleep(max(seconds, 0))


class DeviceTicks:
    """A device's millisecond counter: it wraps, drifts, and begins somewhere at each boot."""

    wrap = 1 << 30
    _half = wrap // 2

    def __init__(self, time, start_ms, drift):
        self._time = time
        self._rate = 1.0 + drift
        self._start_ms = start_ms

    def turns(self):
        """Return how often it has wrapped."""
        return (self._start_ms + int(self._time.now * 1000 * self._rate)) // self.wrap

    def ticks_ms(self):
        return (self._start_ms + int(self._time.now * 1000 * self._rate)) % self.wrap

    def ticks_diff(self, new, old):
        return (new - old + self._half) % self.wrap - self._half
