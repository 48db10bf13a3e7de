"""What board.toml says of sensors: what no part can be is named with key, value and limit before a board gets it."""

import pytest

from agent.sensors import configured
from agent.sensors.modbus_rtu import KINDS, TABLES
from protocol.cbor import dumps
from protocol.diagnostic import DiagnosticError
from tests.boards.windows import load
from tests.both.test_sensors_configured import ModelHands
from tools.board.settings import board_items, claimed_items
from tools.board.table import SILICON

PICO = SILICON["rpi_pico_w"]
LINK = 'link = "ble"\n'
TEMPERATURE, HUMIDITY = ["temperature", "Cel", -2, -4000, 12500, 0], ["humidity", "%RH", -2, 0, 10000, 0]
WATER, RATE = ["water", "1", 0, 0, 4294967295, 0], ["rate", "Hz", -3, 0, 16000, 0]
VOLT, WIRE = ["volt", "V", -6, -6144000, 6144000, 0], ["pipe", "Cel", -4, -550000, 1250000, 0]
LEVEL = ["level", "m", -2, 0, 1000, 0]


def items_of(folder, toml, channels, board=PICO):
    """Return the section `board` of device.json for a board.toml and the channels of a schema."""
    (folder / "schema.cbor").write_bytes(dumps([1, channels]))
    (folder / "board.toml").write_text(toml)
    items = {"link": {"host": "gateway"}, "schema": str(folder / "schema.cbor"), "flash_sectors": 16}
    return board_items(folder / "device.toml", board, items)


def said_of(folder, toml, channels, board=PICO):
    """Return the messages and fixes with which a board.toml is refused."""
    with pytest.raises(DiagnosticError) as raised:
        items_of(folder, toml, channels, board)
    return [f"{one.message} | {one.fix}" for one in raised.value.diagnostics]


EVERYTHING = (
    LINK
    + """
[modbus]
baud = 9600
parity = "none"
drive_pin = 20
[[sensor]]
driver = "sht31"
address = 0x45
[[sensor]]
driver = "ads1115"
address = 0x49
inputs = [{plus = 2, full_scale_mv = 4096}]
[[sensor]]
driver = "ds18b20"
rom = "28821603000000f2"
[[sensor]]
driver = "pulse"
pin = 21
[[sensor]]
driver = "modbus"
address = 17
points = [{table = "holding", register = 107, kind = "s16", scale = -2}, {table = "coils", register = 3}]
"""
)
EVERYTHING_CHANNELS = [TEMPERATURE, HUMIDITY, VOLT, WIRE, WATER, RATE, LEVEL, ["pump", "1", 0, 0, 1, 0]]


def test_every_part_is_told_where_it_is(tmp_path):
    """The board gets each key that was written; what was left out is the agent's, as the part comes from its maker."""
    kept = items_of(tmp_path, EVERYTHING, EVERYTHING_CHANNELS)

    assert kept["modbus"] == {"baud": 9600, "parity": "none", "answer_ms": 200, "drive_pin": 20}
    assert kept["sensors"][0] == {"driver": "sht31", "address": 0x45}
    assert kept["sensors"][1]["inputs"] == [{"plus": 2, "full_scale_mv": 4096}]
    assert kept["sensors"][3] == {"driver": "pulse", "pin": 21}
    assert kept["sensors"][4]["points"][0] == {
        "table": "holding",
        "register": 107,
        "kind": "s16",
        "scale": -2,
    }
    assert kept["sensors"][4]["points"][1]["kind"] == "bit"


def test_what_the_desk_takes_the_agent_takes(tmp_path):
    """Nothing that passes here is refused on the board: the same keys, the same limits."""
    hands = ModelHands()
    hands.wires[None] = hands.wires[16]
    kept = items_of(tmp_path, EVERYTHING, EVERYTHING_CHANNELS)
    sensors = configured.build_sensors(kept["sensors"], len(EVERYTHING_CHANNELS), hands)

    assert hands.said == []
    assert sum(driver.channels for driver in sensors.drivers) == len(EVERYTHING_CHANNELS)


WRONG = [
    ('driver = "sht31"\naddress = 0x46', "sensor[1].address is 70", "from 68 to 69"),
    ('driver = "bme280"\naddress = 0x44', "sensor[1].address is 68", "from 118 to 119"),
    ('driver = "sht31"\nadress = 0x45', "unknown key adress", "did you mean address?"),
    ('driver = "sht32"', 'sensor[1].driver is "sht32"', 'did you mean "sht31"?'),
    ("address = 0x45", "the key driver is missing in sensor[1]", '"modbus"'),
    ('driver = "ads1115"\ninputs = [{plus = 4}]', "sensor[1].inputs[1].plus is 4", "from 0 to 3"),
    ('driver = "ads1115"\ninputs = [{plus = 0, minus = 2}]', "plus = 0, minus = 2", "1 and 3"),
    ('driver = "ads1115"\ninputs = [{plus = 0, full_scale_mv = 5000}]', "full_scale_mv is 5000", "4096"),
    ('driver = "ads1115"\ninputs = []', "sensor[1].inputs is a list of 0", ""),
    ('driver = "ds18b20"\nbits = 13', "sensor[1].bits is 13", "from 9 to 12"),
    ('driver = "ds18b20"\nrom = "28821603000000f3"', "28821603000000f3", "checksum"),
    ('driver = "ds18b20"\npin = 19', "pin of ds18b20 = 19", "write one of 2, 3, 6"),
    ('driver = "pulse"\nrate_max = 0', "sensor[1].rate_max is 0", "from 1 to 10000"),
    ('driver = "modbus"\naddress = 248\npoints = [{table = "holding", register = 1}]', "is 248", "1 to 247"),
    ('driver = "modbus"\naddress = 1\npoints = [{table = "holding", register = 65536}]', "65536", "65535"),
    (
        'driver = "modbus"\naddress = 1\npoints = [{table = "holding", register = 65535, kind = "u32"}]',
        "register = 65535",
        "65534",
    ),
    (
        'driver = "modbus"\naddress = 1\npoints = [{table = "coils", register = 1, kind = "u16"}]',
        "coils",
        "bit",
    ),
]


@pytest.mark.parametrize(("sensor", "message", "limit"), WRONG, ids=[row[1] for row in WRONG])
def test_wrong_key_is_named_with_its_value_and_its_limit(tmp_path, sensor, message, limit):
    """Whoever wrote it needs no datasheet to mend it."""
    said = said_of(tmp_path, f"{LINK}[[sensor]]\n{sensor}\n", [TEMPERATURE, HUMIDITY])

    assert [line for line in said if message in line and limit in line], said


def test_all_mistakes_of_all_sensors_are_named_at_once(tmp_path):
    """Each at its own line."""
    toml = f'{LINK}[[sensor]]\ndriver = "sht31"\naddress = 1\n[[sensor]]\ndriver = "bme280"\naddress = 2\n'
    with pytest.raises(DiagnosticError) as raised:
        items_of(tmp_path, toml, [TEMPERATURE])

    assert [one.line for one in raised.value.diagnostics] == [4, 7]


def test_scale_of_a_channel_is_that_of_the_part(tmp_path):
    """A channel in tenths fed with hundredths would be wrong by ten, and look right."""
    tenths = ["temperature", "Cel", -1, -400, 1250, 0]
    said = said_of(tmp_path, f'{LINK}[[sensor]]\ndriver = "sht31"\n', [tenths, HUMIDITY])

    assert len(said) == 1
    assert "channel temperature has scale -1 in the schema, sht31 temperature gives scale -2" in said[0]


def test_number_of_channels_is_that_of_the_schema(tmp_path):
    """The device would refuse all of them."""
    said = said_of(tmp_path, f'{LINK}sensors = ["sht31", "ds18b20"]\n', [TEMPERATURE, HUMIDITY])

    assert "the sensors have 3 channels, the schema 2" in said[0]


PLACES = [
    (["sht31", "sht31"], "", [TEMPERATURE, HUMIDITY] * 2, "sht31 and sht31 are both at I2C address 0x44"),
    (["ds18b20", "pulse"], "pin = 16", [WIRE, WATER, RATE], "ds18b20 and pulse are both at pin 16"),
    (["ds18b20", "ds18b20"], 'rom = "28821603000000f2"', [WIRE, WIRE], "are both at pin 16"),
]


@pytest.mark.parametrize(("drivers", "more", "channels", "words"), PLACES, ids=[row[3] for row in PLACES])
def test_two_parts_are_never_at_one_place(tmp_path, drivers, more, channels, words):
    """One would answer for the other."""
    tables = [f'[[sensor]]\ndriver = "{driver}"\n' for driver in drivers]

    assert words in said_of(tmp_path, LINK + "".join(tables) + more + "\n", channels)[0]


def test_many_ds18b20_share_a_pin_by_their_codes(tmp_path):
    """And one code is one part."""
    table = '[[sensor]]\ndriver = "ds18b20"\nrom = "{}"\n'
    one, other = table.format("28821603000000f2"), table.format(make_other_rom())

    assert len(items_of(tmp_path, LINK + one + other, [WIRE, WIRE])["sensors"]) == 2
    assert "both at ROM code" in said_of(tmp_path, LINK + one + one, [WIRE, WIRE])[0]


def make_other_rom():
    from tests.agent.sensors.models.one_wire import make_rom

    return make_rom(7).hex()


def test_serial_line_is_either_for_the_link_or_for_instruments(tmp_path):
    """A board has one."""
    toml = 'link = "serial"\n[[sensor]]\ndriver = "modbus"\naddress = 1\npoints = [{table = "inputs", register = 1}]\n'
    level = ["level", "m", 0, 0, 1000, 0]

    assert "link and Modbus both want it" in said_of(tmp_path, toml, [level])[0]
    several = toml.replace('link = "serial"', 'order = ["ble", "serial"]')
    assert "link and Modbus both want it" in said_of(tmp_path, several, [level])[0]


def test_board_that_announces_itself_is_told_of_its_sensors_as_any_other(tmp_path):
    """Its schema comes with its admission; what no part can be is named before."""
    path = tmp_path / "board.toml"
    path.write_text(f'{LINK}sensors = ["recording"]\n')
    assert claimed_items(path, PICO, 16) == {
        "link": "ble",
        "order": None,
        "wifi": None,
        "sensors": ["recording"],
    }

    path.write_text(f'{LINK}sensors = ["sht31"]\n')
    assert claimed_items(path, PICO, 16)["sensors"] == [{"driver": "sht31", "address": 0x44}]

    path.write_text('[[sensor]]\ndriver = "pulse"\npin = 8\n')
    with pytest.raises(DiagnosticError, match="pin of pulse = 8") as raised:
        claimed_items(path, PICO, 16)
    assert "needs a network" in str(raised.value)


def test_names_and_tables_are_not_mixed(tmp_path):
    """Their order would be a guess."""
    toml = f'{LINK}sensors = ["sht31"]\n[[sensor]]\ndriver = "sht31"\n'

    assert "are both there" in said_of(tmp_path, toml, [TEMPERATURE, HUMIDITY])[0]


@pytest.mark.parametrize("name", SILICON)
def test_pins_for_sensors_are_free_on_the_board(name):
    """None is another's in the board's own pin map, and the map's own are among them."""
    board = SILICON[name]
    pins = load("board_pins", *board.folders)
    taken = {pins.I2C_SCL, pins.I2C_SDA, pins.LINE_TX, pins.LINE_RX, pins.SERVICE, *pins.RELAYS}

    assert taken.isdisjoint(board.sensor_pins)
    assert board.default_pins == {"ds18b20": pins.ONE_WIRE, "pulse": pins.PULSE}
    assert set(board.default_pins.values()) <= set(board.sensor_pins)


def test_words_of_modbus_are_those_of_the_agent():
    """A kind that one side knows and the other does not would be refused on the board."""
    from tools.board import sensors

    assert sensors.Table.__args__ == TABLES
    assert sensors.Kind.__args__ == KINDS
