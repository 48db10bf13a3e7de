"""A device whose conversions are long begins them ahead of its samples: none of its reads waits, whatever its pace becomes."""

import asyncio

import pytest

from agent.sensors.driver import Driver
from agent.sensors.joined import JoinedSensors
from protocol.command import SAMPLE_MS
from protocol.event import GOOD, SAMPLE
from tests.agent import virtual_time
from tests.agent.desk import Desk

LEAD_MS = 750
# A sample is read within one look of a task that sleeps in whole milliseconds.
SLACK_MS = 25


class SlowPart(Driver):
    """Two channels whose conversion takes as long as a DS18B20's; begun, taken: when, in milliseconds."""

    def __init__(self, clock):
        super().__init__(2, LEAD_MS)
        self._clock = clock
        self.begun = []
        self.taken = []

    def _now_ms(self):
        return round(self._clock.now * 1000)

    def _begin(self):
        self.begun.append(self._now_ms())

    def _fetch(self):
        self.taken.append(self._now_ms())
        assert self.taken[-1] - self.begun[-1] >= LEAD_MS
        return [10_000, 700]


class Ahead:
    """A device on the desk whose sensor is kept ahead by a task, as a board does it. waits: of its reads; sleeps: of that task."""

    def __init__(self, sample_ms):
        self.desk = Desk(sample_ms=sample_ms, clock_scale=1)
        clock = self.desk.clock
        self.part = SlowPart(clock)
        self.waits = []
        self.sleeps = []
        self.desk.sensor = JoinedSensors([self.part], clock.ticks_ms, clock.ticks_diff, self._wait)
        self.desk.after(0, self._keep_ahead)

    def _wait(self, count):
        self.waits.append(count)
        self.desk.clock.now += count / 1000

    def _keep_ahead(self):
        work = self.desk.sensor.keep_ahead(self.desk.agent.until_sample_ms, self._sleep_ms)
        self._task = asyncio.get_running_loop().create_task(work)

    async def _sleep_ms(self, count):
        assert count > 0
        self.sleeps.append(count)
        await virtual_time.sleep_ms(count)

    def set_pace(self, sample_ms):
        """As a command does it."""
        self.desk.agent.change(SAMPLE_MS, sample_ms)

    def samples(self):
        """Return (values, qualities) of all recorded samples."""
        return [event[3] for _, event in self.desk.gateway.events() if event[2] == SAMPLE]


def test_reads_never_wait_and_values_are_of_their_instant():
    """Each measurement ends when its sample is due, and not long before."""
    device = Ahead(5000)
    device.desk.run(60)
    ages = [taken - begun for begun, taken in zip(device.part.begun, device.part.taken, strict=False)]

    assert len(device.part.taken) >= 11
    assert device.waits == []
    assert max(ages) <= LEAD_MS + SLACK_MS
    assert device.samples() == [([10_000, 700], [GOOD, GOOD])] * len(device.part.taken)


def test_pace_shorter_than_a_conversion_waits_for_what_is_left_of_it():
    """The next begins at once; the reads take turns with it, and every sample has its value."""
    device = Ahead(500)
    device.desk.run(20)

    assert device.waits
    assert max(device.waits) <= LEAD_MS
    assert device.part.faults == {}


def test_command_that_quickens_the_pace_leaves_no_read_to_wait():
    """Nobody sleeps until a sample that was a day away."""
    device = Ahead(86_400_000)
    device.desk.after(10, lambda: device.set_pace(5000))
    device.desk.run(70)

    assert len(device.part.taken) >= 10
    # The first is due at once: what was not begun can only be waited for.
    assert device.waits in ([], [LEAD_MS])


@pytest.mark.parametrize("ahead_s", [0.7, 0.1])
def test_command_that_slows_the_pace_drops_what_was_begun(ahead_s):
    """What was begun for an instant that is none any more is measured anew, and nobody looks for it every 20 ms meanwhile."""
    device = Ahead(5000)
    device.desk.after(5 - ahead_s, lambda: device.set_pace(60_000))
    device.desk.run(130)
    ages = [
        taken - begun for begun, taken in zip(device.part.begun[-2:], device.part.taken[-2:], strict=True)
    ]

    assert device.waits == []
    assert max(ages) <= LEAD_MS + SLACK_MS
    assert len(device.sleeps) < 600
