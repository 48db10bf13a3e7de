"""Faults planted in the drivers of sensors, by name: NAME -> (plant, what catches it); plant(patch) as in agent.py.

Each is a mistake somebody could make in good faith. tests/canary/test_sensors.py shows that the named test catches it.
"""

from agent.sensors import (
    FAULTY,
    SensorFault,
    ads1115,
    bme280,
    checksum,
    configured,
    ds18b20,
    joined,
    modbus_rtu,
    pulse,
    sht31,
)
from agent.sensors.ads1115 import Ads1115
from agent.sensors.bme280 import Bme280, Calibration
from agent.sensors.driver import CHECKSUM, Driver
from agent.sensors.ds18b20 import Ds18b20
from agent.sensors.joined import JoinedSensors
from agent.sensors.modbus_rtu import ModbusInstrument, ModbusLine, Point
from agent.sensors.pulse import EdgeCounter, PulseCounter
from agent.sensors.sht31 import Sht31
from tests.agent import test_ahead
from tests.agent.sensors import test_ranges
from tests.both import test_sensors_configured, test_sensors_i2c, test_sensors_joined, test_sensors_wire


def _believe_every_checksum_of_an_sht31(patch):
    patch(sht31, "crc8_sensirion", lambda data: _Equal())


class _Equal:
    """A checksum that is always right."""

    def __ne__(self, other):
        return False


def _begin_sensirions_checksum_at_zero(patch):
    patch(sht31, "crc8_sensirion", lambda data: checksum.crc8_sensirion(bytes(1) + data))


def _leave_the_heater_alone(patch):
    patch(Sht31, "_prepare", lambda self: None)


def _divide_by_65536(patch):
    patch(sht31, "temperature", lambda raw: (17500 * raw >> 16) - 4500)


def _take_h4_without_its_sign(patch):
    make = Calibration.__init__

    def careless(self, low, high):
        make(self, low, high)
        h1, h2, h3, h4, h5, h6 = self.h
        self.h = (h1, h2, h3, h4 & 0xFFF, h5 & 0xFFF, h6)

    patch(Calibration, "__init__", careless)


def _swap_the_nibbles_of_h4_and_h5(patch):
    make = Calibration.__init__

    def careless(self, low, high):
        make(self, low, high)
        shared, h5 = high[4], high[5]
        h1, h2, h3, h4, _, h6 = self.h
        self.h = (h1, h2, h3, h4 & ~15 | shared >> 4, h5 << 4 | shared & 15, h6)

    patch(Calibration, "__init__", careless)


def _divide_downwards(patch):
    patch(bme280, "_divide", lambda dividend, divisor: dividend // divisor)


def _keep_the_calibration_of_the_part_before(patch):
    patch(Bme280, "_lost", lambda self: None)


def _take_skipped_values_for_readings(patch):
    patch(bme280, "_SKIPPED_20", -1)


def _take_a_skipped_humidity_for_a_reading(patch):
    patch(bme280, "_SKIPPED_16", -1)


def _read_while_it_measures(patch):
    patch(bme280, "_MEASURING", 0)


def _order_humidity_after_the_measurement(patch):
    begin = Bme280._begin

    def late(self):
        orders = []
        self._write = lambda register, value: orders.append((register, value))
        begin(self)
        del self._write
        for register, value in reversed(orders):
            self._write(register, value)

    patch(Bme280, "_begin", late)


def _take_85_degrees_for_a_reading(patch):
    patch(ds18b20, "_POWER_ON", -1)


def _read_below_zero_as_a_large_number(patch):
    patch(ds18b20, "temperature", lambda raw, bits: raw * 625)


def _read_bits_that_are_undefined(patch):
    temperature = ds18b20.temperature
    patch(ds18b20, "temperature", lambda raw, bits: temperature(raw, 12))


def _believe_nine_zeros(patch):
    def fetch(self):
        self._select()
        self._wire.writebyte(0xBE)
        data = bytearray(9)
        self._wire.readinto(data)
        if checksum.crc8_maxim(data):
            raise SensorFault(CHECKSUM)
        return [ds18b20.temperature(data[1] << 8 | data[0], self._bits)]

    patch(Ds18b20, "_fetch", fetch)


def _ask_every_sensor_on_the_line_at_once(patch):
    make = Ds18b20.__init__
    patch(Ds18b20, "__init__", lambda self, wire, rom=None, bits=12: make(self, wire, None, bits))


def _take_full_scale_for_a_voltage(patch):
    collect = Ads1115._collect

    def trusting(self, source):
        value = collect(self, source)
        return ads1115.microvolts(0x7FFF, source.gain) if value is None else value

    patch(Ads1115, "_collect", trusting)


def _use_the_rate_of_the_reset(patch):
    make = ads1115.Input.__init__

    def usual(self, *given, **named):
        make(self, *given, **named)
        self.config = self.config & ~0xE0 | 4 << 5

    patch(ads1115.Input, "__init__", usual)
    patch(ads1115, "_SETTLE_MS", 9)


def _forget_the_sign_of_a_voltage(patch):
    patch(ads1115, "microvolts", lambda raw, gain: raw * ads1115.FULL_SCALE_UV[gain] >> 15)


def _take_a_long_pause_for_a_bounce(patch):
    def edge(self, _pin=None):
        now = self._ticks_us()
        if self._last is not None and self._ticks_diff(now, self._last) < self._gap_us:
            return
        self._last = now
        self._count += 1

    patch(EdgeCounter, "edge", edge)


def _count_every_bounce(patch):
    make = EdgeCounter.__init__
    patch(EdgeCounter, "__init__", lambda self, us, diff, gap_us: make(self, us, diff, 0))


def _take_the_wrap_of_a_counter_for_a_fall(patch):
    add = PulseCounter._add

    def falling(self, pulses, elapsed_ms):
        return add(self, pulses if pulses < self._wrap // 2 else pulses - self._wrap, elapsed_ms)

    patch(PulseCounter, "_add", falling)


def _believe_any_number_of_pulses(patch):
    def add(self, pulses, elapsed_ms):
        self._count += pulses
        return [self._count, pulses * 1000000 // elapsed_ms]

    patch(PulseCounter, "_add", add)


def _count_on_beyond_32_bits(patch):
    patch(pulse, "COUNT_WRAP", 1 << 64)


def _believe_every_checksum_of_modbus(patch):
    check = modbus_rtu._check

    def trusting(answer, *expected):
        body = answer[:-2]
        return check(body + checksum.crc16_modbus(body).to_bytes(2, "little"), *expected)

    patch(modbus_rtu, "_check", trusting)


def _take_the_answer_of_another(patch):
    check = modbus_rtu._check

    def trusting(answer, address, *expected):
        return check(answer, answer[0], *expected) if len(answer) > 5 else check(answer, address, *expected)

    patch(modbus_rtu, "_check", trusting)


def _take_a_late_answer_for_the_next(patch):
    listen = ModbusLine._listen

    def hasty(self, expected):
        wait, left = self._wait_ms, []
        self._wait_ms = lambda count: left.append(count) if count == self._answer_ms else wait(count)
        try:
            return listen(self, expected)
        finally:
            self._wait_ms = wait

    patch(ModbusLine, "_listen", hasty)


def _send_without_silence(patch):
    patch(modbus_rtu, "silence_ms", lambda baud: 1)


def _ask_each_point_of_a_silent_instrument(patch):
    fetch = ModbusInstrument._fetch

    def patient(self):
        points, values = self._points, []
        for point in points:
            self._points, self.channels = [point], 1
            values += fetch(self)
        self._points, self.channels = points, len(points)
        return values

    patch(ModbusInstrument, "_fetch", patient)


def _insist_on_what_is_refused(patch):
    patch(modbus_rtu, "_BUSY", 2)


def _swap_the_words_of_every_instrument(patch):
    value = Point.value
    patch(
        Point,
        "value",
        lambda self, data: value(self, data[2:] + data[:2] if self.kind != modbus_rtu.BIT else data),
    )


def _let_one_refusal_take_all_points(patch):
    def fetch(self):
        return [point.value(self._line.ask(self._address, point)) for point in self._points]

    patch(ModbusInstrument, "_fetch", fetch)


def _let_a_missing_part_raise(patch):
    patch(Driver, "_attempt", lambda self, work: work())


def _give_a_value_twice(patch):
    read = Driver.read

    def repeating(self):
        values = read(self)
        self._is_started = True
        return values

    patch(Driver, "read", repeating)


def _let_one_driver_stop_all(patch):
    patch(JoinedSensors, "_guard", lambda self, place, work: work())


def _take_whatever_a_driver_gives(patch):
    patch(joined, "_is_row", lambda row, channels: isinstance(row, list) and len(row) == channels)


def _wait_for_each_conversion_in_turn(patch):
    read = JoinedSensors.read

    def patient(self):
        for driver in self.drivers:
            self._wait_ms(driver.settle_ms)
        return read(self)

    patch(JoinedSensors, "read", patient)


def _use_a_measurement_of_long_ago(patch):
    patch(joined, "_AHEAD_MS_MAX", 1 << 40)


def _give_what_a_part_cannot_measure(patch):
    patch(Driver, "within", lambda self, value, low, high: value)


_I, _W, _J, _R = test_sensors_i2c, test_sensors_wire, test_sensors_joined, test_ranges
_C = test_sensors_configured


def _let_a_failed_part_take_all_channels(patch):
    read = JoinedSensors.read

    def strict(self):
        row = read(self)
        return [FAULTY] * len(row) if FAULTY in row else row

    patch(JoinedSensors, "read", strict)


def _take_every_number_of_the_settings(patch):
    patch(configured, "_number", lambda row, key, low, high, default=None: row.pop(key, default))


def _forget_the_address_of_the_settings(patch):
    real = configured._number

    def number(row, key, low, high, default=None):
        chosen = real(row, key, low, high, default)
        return default if key == "address" and default is not None else chosen

    patch(configured, "_number", number)


def _let_wrong_settings_stop_the_board(patch):
    def driver(row, hands):
        left = dict(row)
        return configured._MAKERS[left.pop("driver")](left, hands)

    patch(configured, "_driver", driver)


def _call_a_refused_part_missing(patch):
    patch(configured.Refused, "start", lambda self: True)
    patch(configured.Refused, "read", lambda self: [None] * self.channels)


def _read_another_register(patch):
    real = configured._point

    def point(item):
        return real({**item, "register": item["register"] + 1})

    patch(configured, "_point", point)


def _take_ground_for_every_input(patch):
    real = configured._input
    patch(configured, "_input", lambda item: real({key: item[key] for key in item if key != "minus"}))


def _keep_what_was_begun_for_another_instant(patch):
    def begin(self, left_ms):
        if self._started_at is not None:
            return joined._LOOK_MS
        if left_ms <= 0:
            self.start()
        return max(joined._LOOK_MS, min(left_ms, joined._NAP_MS))

    patch(JoinedSensors, "_begin_ahead", begin)


def _never_begin_ahead(patch):
    patch(JoinedSensors, "_begin_ahead", lambda self, left_ms: joined._NAP_MS)


SENSOR_FAULTS = {
    "believe_every_checksum_of_an_sht31": (
        _believe_every_checksum_of_an_sht31,
        _I.test_sht31_finds_every_flipped_bit,
    ),
    "begin_sensirions_checksum_at_zero": (
        _begin_sensirions_checksum_at_zero,
        _I.test_sht31_gives_the_worked_example,
    ),
    "leave_the_heater_alone": (
        _leave_the_heater_alone,
        _I.test_sht31_waits_between_commands_and_turns_its_heater_off,
    ),
    "divide_by_65536": (_divide_by_65536, _I.test_sht31_gives_the_worked_example),
    "take_h4_without_its_sign": (
        _take_h4_without_its_sign,
        _I.test_bme280_takes_the_sign_of_each_calibration_word,
    ),
    "swap_the_nibbles_of_h4_and_h5": (
        _swap_the_nibbles_of_h4_and_h5,
        _I.test_bme280_computes_a_published_reading,
    ),
    "divide_downwards": (_divide_downwards, _I.test_bme280_divides_as_c_does),
    "keep_the_calibration_of_the_part_before": (
        _keep_the_calibration_of_the_part_before,
        _I.test_bme280_put_in_place_of_another_is_computed_with_its_own_calibration,
    ),
    "take_skipped_values_for_readings": (
        _take_skipped_values_for_readings,
        _I.test_bme280_skipped_values_are_no_readings,
    ),
    "take_a_skipped_humidity_for_a_reading": (
        _take_a_skipped_humidity_for_a_reading,
        _I.test_bme280_skipped_values_are_no_readings,
    ),
    "read_while_it_measures": (
        _read_while_it_measures,
        _I.test_bme280_that_measures_or_copies_is_left_alone,
    ),
    "order_humidity_after_the_measurement": (
        _order_humidity_after_the_measurement,
        _I.test_bme280_reads_the_example_from_its_registers,
    ),
    "take_85_degrees_for_a_reading": (
        _take_85_degrees_for_a_reading,
        _W.test_ds18b20_power_on_value_is_no_reading,
    ),
    "read_below_zero_as_a_large_number": (
        _read_below_zero_as_a_large_number,
        _W.test_ds18b20_gives_the_datasheets_table,
    ),
    "read_bits_that_are_undefined": (
        _read_bits_that_are_undefined,
        _W.test_ds18b20_leaves_out_the_bits_that_its_resolution_has_not,
    ),
    "believe_nine_zeros": (_believe_nine_zeros, _W.test_ds18b20_line_that_is_held_or_empty_gives_nothing),
    "ask_every_sensor_on_the_line_at_once": (
        _ask_every_sensor_on_the_line_at_once,
        _W.test_ds18b20s_on_one_line_are_told_apart_by_their_codes,
    ),
    "take_full_scale_for_a_voltage": (
        _take_full_scale_for_a_voltage,
        _I.test_ads1115_at_either_end_of_its_range_gives_nothing,
    ),
    "use_the_rate_of_the_reset": (
        _use_the_rate_of_the_reset,
        _I.test_ads1115_that_lost_its_supply_gives_nothing,
    ),
    "forget_the_sign_of_a_voltage": (_forget_the_sign_of_a_voltage, _I.test_ads1115_reads_each_gain),
    "take_a_long_pause_for_a_bounce": (
        _take_a_long_pause_for_a_bounce,
        _W.test_pulse_after_a_long_pause_counts,
    ),
    "count_every_bounce": (_count_every_bounce, _W.test_bounces_are_no_pulses),
    "take_the_wrap_of_a_counter_for_a_fall": (
        _take_the_wrap_of_a_counter_for_a_fall,
        _W.test_count_grows_over_the_wrap_of_its_counter,
    ),
    "believe_any_number_of_pulses": (
        _believe_any_number_of_pulses,
        _W.test_counter_that_began_anew_adds_nothing,
    ),
    "count_on_beyond_32_bits": (_count_on_beyond_32_bits, _W.test_count_begins_again_after_32_bits),
    "believe_every_checksum_of_modbus": (
        _believe_every_checksum_of_modbus,
        _W.test_modbus_answer_that_is_damaged_is_never_a_value,
    ),
    "take_the_answer_of_another": (
        _take_the_answer_of_another,
        _W.test_modbus_answer_of_another_is_refused,
    ),
    "take_a_late_answer_for_the_next": (
        _take_a_late_answer_for_the_next,
        _W.test_modbus_late_answer_is_not_taken_for_the_next,
    ),
    "send_without_silence": (
        _send_without_silence,
        _W.test_modbus_waits_for_silence_as_long_as_the_speed_asks,
    ),
    "ask_each_point_of_a_silent_instrument": (
        _ask_each_point_of_a_silent_instrument,
        _W.test_modbus_instrument_that_is_silent_is_asked_once_a_read,
    ),
    "insist_on_what_is_refused": (
        _insist_on_what_is_refused,
        _W.test_modbus_exception_takes_one_point_only,
    ),
    "swap_the_words_of_every_instrument": (
        _swap_the_words_of_every_instrument,
        _W.test_modbus_makes_integers_of_one_and_two_words,
    ),
    "let_one_refusal_take_all_points": (
        _let_one_refusal_take_all_points,
        _W.test_modbus_exception_takes_one_point_only,
    ),
    "let_a_missing_part_raise": (
        _let_a_missing_part_raise,
        _I.test_missing_part_and_stuck_bus_give_nothing_and_are_counted,
    ),
    "give_a_value_twice": (_give_a_value_twice, _I.test_value_is_given_once),
    "let_one_driver_stop_all": (
        _let_one_driver_stop_all,
        _J.test_driver_with_a_mistake_never_stops_the_sampling,
    ),
    "take_whatever_a_driver_gives": (
        _take_whatever_a_driver_gives,
        _J.test_driver_with_a_mistake_never_stops_the_sampling,
    ),
    "wait_for_each_conversion_in_turn": (
        _wait_for_each_conversion_in_turn,
        _J.test_conversions_run_side_by_side,
    ),
    "call_a_failed_part_missing": (
        lambda patch: patch(joined, "FAULTY", None),
        _J.test_sampler_says_fault_of_the_channels_that_failed_alone,
    ),
    "let_a_failed_part_take_all_channels": (
        _let_a_failed_part_take_all_channels,
        _J.test_sampler_says_fault_of_the_channels_that_failed_alone,
    ),
    "use_a_measurement_of_long_ago": (
        _use_a_measurement_of_long_ago,
        _J.test_measurement_begun_long_ago_is_begun_anew,
    ),
    "give_what_a_part_cannot_measure": (
        _give_what_a_part_cannot_measure,
        _R.test_sht31_gives_what_it_can_measure_or_nothing,
    ),
    "take_every_number_of_the_settings": (
        _take_every_number_of_the_settings,
        _C.test_wrong_settings_are_refused_in_their_place_and_the_others_read,
    ),
    "forget_the_address_of_the_settings": (
        _forget_the_address_of_the_settings,
        _C.test_part_answers_at_the_address_of_its_settings,
    ),
    "let_wrong_settings_stop_the_board": (
        _let_wrong_settings_stop_the_board,
        _C.test_wrong_settings_are_refused_in_their_place_and_the_others_read,
    ),
    "call_a_refused_part_missing": (
        _call_a_refused_part_missing,
        _C.test_refused_channels_are_recorded_as_faults_in_every_sample,
    ),
    "read_another_register": (
        _read_another_register,
        _C.test_instrument_is_asked_for_the_registers_of_its_settings,
    ),
    "take_ground_for_every_input": (
        _take_ground_for_every_input,
        _C.test_inputs_and_full_scales_of_an_ads1115_are_those_of_its_settings,
    ),
    "sleep_until_a_sample_that_may_come_sooner": (
        lambda patch: patch(joined, "_NAP_MS", 1 << 40),
        test_ahead.test_command_that_quickens_the_pace_leaves_no_read_to_wait,
    ),
    "keep_what_was_begun_for_another_instant": (
        _keep_what_was_begun_for_another_instant,
        lambda: test_ahead.test_command_that_slows_the_pace_drops_what_was_begun(0.7),
    ),
    "never_begin_ahead": (
        _never_begin_ahead,
        test_ahead.test_reads_never_wait_and_values_are_of_their_instant,
    ),
}
