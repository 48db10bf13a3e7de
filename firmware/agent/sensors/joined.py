"""Several drivers as the one sensor of a board: their channels in a row, in the order of the schema.

One that is missing or broken never takes the others away: its channels are FAULTY, and counted. Conversions run side by side,
so that a read lasts as long as the slowest, not as all together; start() ahead of the instant, and it waits for nothing.
"""

from agent.sensors import FAULTY
from protocol._const import const

# A measurement that began longer ago than this beyond the slowest conversion is not one of this instant: it is begun anew.
_AHEAD_MS_MAX = const(1000)
# How often keep_ahead() looks again while a measurement waits to be read.
_LOOK_MS = const(20)
# It sleeps no longer than that at a time: a command may have brought the next sample nearer.
_NAP_MS = const(1000)

BROKEN = "broken driver"


class JoinedSensors:
    """What a Board takes as its sensor. drivers: agent.sensors.driver.Driver, or whatever has channels, settle_ms, start, read.

    ticks_ms(), ticks_diff(new, old): a clock that may wrap. wait_ms(n): returns after so long; it is called at most once a read,
    for no longer than lead_ms. A driver that raises or gives what is no row of integers is counted: our own mistake in
    one driver must not stop the sampling of all, and shows in the counters.
    """

    def __init__(self, drivers: list, ticks_ms, ticks_diff, wait_ms):
        self.drivers = drivers
        self.lead_ms = max([driver.settle_ms for driver in drivers])
        self._mistakes = {}
        # Of each driver, the faults that it had counted before the measurement under way.
        self._counted = [0] * len(drivers)
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._wait_ms = wait_ms
        self._started_at = None

    def start(self) -> None:
        """Begin all measurements; read() then waits only for what is left of lead_ms."""
        for place in range(len(self.drivers)):
            self._counted[place] = _faults(self.drivers[place])
            self._guard(place, self.drivers[place].start)
        self._started_at = self._ticks_ms()

    def read(self) -> list:
        """Return the raw values of all channels: FAULTY where a driver failed, None where it has none for now. Never raises."""
        left_ms = self._left_ms()
        if left_ms is None:
            self.start()
            left_ms = self.lead_ms
        if left_ms > 0:
            self._wait_ms(left_ms)
        self._started_at = None
        row = []
        for place in range(len(self.drivers)):
            row += self._row_of(place)
        return row

    def _left_ms(self):
        """Return for how long the measurement begun last goes on, or None if there is none of this instant."""
        if self._started_at is None:
            return None
        age_ms = self._ticks_diff(self._ticks_ms(), self._started_at)
        # Below zero: so long ago that the clock has wrapped.
        if not 0 <= age_ms <= self.lead_ms + _AHEAD_MS_MAX:
            return None
        return self.lead_ms - age_ms

    def _row_of(self, place: int) -> list:
        driver = self.drivers[place]
        row = self._guard(place, driver.read)
        if not _is_row(row, driver.channels):
            self._count(place, BROKEN)
            return [FAULTY] * driver.channels
        if _faults(driver) == self._counted[place]:
            return row
        # Which of its channels a driver has counted, the None in their place says.
        return [FAULTY if value is None else value for value in row]

    def _guard(self, place: int, work):
        try:
            return work()
        except Exception as error:
            self._count(place, type(error).__name__)
            return None

    def _count(self, place: int, cause: str) -> None:
        self._mistakes[place, cause] = self._mistakes.get((place, cause), 0) + 1

    def counters(self) -> dict:
        """Return all faults so far: (place of the driver, cause) -> how often."""
        counted = dict(self._mistakes)
        for place in range(len(self.drivers)):
            for cause, count in self.drivers[place].faults.items():
                counted[place, cause] = count
        return counted

    async def keep_ahead(self, until_next_ms, sleep_ms) -> None:
        """Start each measurement lead_ms before its instant, for ever: a task for a board whose conversions are long.

        until_next_ms(): real milliseconds until the next sample is due. sleep_ms(n): awaitable.
        """
        while True:
            await sleep_ms(self._begin_ahead(until_next_ms() - self.lead_ms))

    def _begin_ahead(self, left_ms: int) -> int:
        """Begin a measurement if it is time to; return how long to sleep. left_ms: until then."""
        # One that waits for an instant which a command has put off is none any more.
        if self._left_ms() is None and left_ms > 0:
            return min(left_ms, _NAP_MS)
        if self._left_ms() is None:
            self.start()
        return _LOOK_MS


def _faults(driver) -> int:
    return sum(driver.faults.values())


def _is_row(row, channels: int) -> bool:
    # type() and not isinstance(): True is no number, and a float would make the device's bytes differ from the office's.
    return (
        isinstance(row, list)
        and len(row) == channels
        and not [value for value in row if value is not None and type(value) is not int]
    )
