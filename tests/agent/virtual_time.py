"""An asyncio loop whose time passes only when all tasks wait: hours of device life in a moment, the same every time."""

import asyncio
import selectors


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop_time):
        super().__init__()
        self._loop_time = loop_time

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self._loop_time.now += timeout
        return ready


class VirtualClock:
    """Seconds of the virtual loop; ticks_ms() for the device, starting close to its wrap on purpose."""

    wrap = 1 << 30

    def __init__(self, start_ms=(1 << 30) - 5000):
        self.now = 0.0
        self._start_ms = start_ms

    def ticks_ms(self):
        return (self._start_ms + round(self.now * 1000)) % self.wrap

    def ticks_diff(self, new, old):
        half = self.wrap // 2
        return (new - old + half) % self.wrap - half

    def wall_ms(self):
        return 1_700_000_000_000 + round(self.now * 1000)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock):
        super().__init__(_JumpingSelector(clock))
        self._clock_of_test = clock

    def time(self):
        return self._clock_of_test.now


def run(clock, coroutine):
    """Run a coroutine in virtual time; return its result."""
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(clock)) as runner:
        return runner.run(coroutine)


async def sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


def call_later(seconds, function):
    asyncio.get_running_loop().call_later(seconds, function)
