"""SHT31, BME280 and ADS1115 against models of their registers: worked examples, and everything that can go wrong on the bus."""

from agent.sensors import bme280
from agent.sensors.ads1115 import SATURATED, Ads1115, Input
from agent.sensors.bme280 import Bme280, Calibration
from agent.sensors.checksum import crc8_sensirion
from agent.sensors.driver import CHECKSUM, IDENTITY, NO_ANSWER, NO_READING, NOT_READY, OUT_OF_RANGE
from agent.sensors.sht31 import HEATER, Sht31
from tests.agent.sensors.models.ads1115 import ModelAds1115
from tests.agent.sensors.models.bme280 import (
    EXAMPLE_DATA,
    EXAMPLE_HIGH,
    EXAMPLE_LOW,
    FORUM_DATA,
    FORUM_HIGH,
    FORUM_LOW,
    ModelBme280,
)
from tests.agent.sensors.models.i2c_bus import ENODEV, ETIMEDOUT, ModelBus, ModelClock
from tests.agent.sensors.models.sht31 import ModelSht31


class Bench:
    """One driver and its model on a bus."""

    def __init__(self, part, driver, address, clock):
        self.clock = clock
        self.part = part
        self.bus = ModelBus({address: part})
        self.driver = driver(self.bus)

    def read(self):
        """Measure once, as a board does."""
        self.driver.start()
        self.clock.wait_ms(self.driver.settle_ms)
        return self.driver.read()


def sht31(**registers):
    clock = ModelClock()
    return Bench(ModelSht31(clock, **registers), lambda bus: Sht31(bus, clock.wait_ms), 0x44, clock)


def bme280_bench(**registers):
    clock = ModelClock()
    return Bench(ModelBme280(clock, **registers), Bme280, 0x76, clock)


def ads1115(inputs, pins):
    clock = ModelClock()
    return Bench(ModelAds1115(clock, pins), lambda bus: Ads1115(bus, inputs, clock.wait_ms), 0x48, clock)


def benches():
    """Return one bench of each part, with a reading on it."""
    return [sht31(), bme280_bench(), ads1115([Input(0), Input(1)], (1000000, 500000, 0, 0))]


# ---- SHT31


def test_sht31_checksum_is_the_datasheets():
    """Table 20: CRC(BE EF) = 92."""
    assert crc8_sensirion(b"\xbe\xef") == 0x92


def test_sht31_gives_the_worked_example():
    """Two fifths of full scale are 25.00 degC and 40.00 %RH."""
    assert sht31(temperature=0x6666, humidity=0x6666).read() == [2500, 4000]


def test_sht31_reads_below_zero_and_rounds_to_the_nearest():
    """14,979 of 65,535 is -5.0009 degC, 14,980 is -4.9982; 1 of 65,535 is 0.0015 %RH."""
    assert sht31(temperature=14979, humidity=1).read() == [-500, 0]
    assert sht31(temperature=14983, humidity=65535).read() == [-499, 10000]


def test_sht31_waits_between_commands_and_turns_its_heater_off():
    """What was left on by somebody else is off before the first value; a model that hears two commands in 1 ms refuses."""
    bench = sht31()
    bench.part.is_heating = True

    assert bench.read() == [2500, 4000]
    assert not bench.part.is_heating
    assert bench.driver.faults == {}


def test_sht31_whose_heater_stays_on_gives_nothing():
    """A heated sensor reads too warm and too dry, and looks healthy."""
    bench = sht31()
    bench.part.is_heater_stuck = True

    assert bench.read() == [None, None]
    assert bench.driver.faults == {HEATER: 1}


def test_sht31_finds_every_flipped_bit():
    """A CRC-8 finds all single bits in value or checksum."""
    for place in range(6):
        for bit in range(8):
            bench = sht31()
            bench.read()
            bench.driver.start()
            bench.clock.wait_ms(16)
            bench.bus.damage = (place, 1 << bit)

            assert bench.driver.read() == [None, None]
            assert bench.driver.faults == {CHECKSUM: 1}


def test_sht31_asked_before_it_is_done_gives_nothing():
    """Without clock stretching it does not acknowledge."""
    bench = sht31()
    bench.driver.start()
    bench.clock.wait_ms(5)

    assert bench.driver.read() == [None, None]
    assert bench.driver.faults == {NO_ANSWER: 1}


def test_sht31_outside_what_it_measures_gives_nothing():
    """130 degC is what its formula ends with, 125 what it measures."""
    bench = sht31(temperature=65535)

    assert bench.read() == [None, None]
    assert bench.driver.faults == {OUT_OF_RANGE: 1}


def test_sht31_is_reset_on_order():
    """A soft reset is taken, and the next measurement prepares the sensor anew."""
    bench = sht31()
    bench.read()
    bench.clock.wait_ms(2)

    assert bench.driver.reset()
    bench.clock.wait_ms(2)
    assert bench.read() == [2500, 4000]
    assert bench.part.commands[-4:] == [b"\x30\xa2", b"\x30\x66", b"\xf3\x2d", b"\x24\x00"]


# ---- BME280


def _computed(low, high, data):
    calibration = Calibration(low, high)
    t_fine = bme280.fine_temperature(calibration, data[1])
    return (
        t_fine,
        bme280.temperature(t_fine),
        bme280.pressure(calibration, t_fine, data[0]),
        bme280.humidity(calibration, t_fine, data[2]),
    )


def test_bme280_computes_the_datasheets_example():
    """BMP280 data sheet, section 3.12: t_fine 128422, 25.08 degC, 100653 Pa."""
    t_fine, celsius, pascal, _ = _computed(EXAMPLE_LOW, EXAMPLE_HIGH, EXAMPLE_DATA)

    assert (t_fine, celsius, pascal >> 8) == (128422, 2508, 100653)
    assert pascal == 25767233


def test_bme280_computes_a_published_reading():
    """24.44 degC and 54.17 %RH, from the registers of a part in use."""
    _, celsius, _, percent = _computed(FORUM_LOW, FORUM_HIGH, FORUM_DATA)

    assert celsius == 2444
    assert percent * 100 >> 10 == 5417


def test_bme280_takes_the_sign_of_each_calibration_word():
    """T1, P1, H1 and H3 are unsigned; H4 and H5 are twelve bits with a sign and share a register."""
    high = b"\xff\x7f\xff\xff\x21\x80\x80"
    calibration = Calibration(b"\xff" * 26, high)

    assert calibration.t == (0xFFFF, -1, -1)
    assert calibration.p == (0xFFFF, -1, -1, -1, -1, -1, -1, -1, -1)
    assert calibration.h == (255, 32767, 255, -15, -2046, -128)


def test_bme280_reads_the_example_from_its_registers():
    """All three values of one forced measurement; 100653.25 Pa are 100653."""
    assert bme280_bench().read() == [2508, 100653, 5425]


def test_bme280_divides_as_c_does():
    """Towards zero: a quotient below zero is not rounded down."""
    assert [bme280._divide(-7, 2), bme280._divide(7, -2), bme280._divide(-7, -2), bme280._divide(7, 2)] == [
        -3,
        -3,
        3,
        3,
    ]


def test_bme280_of_another_kind_is_refused():
    """A BMP280 answers at the same address, without humidity."""
    bench = bme280_bench()
    bench.part.identity = 0x58

    assert bench.read() == [None, None, None]
    assert bench.driver.faults == {IDENTITY: 1}


def test_bme280_calibration_that_no_factory_wrote_is_refused():
    """All ones, all zeros, or a first word of zero."""
    for low in (
        bytes(26),
        b"\xff" * 26,
        bytes(2) + EXAMPLE_LOW[2:],
        EXAMPLE_LOW[:6] + bytes(2) + EXAMPLE_LOW[8:],
    ):
        bench = bme280_bench(low=low)

        assert bench.read() == [None, None, None]
        assert bench.driver.faults == {IDENTITY: 1}


def test_bme280_skipped_values_are_no_readings():
    """0x80000 and 0x8000 stand where nothing was measured; a temperature takes the other two with it, not they it."""
    pressure, temperature, humidity = EXAMPLE_DATA
    cases = [
        ((0x80000, temperature, humidity), [2508, None, 5425]),
        ((pressure, temperature, 0x8000), [2508, 100653, None]),
        ((pressure, 0x80000, humidity), [None, None, None]),
    ]
    for data, expected in cases:
        bench = bme280_bench(data=data)

        assert bench.read() == expected
        assert bench.driver.faults == {NO_READING: 1}


def test_bme280_that_lost_its_supply_gives_nothing_and_comes_back():
    """Its registers hold the marks of nothing measured; the next measurement is whole."""
    bench = bme280_bench()
    bench.read()
    bench.driver.start()
    bench.part.power_cycle()
    bench.clock.wait_ms(10)

    assert bench.driver.read() == [None, None, None]
    assert bench.read() == [2508, 100653, 5425]


def test_bme280_that_measures_or_copies_is_left_alone():
    """Early values are those before; a calibration that is being copied is half of one."""
    bench = bme280_bench()
    bench.driver.start()
    early = bench.driver.read()
    bench.part.is_copying = True

    assert [early, bench.read()] == [[None] * 3] * 2
    assert bench.driver.faults == {NOT_READY: 2}


def test_bme280_put_in_place_of_another_is_computed_with_its_own_calibration():
    """Who was away is identified again."""
    bench = bme280_bench()
    bench.read()
    bench.bus.parts = {}
    bench.read()
    bench.bus.parts = {0x76: ModelBme280(bench.clock, FORUM_DATA, FORUM_LOW, FORUM_HIGH)}

    assert bench.read() == [2444, 99621, 5418]


def test_bme280_outside_what_it_measures_gives_nothing():
    """Above 1100 hPa no pressure; above 85 degC nothing at all."""
    assert bme280_bench(data=(300000, EXAMPLE_DATA[1], EXAMPLE_DATA[2])).read() == [2508, None, 5425]
    bench = bme280_bench(data=(EXAMPLE_DATA[0], 800000, EXAMPLE_DATA[2]))
    assert bench.read() == [None] * 3
    assert bench.driver.faults == {OUT_OF_RANGE: 1}


# ---- ADS1115


def test_ads1115_gives_the_worked_example():
    """4 V at +-4.096 V; the config word is C3A3."""
    bench = ads1115([Input(0, gain=1)], (4000000, 0, 0, 0))

    assert bench.read() == [4000000]
    assert bench.part.configs == [0xC3A3]


def test_ads1115_reads_each_gain():
    """A third of full scale, to an LSB, both signs, between two inputs."""
    for gain in range(6):
        full = (6144000, 4096000, 2048000, 1024000, 512000, 256000)[gain]
        for sign in (1, -1):
            pins = (full // 3, 0, 0, 0) if sign > 0 else (0, full // 3, 0, 0)
            value = ads1115([Input(0, 1, gain)], pins).read()[0]

            assert abs(value - sign * (full // 3)) <= full // 32768 + 1


def test_ads1115_reads_several_inputs_in_their_order():
    """Each is converted for itself, and waited for."""
    inputs = [Input(3), Input(0), Input(0, 3), Input(2, gain=0)]
    bench = ads1115(inputs, (1000000, 0, 1500000, 500000))

    assert bench.read() == [500000, 1000000, 500000, 1500000]
    assert bench.driver.faults == {}


def test_ads1115_at_either_end_of_its_range_gives_nothing():
    """What is beyond full scale reads as full scale; the other inputs are read all the same."""
    bench = ads1115([Input(0), Input(1), Input(1, 3)], (3000000, 1000000, 0, 5000000))

    assert bench.read() == [None, 1000000, None]
    assert bench.driver.faults == {SATURATED: 2}


def test_ads1115_that_lost_its_supply_gives_nothing():
    """Its config register is that of the reset, its conversion register 0 V."""
    for source in (Input(0), Input(0, 1)):
        bench = ads1115([source], (1000000, 0, 0, 0))
        bench.driver.start()
        bench.part.power_cycle()
        bench.clock.wait_ms(5)

        assert bench.driver.read() == [None]
        assert bench.driver.faults == {NO_READING: 1}


def test_ads1115_asked_before_it_is_done_gives_nothing():
    """The conversion register still holds the value before."""
    bench = ads1115([Input(0)], (1000000, 0, 0, 0))
    bench.driver.start()
    bench.clock.wait_ms(4)

    assert bench.driver.read() == [None]
    assert bench.driver.faults == {NOT_READY: 1}


def test_ads1115_has_the_pairs_of_its_multiplexer_only():
    """A pair that cannot be selected is refused when the board is built."""
    for wrong in ((1, 2, 0), (1, 0, 0), (4, None, 0), (0, None, 6)):
        try:
            Input(*wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)


# ---- the bus


def test_missing_part_and_stuck_bus_give_nothing_and_are_counted():
    """Nobody there, a line that is held, and a part that comes back: None, a counter, and values again."""
    for bench in benches():
        good = bench.read()
        nothing = [None] * bench.driver.channels
        for code in (ENODEV, ETIMEDOUT):
            bench.bus.fails = code
            assert bench.read() == nothing
        bench.bus.fails = None

        assert bench.driver.faults == {NO_ANSWER: 2}
        assert bench.read() == good


def test_line_stuck_high_or_low_never_gives_a_value():
    """All ones or all zeros are no reading of any part, whether it was known before or not."""
    for is_known in (False, True):
        for stuck in (0x00, 0xFF):
            for bench in benches():
                if is_known:
                    bench.read()
                bench.bus.stuck = stuck

                assert bench.read() == [None] * bench.driver.channels
                assert sum(bench.driver.faults.values()) >= 1


def test_part_that_vanishes_while_it_measures_gives_nothing():
    """The order was taken, the answer never comes."""
    for bench in benches():
        bench.driver.start()
        bench.clock.wait_ms(bench.driver.settle_ms)
        bench.bus.fails = ETIMEDOUT

        assert bench.driver.read() == [None] * bench.driver.channels
        assert bench.driver.faults == {NO_ANSWER: 1}


def test_value_is_given_once():
    """A second read without a start has nothing to give."""
    for bench in benches():
        bench.read()

        assert bench.driver.read() == [None] * bench.driver.channels
        assert bench.driver.faults == {NOT_READY: 1}
