"""Drivers from a board's settings, over models of their registers: each at its address, and what is wrong refused alone."""

from agent.sampler import Sampler
from agent.schema import Channel
from agent.sensors import FAULTY
from agent.sensors.configured import SETTINGS, Hands, build_sensors
from agent.sensors.modbus_rtu import ModbusLine
from agent.sensors.pulse import EDGE_BITS, EdgeCounter
from protocol.event import FAULT, GOOD
from tests.agent.sensors.models.ads1115 import ModelAds1115
from tests.agent.sensors.models.bme280 import ModelBme280
from tests.agent.sensors.models.i2c_bus import ModelBus, ModelClock
from tests.agent.sensors.models.instrument import ModelInstrument, ModelUart
from tests.agent.sensors.models.one_wire import ModelDs18b20, ModelWire, make_rom
from tests.agent.sensors.models.sht31 import ModelSht31

_BOARD_WIRE_PIN = 16
_OTHER_PIN = 20


class ModelHands(Hands):
    """A board with two parts of each kind: on both addresses, on two pins, on one line."""

    def __init__(self):
        self.clock = ModelClock()
        self.said = []
        clock = self.clock
        super().__init__(self.said.append, clock.wait_ms, clock.ticks_ms, clock.ticks_diff)
        self.near, self.far = ModelSht31(clock), ModelSht31(clock, temperature=0x8000)
        self.volts = ModelAds1115(clock, (100000, 1500000, 3000000, 200000))
        parts = {0x44: self.near, 0x45: self.far, 0x77: ModelBme280(clock), 0x49: self.volts}
        self.bus = ModelBus(parts)
        self.parts = [ModelDs18b20(clock, make_rom(1), 0x07D0), ModelDs18b20(clock, make_rom(2), 0x0008)]
        self.wires = {_BOARD_WIRE_PIN: ModelWire([self.parts[0]]), _OTHER_PIN: ModelWire(self.parts)}
        self.edges = {}
        tables = {3: {107: 555, 108: 0xFFFF, 109: 0xFFFE}, 1: {4: 1}}
        self.uart = ModelUart(clock, [ModelInstrument(17, tables), ModelInstrument(18, {3: {107: 7}})])
        self.modbus = ModbusLine(self.uart, 9600, clock.wait_ms)

    def i2c(self):
        return self.bus

    def wire(self, pin):
        pin = _BOARD_WIRE_PIN if pin is None else pin
        if pin not in self.wires:
            raise ValueError("invalid pin")
        return self.wires[pin]

    def pulses(self, pin, gap_us):
        self.edges[pin] = EdgeCounter(self.clock.ticks_us, self.clock.ticks_diff, gap_us)
        return self.edges[pin], EDGE_BITS

    def line(self):
        return self.modbus


def read(rows, channels, hands=None):
    """Return (values of one read, what was said)."""
    hands = hands or ModelHands()
    return build_sensors(rows, channels, hands).read(), hands.said


def test_part_answers_at_the_address_of_its_settings():
    """Two of one kind on one bus, in the order of the rows."""
    rows = [{"driver": "sht31", "address": 0x45}, {"driver": "sht31"}]
    values, said = read(rows, 4)

    assert values[0] != 2500
    assert values[2:] == [2500, 4000]
    assert said == []


def test_name_alone_is_a_part_as_its_maker_sends_it():
    """As in settings that were written before there were tables."""
    assert read(["sht31"], 2) == ([2500, 4000], [])


def test_bme280_answers_at_its_other_address():
    """0x77, with pin SDO high."""
    values, said = read([{"driver": "bme280", "address": 0x77}], 3)

    assert (len([value for value in values if type(value) is int]), said) == (3, [])


def test_inputs_and_full_scales_of_an_ads1115_are_those_of_its_settings():
    """Against ground, against another input, and one that is beyond its full scale."""
    inputs = [
        {"plus": 2, "full_scale_mv": 4096},
        {"plus": 1, "minus": 3},
        {"plus": 1, "full_scale_mv": 256},
    ]
    values, said = read([{"driver": "ads1115", "address": 0x49, "inputs": inputs}], 3)

    assert (values[0], values[1], said) == (3000000, 1300000, [])
    assert values[2] is FAULTY


def test_ds18b20_is_found_by_its_pin_and_by_its_rom():
    """One alone on the board's pin, two on another."""
    rows = [{"driver": "ds18b20"}]
    for serial in (2, 1):
        rows.append({"driver": "ds18b20", "pin": _OTHER_PIN, "rom": make_rom(serial).hex()})

    assert read(rows, 3) == ([1250000, 5000, 1250000], [])


def test_meters_count_on_their_pins():
    """Each its own, with its own gap."""
    hands = ModelHands()
    sensors = build_sensors([{"driver": "pulse", "pin": 3}, {"driver": "pulse", "gap_us": 0}], 4, hands)
    sensors.read()
    hands.clock.wait_ms(1000)
    for _ in range(5):
        hands.edges[3].edge()
        hands.edges[None].edge()
    values = sensors.read()

    assert (values[0], values[2]) == (1, 5)


def test_instrument_is_asked_for_the_registers_of_its_settings():
    """By its address; bits, words, signed and long ones; two instruments share the line."""
    points = [
        {"table": "holding", "register": 107},
        {"table": "holding", "register": 108, "kind": "s32", "scale": -2},
        {"table": "coils", "register": 4, "kind": "bit"},
    ]
    rows = [
        {"driver": "modbus", "address": 17, "points": points},
        {"driver": "modbus", "address": 18, "points": points[:1]},
    ]

    assert read(rows, 4) == ([555, -2, 1, 7], [])


WRONG = [
    ({"driver": "sht31", "address": 0x46}, 2, "address = 70 is not 68..69"),
    ({"driver": "sht31", "address": True}, 2, "address = True"),
    ({"driver": "sht31", "address": "0x44"}, 2, "address = 0x44"),
    ({"driver": "sht31", "adress": 0x45}, 2, "adress is no key of it"),
    ({"driver": "bme280", "address": 0x44}, 3, "address = 68 is not 118..119"),
    ({"driver": "ads1115", "address": 0x4C}, 1, "address = 76 is not 72..75"),
    ({"driver": "ads1115", "inputs": [{"plus": 4}]}, 1, "plus = 4 is not 0..3"),
    ({"driver": "ads1115", "inputs": [{"plus": 0, "minus": 2}]}, 1, "multiplexer"),
    ({"driver": "ads1115", "inputs": [{"plus": 0, "full_scale_mv": 5000}]}, 1, "full_scale_mv"),
    ({"driver": "ads1115", "inputs": []}, 1, "inputs is empty"),
    ({"driver": "ads1115", "inputs": 3}, 1, "ads1115 refused"),
    ({"driver": "ds18b20", "bits": 13}, 1, "bits = 13 is not 9..12"),
    ({"driver": "ds18b20", "rom": "2800000000000001"}, 1, "ROM code"),
    ({"driver": "ds18b20", "pin": 64}, 1, "pin = 64 is not 0..63"),
    ({"driver": "ds18b20", "pin": 1}, 1, "invalid pin"),
    ({"driver": "pulse", "gap_us": -1}, 2, "gap_us = -1 is not 0..1000000"),
    ({"driver": "pulse", "rate_max": 0}, 2, "rate_max = 0 is not 1..10000"),
    (
        {"driver": "modbus", "address": 248, "points": [{"table": "holding", "register": 1}]},
        1,
        "address = 248",
    ),
    ({"driver": "modbus", "address": 1}, 1, "points"),
    ({"driver": "modbus", "address": 1, "points": []}, 1, "points is empty"),
    ({"driver": "modbus", "address": 1, "points": [{"table": "holding", "register": 65536}]}, 1, "register"),
    (
        {"driver": "modbus", "address": 1, "points": [{"table": "coils", "register": 1, "kind": "u16"}]},
        1,
        "BIT",
    ),
    ({"driver": "modbus", "address": 1, "points": [{"table": "fuses", "register": 1}]}, 1, "table = fuses"),
    ({"driver": "thermocouple"}, 1, "no driver has this name"),
    ({"driver": ["sht31"]}, 1, "refused"),
    ({}, 1, "refused"),
    (7, 1, "refused"),
]


def test_wrong_settings_are_refused_in_their_place_and_the_others_read():
    """The board runs, the console says what is wrong, and no channel moves to another place."""
    for row, channels, words in WRONG:
        values, said = read(["sht31", row, {"driver": "ds18b20"}], channels + 3)

        assert values == [2500, 4000] + [FAULTY] * channels + [1250000], row
        assert len(said) == 1
        assert words in said[0], said


def test_refused_channels_are_recorded_as_faults_in_every_sample():
    """Not as missing: somebody has to come."""
    hands = ModelHands()
    sensors = build_sensors([{"driver": "sht31", "address": 1}, "ds18b20"], 3, hands)
    channels = [Channel("c", "1", 0, -10000000, 10000000, 0) for _ in range(3)]
    sampler = Sampler(sensors, channels, 1000)
    for turn in (1, 2):
        assert sampler.take(1000 * turn)[1:] == ([None, None, 1250000], [FAULT, FAULT, GOOD])

    assert sensors.counters() == {(0, SETTINGS): 2}
    assert sampler.faults == [2, 2, 0]


def test_sensors_of_another_number_of_channels_are_all_refused():
    """Which of them stands at the wrong place, nobody knows."""
    for rows in (["sht31", "ds18b20"], [], None, {}):
        values, said = read(rows, 2)

        assert values == [FAULTY, FAULTY]
        assert "the schema 2" in said[-1]
