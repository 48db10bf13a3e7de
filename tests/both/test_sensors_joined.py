"""Several drivers as one sensor: what one of them does, the others do not feel."""

import asyncio

from agent.sampler import Sampler
from agent.schema import Channel
from agent.sensors import FAULTY
from agent.sensors.driver import NO_ANSWER
from agent.sensors.ds18b20 import Ds18b20
from agent.sensors.joined import BROKEN, JoinedSensors
from agent.sensors.sht31 import Sht31
from protocol.event import FAULT, GOOD, MISSING
from tests.agent.sensors.models.i2c_bus import ETIMEDOUT, ModelBus, ModelClock
from tests.agent.sensors.models.one_wire import ModelDs18b20, ModelWire, make_rom
from tests.agent.sensors.models.sht31 import ModelSht31


class Odd:
    """A driver with a mistake in it: does what it is given."""

    def __init__(self, read, start=None, channels=1):
        self.channels = channels
        self.settle_ms = 0
        self.faults = {}
        self.read = read
        self.start = start or (lambda: True)


class Board:
    """An SHT31 on I2C and a DS18B20 on one wire; others as wanted."""

    def __init__(self, others=(), start_us=0):
        self.clock = ModelClock(start_us)
        self.sht31 = ModelSht31(self.clock)
        self.ds18b20 = ModelDs18b20(self.clock, make_rom(1))
        self.bus = ModelBus({0x44: self.sht31})
        self.wire = ModelWire([self.ds18b20])
        drivers = [Sht31(self.bus, self.clock.wait_ms), Ds18b20(self.wire)] + list(others)
        self.sensors = JoinedSensors(drivers, self.clock.ticks_ms, self.clock.ticks_diff, self.clock.wait_ms)


def test_channels_stand_in_the_order_of_the_drivers():
    """Two of the first, one of the second."""
    assert Board().sensors.read() == [2500, 4000, 250625]


def test_conversions_run_side_by_side():
    """A read waits as long as the slowest, once."""
    board = Board()
    board.sensors.read()

    assert [wait for wait in board.clock.waits if wait > 10] == [750]


def test_missing_sensor_never_takes_the_others_away():
    """Either is unplugged and comes back; what is missing is faulty and counted at its place."""
    board = Board()
    board.bus.fails = ETIMEDOUT
    without_first = board.sensors.read()
    board.bus.fails = None
    board.wire.parts = []
    without_second = board.sensors.read()
    board.wire.parts = [board.ds18b20]

    assert without_first == [FAULTY, FAULTY, 250625]
    assert without_second == [2500, 4000, FAULTY]
    assert board.sensors.read() == [2500, 4000, 250625]
    assert board.sensors.counters() == {(0, NO_ANSWER): 1, (1, NO_ANSWER): 1}


def _raise():
    raise ValueError("a mistake")


def test_driver_with_a_mistake_never_stops_the_sampling():
    """It raises, gives too few values, a float, a truth value, or nothing: faulty, and counted as broken."""
    for read in (_raise, list, lambda: [1, 2], lambda: [1.5], lambda: [True], lambda: 7, lambda: None):
        board = Board([Odd(read)])

        assert board.sensors.read() == [2500, 4000, 250625, FAULTY]
        assert board.sensors.counters()[2, BROKEN] == 1
    board = Board([Odd(lambda: [7], start=_raise)])
    assert board.sensors.read() == [2500, 4000, 250625, 7]
    assert board.sensors.counters() == {(2, "ValueError"): 1}


def test_measurement_begun_ahead_is_waited_for_no_longer_than_it_takes():
    """What is left of the slowest conversion, or nothing."""
    for ahead_ms, left in ((700, [50]), (750, []), (900, [])):
        board = Board()
        board.sensors.start()
        board.clock.wait_ms(ahead_ms)
        board.clock.waits.clear()

        assert board.sensors.read() == [2500, 4000, 250625]
        assert board.clock.waits == left


def test_measurement_begun_long_ago_is_begun_anew():
    """A value of another time never passes for one of this instant, not even where the clock has wrapped between."""
    for pause_ms in (5000, 1 << 29, (1 << 29) + 100):
        board = Board()
        board.sensors.start()
        board.clock.now_us += pause_ms * 1000
        board.sht31.temperature, board.ds18b20.raw = 0x8000, 0x0008

        assert board.sensors.read() == [4250, 4000, 5000]


def test_measurements_are_begun_ahead_of_their_instants():
    """A board that keeps ahead reads without waiting, at every instant."""
    board = Board()
    board.sensors.read()
    board.clock.waits.clear()
    start_ms, period_ms = board.clock.now_ms(), 10000
    rows = []

    def until_next_ms():
        return start_ms + (len(rows) + 1) * period_ms - board.clock.now_ms()

    async def sleep_ms(count):
        if len(rows) == 3:
            raise asyncio.CancelledError
        assert count > 0
        board.clock.now_us += count * 1000
        if until_next_ms() <= 0:
            rows.append(board.sensors.read())

    try:
        asyncio.run(board.sensors.keep_ahead(until_next_ms, sleep_ms))
    except asyncio.CancelledError:
        pass

    assert rows == [[2500, 4000, 250625]] * 3
    assert board.clock.waits == []


def test_sampler_says_fault_of_the_channels_that_failed_alone():
    """An unplugged part has the quality fault; one that has nothing to give for now is missing; and what is there is good."""
    board = Board([Odd(lambda: [None])])
    channels = [
        Channel("air", "Cel", -2, -4000, 12500, 0),
        Channel("humidity", "%RH", -2, 0, 10000, 0),
        Channel("pipe", "Cel", -4, -550000, 1250000, 0),
        Channel("rate", "Hz", -3, 0, 16000, 0),
    ]
    sampler = Sampler(board.sensors, channels, 1000)
    board.wire.parts = []

    assert sampler.take(1000) == (1000, [2500, 4000, None, None], [GOOD, GOOD, FAULT, MISSING])
    board.wire.parts = [board.ds18b20]
    assert sampler.take(2000) == (2000, [2500, 4000, 250625, None], [GOOD, GOOD, GOOD, MISSING])
    assert (sampler.faults, sampler.not_good) == ([0, 0, 1, 0], 3)
