"""Whatever a sensor's registers hold, a driver gives an integer that its datasheet allows, or None: for random registers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sensors.ads1115 import FULL_SCALE_UV, Ads1115, Input
from agent.sensors.bme280 import Bme280
from agent.sensors.ds18b20 import Ds18b20
from agent.sensors.modbus_rtu import HOLDING, S32_LOW_FIRST, U16, ModbusInstrument, ModbusLine, Point
from agent.sensors.pulse import COUNT_WRAP, PulseCounter
from agent.sensors.sht31 import Sht31
from tests.agent.sensors.models.ads1115 import ModelAds1115
from tests.agent.sensors.models.bme280 import EXAMPLE_HIGH, EXAMPLE_LOW, ModelBme280
from tests.agent.sensors.models.i2c_bus import ModelBus, ModelClock
from tests.agent.sensors.models.instrument import ModelInstrument, ModelUart, frame
from tests.agent.sensors.models.one_wire import ModelDs18b20, ModelWire, make_rom
from tests.agent.sensors.models.sht31 import ModelSht31

SHT31 = [(-4000, 12500), (0, 10000)]
BME280 = [(-4000, 8500), (30000, 110000), (0, 10000)]
# No deadline: how fast the machine is proves nothing.
_RANDOM = settings(max_examples=300, deadline=None)
_word = st.integers(0, 0xFFFF)
_raw20 = st.integers(0, 0xFFFFF)


def _check(values, ranges):
    assert len(values) == len(ranges)
    for value, (low, high) in zip(values, ranges, strict=True):
        assert value is None or (type(value) is int and low <= value <= high), (value, low, high)


def _read(driver, clock):
    driver.start()
    clock.wait_ms(driver.settle_ms)
    return driver.read()


@_RANDOM
@given(_word, _word)
def test_sht31_gives_what_it_can_measure_or_nothing(temperature, humidity):
    """All words of its two registers."""
    clock = ModelClock()
    driver = Sht31(ModelBus({0x44: ModelSht31(clock, temperature, humidity)}), clock.wait_ms)

    values = _read(driver, clock)

    _check(values, SHT31)
    # The formula of section 4.13 in rational numbers.
    if values[0] is not None:
        assert abs((values[0] + 4500) * 65535 - 17500 * temperature) * 2 <= 65535
        assert abs(values[1] * 65535 - 10000 * humidity) * 2 <= 65535


@_RANDOM
@given(_raw20, _raw20, _word)
def test_bme280_gives_what_it_can_measure_or_nothing(pressure, temperature, humidity):
    """All raw values, with a real calibration."""
    clock = ModelClock()
    part = ModelBme280(clock, (pressure, temperature, humidity), EXAMPLE_LOW, EXAMPLE_HIGH)

    _check(_read(Bme280(ModelBus({0x76: part})), clock), BME280)


@_RANDOM
@given(_raw20, _raw20, _word, st.binary(min_size=26, max_size=26), st.binary(min_size=7, max_size=7))
def test_bme280_of_any_calibration_divides_by_nothing(pressure, temperature, humidity, low, high):
    """All raw values with any calibration, which no factory wrote."""
    clock = ModelClock()
    part = ModelBme280(clock, (pressure, temperature, humidity), low, high)

    _check(_read(Bme280(ModelBus({0x76: part})), clock), BME280)


@_RANDOM
@given(_word, st.integers(9, 12))
def test_ds18b20_gives_what_it_can_measure_or_nothing(raw, bits):
    """All words of its register, at each resolution."""
    clock = ModelClock()
    driver = Ds18b20(ModelWire([ModelDs18b20(clock, make_rom(1), raw)]), None, bits)

    _check(_read(driver, clock), [(-550000, 1250000)])


@_RANDOM
@given(st.integers(-10_000_000, 10_000_000), st.integers(0, 5))
def test_ads1115_gives_what_it_can_measure_or_nothing(microvolts, gain):
    """Voltages far beyond each range, both signs: what is given is within an LSB of what is there."""
    clock = ModelClock()
    part = ModelAds1115(clock, (microvolts, 0, 0, 0))
    full = FULL_SCALE_UV[gain]

    values = _read(Ads1115(ModelBus({0x48: part}), [Input(0, 1, gain)], clock.wait_ms), clock)

    _check(values, [(-full + 1, full - 1)])
    if values[0] is not None:
        assert abs(values[0] - microvolts) <= full // 32768 + 1
    else:
        assert abs(microvolts) >= full - full // 16384 - 1


@_RANDOM
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 400_000)), max_size=20), st.integers(8, 32))
def test_count_of_pulses_never_falls_and_never_exceeds_what_came(steps, bits):
    """Any number of pulses in any time, over a counter of any width."""
    clock = ModelClock()
    source = type("Source", (), {"total": 0, "value": lambda self: self.total % (1 << bits)})()
    driver = PulseCounter(source, bits, 1000, clock.ticks_ms, clock.ticks_diff)
    _read(driver, clock)
    newest = 0
    for pulses, pause_ms in steps:
        source.total += min(pulses, pause_ms)
        clock.now_us += 1000 * pause_ms
        count, rate = _read(driver, clock)
        _check([count, rate], [(newest, min(source.total, COUNT_WRAP - 1)), (0, 1_001_000)])
        newest = newest if count is None else count


@_RANDOM
@given(st.binary(max_size=12), st.booleans())
def test_modbus_answers_of_any_bytes_are_a_value_or_nothing(body, has_checksum):
    """Whatever comes back, with a right checksum or without."""
    clock = ModelClock()
    instrument = ModelInstrument(17, {3: {0: 1, 1: 2}})
    instrument.change = lambda answer: frame(body) if has_checksum else body
    uart = ModelUart(clock, [instrument])
    points = [Point(HOLDING, 0, U16), Point(HOLDING, 0, S32_LOW_FIRST)]
    driver = ModbusInstrument(ModbusLine(uart, 9600, clock.wait_ms), 17, points)

    _check(_read(driver, clock), [(0, 0xFFFF), (-(1 << 31), (1 << 31) - 1)])
    assert uart.violations == []
