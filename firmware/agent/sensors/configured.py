"""The drivers that a board's settings name, each by its part and with its address, pin, inputs or registers.

A row of the settings is {"driver": name, key: value, ...}; docs/operating/boards.md has the keys. The desk checks them before a board
gets them (tools/board/sensors.py). A board trusts nobody: a row that names what no part can be is Refused in its place, whose channels
have the quality fault in every sample, and the others go on. What was wrong is told on the console.
"""

from binascii import unhexlify

from agent.sensors import SensorFault
from agent.sensors.driver import Driver
from agent.sensors.joined import JoinedSensors

# The cause under which a refused row counts.
SETTINGS = "settings"

# Channels of those that always have the same.
_CHANNELS = {"sht31": 2, "bme280": 3, "ds18b20": 1, "pulse": 2}


class Hands:
    """What a board has for its drivers; a board's own class has what is on its pins (wiring.py).

    tell(text): the console. wait_ms(n), ticks_ms(), ticks_diff(new, old): its clock. pin: a number, None for that of the pin map.
    """

    def __init__(self, tell, wait_ms, ticks_ms, ticks_diff):
        self.tell = tell
        self.wait_ms = wait_ms
        self.ticks_ms = ticks_ms
        self.ticks_diff = ticks_diff

    def i2c(self):
        """Return a machine.I2C. Raises ValueError or OSError, as all below, for what the board has not."""
        raise ValueError("this board has no I2C bus")

    def wire(self, pin):
        """Return an onewire.OneWire."""
        raise ValueError("this board has no 1-Wire line")

    def pulses(self, pin, gap_us: int):
        """Return (a source with value(), its bits). gap_us: edges that are closer are bounces."""
        raise ValueError("this board counts no pulses")

    def line(self):
        """Return the ModbusLine that all instruments share."""
        raise ValueError("this board has no line for instruments")


class Refused(Driver):
    """In the place of a driver whose settings are wrong: every measurement fails, and is counted."""

    def __init__(self, channels: int):
        super().__init__(channels, 0)

    def _begin(self) -> None:
        raise SensorFault(SETTINGS)


def build_sensors(rows: list, channels: int, hands: Hands) -> JoinedSensors:
    """Return the sensors of a board as one. rows: of its settings, in the order of the schema's channels; a name stands for itself.

    Where they have not as many channels as the schema, none can be trusted to be in its place: all channels are refused.
    """
    rows = rows if isinstance(rows, list) else []
    drivers = [_driver(row if isinstance(row, dict) else {"driver": row}, hands) for row in rows]
    found = sum([driver.channels for driver in drivers])
    if found != channels:
        hands.tell("sensors refused: they have {} channels, the schema {}".format(found, channels))
        drivers = [Refused(channels)]
    return JoinedSensors(drivers, hands.ticks_ms, hands.ticks_diff, hands.wait_ms)


def _driver(row: dict, hands: Hands) -> Driver:
    name = row.get("driver")
    left = dict(row)
    left.pop("driver", None)
    try:
        if name not in _MAKERS:
            raise ValueError("no driver has this name")
        driver = _MAKERS[name](left, hands)
        if left:
            raise ValueError("{} is no key of it".format(sorted(left)[0]))
        return driver
    except (KeyError, OSError, TypeError, ValueError) as error:
        hands.tell("sensor {} refused: {}".format(name, error))
        return Refused(_channels(row))


def _channels(row: dict) -> int:
    several = row.get("inputs", row.get("points"))
    fixed = [channels for name, channels in _CHANNELS.items() if name == row.get("driver")]
    return fixed[0] if fixed else len(several) if isinstance(several, list) and several else 1


def _number(row: dict, key: str, low: int, high: int, default=None) -> int:
    value = row.pop(key, default)
    # type() and not isinstance(): True is no number.
    if type(value) is not int or not low <= value <= high:
        raise ValueError("{} = {} is not {}..{}".format(key, value, low, high))
    return value


def _pin(row: dict):
    return _number(row, "pin", 0, 63) if "pin" in row else None


def _name(row: dict, key: str, names: tuple) -> int:
    value = row.pop(key)
    if value not in names:
        raise ValueError("{} = {} is none of {}".format(key, value, ", ".join(names)))
    return names.index(value)


def _sht31(row: dict, hands: Hands) -> Driver:
    from agent.sensors.sht31 import Sht31

    return Sht31(hands.i2c(), hands.wait_ms, _number(row, "address", 0x44, 0x45, 0x44))


def _bme280(row: dict, hands: Hands) -> Driver:
    from agent.sensors.bme280 import Bme280

    return Bme280(hands.i2c(), _number(row, "address", 0x76, 0x77, 0x76))


def _ads1115(row: dict, hands: Hands) -> Driver:
    from agent.sensors.ads1115 import Ads1115

    inputs = [_input(dict(item)) for item in row.pop("inputs", [{"plus": 0}, {"plus": 1}])]
    if not inputs:
        raise ValueError("inputs is empty")
    return Ads1115(hands.i2c(), inputs, hands.wait_ms, _number(row, "address", 0x48, 0x4B, 0x48))


def _input(item: dict):
    from agent.sensors.ads1115 import FULL_SCALE_UV, Input

    plus = _number(item, "plus", 0, 3)
    minus = _number(item, "minus", 0, 3) if "minus" in item else None
    full_scale_mv = _number(item, "full_scale_mv", 256, 6144, 2048)
    if full_scale_mv * 1000 not in FULL_SCALE_UV or item:
        raise ValueError("an input has plus, minus and full_scale_mv, 6144, 4096, 2048, 1024, 512 or 256")
    return Input(plus, minus, FULL_SCALE_UV.index(full_scale_mv * 1000))


def _ds18b20(row: dict, hands: Hands) -> Driver:
    from agent.sensors.ds18b20 import Ds18b20

    rom = unhexlify(row.pop("rom")) if "rom" in row else None
    bits = _number(row, "bits", 9, 12, 12)
    return Ds18b20(hands.wire(_pin(row)), rom, bits)


def _pulse(row: dict, hands: Hands) -> Driver:
    from agent.sensors.pulse import PulseCounter

    rate_max = _number(row, "rate_max", 1, 10000, 16)
    gap_us = _number(row, "gap_us", 0, 1000000, 30000)
    source, bits = hands.pulses(_pin(row), gap_us)
    return PulseCounter(source, bits, rate_max, hands.ticks_ms, hands.ticks_diff)


def _modbus(row: dict, hands: Hands) -> Driver:
    from agent.sensors.modbus_rtu import ModbusInstrument

    points = [_point(dict(item)) for item in row.pop("points")]
    if not points:
        raise ValueError("points is empty")
    return ModbusInstrument(hands.line(), _number(row, "address", 1, 247), points)


def _point(item: dict):
    from agent.sensors.modbus_rtu import COILS, KINDS, TABLES, U16, Point

    table = COILS + _name(item, "table", TABLES)
    register = _number(item, "register", 0, 65535)
    kind = _name(item, "kind", KINDS) if "kind" in item else U16
    # Of the schema alone: the desk has compared them.
    item.pop("scale", None)
    if item:
        raise ValueError("a point has table, register, kind and scale")
    return Point(table, register, kind)


_MAKERS = {
    "sht31": _sht31,
    "bme280": _bme280,
    "ads1115": _ads1115,
    "ds18b20": _ds18b20,
    "pulse": _pulse,
    "modbus": _modbus,
}
