"""The sensors of a board.toml: what each part can be told, and whether its channels are those of the device's schema.

The agent reads the same keys (firmware/agent/sensors/configured.py) and refuses what gets past this.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from protocol.diagnostic import Diagnostic
from tools.board.table import SiliconBoard

Name = Literal["recording", "sht31", "bme280", "ads1115", "ds18b20", "pulse"]
Pin = Annotated[int, Meta(ge=0, le=63, description="GPIO number")]
Table = Literal["coils", "discrete_inputs", "holding", "inputs"]
Kind = Literal["u16", "s16", "u32", "s32", "u32_low_first", "s32_low_first", "bit"]
_TABLES_OF_BITS = ("coils", "discrete_inputs")
_LAST_REGISTER = 65535


class Sht31(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="driver", tag="sht31"):
    """Temperature and humidity."""

    address: Annotated[int, Meta(ge=0x44, le=0x45)] = 0x44


class Bme280(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="driver", tag="bme280"):
    """Temperature, pressure and humidity."""

    address: Annotated[int, Meta(ge=0x76, le=0x77)] = 0x76


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One voltage: an input against ground or against another, within a full scale."""

    plus: Annotated[int, Meta(ge=0, le=3)]
    minus: Annotated[int, Meta(ge=0, le=3)] | None = None
    full_scale_mv: Literal[6144, 4096, 2048, 1024, 512, 256] = 2048

    def __post_init__(self) -> None:
        pairs = ((0, 1), (0, 3), (1, 3), (2, 3))
        if self.minus is not None and (self.plus, self.minus) not in pairs:
            pair = f"plus = {self.plus}, minus = {self.minus}"
            raise ValueError(f"{pair}: the part can take 0 and 1, 0 and 3, 1 and 3, 2 and 3, or plus alone")


class Ads1115(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="driver", tag="ads1115"):
    """Up to four voltages."""

    address: Annotated[int, Meta(ge=0x48, le=0x4B)] = 0x48
    inputs: Annotated[list[Input], Meta(min_length=1, max_length=8)] = msgspec.field(
        default_factory=lambda: [Input(0), Input(1)]
    )


class Ds18b20(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="driver",
    tag="ds18b20",
):
    """A temperature; with its ROM code one of many on a line."""

    pin: Pin | None = None
    rom: Annotated[str, Meta(pattern="^28[0-9a-f]{14}$", description="ROM code")] | None = None
    bits: Annotated[int, Meta(ge=9, le=12)] = 12

    def __post_init__(self) -> None:
        from tools.shim import install

        install()
        from agent.sensors.checksum import crc8_maxim

        if self.rom is not None and crc8_maxim(bytes.fromhex(self.rom)):
            raise ValueError(f'rom = "{self.rom}": its last byte is not the checksum of the seven before')


class Pulse(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="driver",
    tag="pulse",
):
    """A meter: a count and its rate."""

    pin: Pin | None = None
    gap_us: Annotated[int, Meta(ge=0, le=1_000_000)] = 30_000
    rate_max: Annotated[int, Meta(ge=1, le=10_000)] = 16


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One value of an instrument. register: as on the line, a manual's 40001 is 0. scale: value = integer x 10**scale."""

    table: Table
    register: Annotated[int, Meta(ge=0, le=_LAST_REGISTER)]
    kind: Kind | None = None
    scale: Annotated[int, Meta(ge=-18, le=18)] = 0

    def __post_init__(self) -> None:
        is_bit = self.kind == "bit"
        if self.kind is None and self.table in _TABLES_OF_BITS:
            msgspec.structs.force_setattr(self, "kind", "bit")
        elif self.kind is not None and is_bit != (self.table in _TABLES_OF_BITS):
            raise ValueError(
                f'table = "{self.table}", kind = "{self.kind}": coils and discrete_inputs are bit, registers are not'
            )
        if self.kind and "32" in self.kind and self.register == _LAST_REGISTER:
            raise ValueError(
                f'register = {self.register}, kind = "{self.kind}": two registers begin at 65534 or below'
            )


class Modbus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="driver", tag="modbus"):
    """An instrument on the Modbus line."""

    address: Annotated[int, Meta(ge=1, le=247)]
    points: Annotated[list[Point], Meta(min_length=1, max_length=8)]


class ModbusLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """The line that instruments share: the UART of the pin map, which no link may have then."""

    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 19200
    parity: Literal["even", "odd", "none"] = "even"
    answer_ms: Annotated[int, Meta(ge=10, le=2000)] = 200
    drive_pin: Pin | None = None


Sensor = Sht31 | Bme280 | Ads1115 | Ds18b20 | Pulse | Modbus
_NAMED = {"sht31": Sht31, "bme280": Bme280, "ads1115": Ads1115, "ds18b20": Ds18b20, "pulse": Pulse}


class Given(NamedTuple):
    """A channel as a part gives it."""

    name: str
    scale: int


def named(names: list[Name]) -> list[Sensor]:
    """Return the sensors of a list of names: each as it comes from its maker."""
    return [_NAMED[name]() for name in names]


def channels_of(sensor: Sensor) -> list[Given]:
    """Return the channels of a sensor, as docs/write-a-driver.md has them."""
    if isinstance(sensor, Ads1115):
        return [Given(f"input {source.plus}", -6) for source in sensor.inputs]
    if isinstance(sensor, Modbus):
        return [Given(f"{point.table} {point.register}", point.scale) for point in sensor.points]
    return {
        Sht31: [Given("temperature", -2), Given("humidity", -2)],
        Bme280: [Given("temperature", -2), Given("pressure", 0), Given("humidity", -2)],
        Ds18b20: [Given("temperature", -4)],
        Pulse: [Given("count", 0), Given("rate", -3)],
    }[type(sensor)]


def sensor_faults(sensors: list[Sensor], schema: list[Any], path: Path) -> list[Diagnostic]:
    """Return what is wrong with the channels of sensors, compared with those of a schema (agent.schema.Channel)."""
    given = [
        (f"{sensor.__struct_config__.tag} {channel.name}", channel.scale)
        for sensor in sensors
        for channel in channels_of(sensor)
    ]
    if len(given) != len(schema):
        message = f"the sensors have {len(given)} channels, the schema {len(schema)}"
        fix = f"name the sensors of the schema's channels in their order: {', '.join(item.name for item in schema)}"
        return [_wrong(message, path, fix)]
    return [
        _wrong(
            f"channel {channel.name} has scale {channel.scale} in the schema, {name} gives scale {scale}",
            path,
            "name the sensors in the order of the schema's channels, or provision the device with a schema of that scale",
        )
        for (name, scale), channel in zip(given, schema, strict=True)
        if channel.scale != scale
    ]


def place_faults(
    sensors: list[Sensor], modbus: ModbusLine | None, board: SiliconBoard, path: Path
) -> list[Diagnostic]:
    """Return what cannot be where it is said to be: two on one address or pin, a pin that is taken or that the board has not."""
    found = []
    taken: dict[str, str] = {}
    for place, who in _places(sensors, modbus, board):
        if place in taken and not (who == taken[place] == "ds18b20 with a rom"):
            fix = "give one of them another address or pin; on one pin only ds18b20 can be many, each with its rom"
            found.append(_wrong(f"{taken[place]} and {who} are both at {place}", path, fix))
        taken[place] = who
    free = ", ".join(map(str, board.sensor_pins))
    for key, pin in _chosen_pins(sensors, modbus):
        if pin not in board.sensor_pins:
            message = f"{key} = {pin} is no pin for it on a {board.title}"
            found.append(_wrong(message, path, f"write one of {free}"))
    return found


def _places(sensors: list[Sensor], modbus: ModbusLine | None, board: SiliconBoard) -> list[tuple[str, str]]:
    places = []
    for sensor in sensors:
        name = str(sensor.__struct_config__.tag)
        if isinstance(sensor, Ds18b20 | Pulse):
            pin = sensor.pin if sensor.pin is not None else board.default_pins[name]
            who = name + " with a rom" * (isinstance(sensor, Ds18b20) and sensor.rom is not None)
            places.append((f"pin {pin}", who))
        elif isinstance(sensor, Modbus):
            places.append((f"Modbus address {sensor.address}", name))
        else:
            places.append((f"I2C address {sensor.address:#x}", name))
    if modbus is not None and modbus.drive_pin is not None:
        places.append((f"pin {modbus.drive_pin}", "drive_pin"))
    roms = [
        (f"ROM code {sensor.rom}", "ds18b20")
        for sensor in sensors
        if isinstance(sensor, Ds18b20) and sensor.rom
    ]
    return places + roms


def _chosen_pins(sensors: list[Sensor], modbus: ModbusLine | None) -> list[tuple[str, int]]:
    pins = [
        (f"pin of {sensor.__struct_config__.tag}", sensor.pin)
        for sensor in sensors
        if isinstance(sensor, Ds18b20 | Pulse)
    ]
    pins.append(("drive_pin", modbus.drive_pin if modbus else None))
    return [(key, pin) for key, pin in pins if pin is not None]


def _wrong(message: str, path: Path, fix: str) -> Diagnostic:
    return Diagnostic("board-settings", message, str(path), fix=fix)
