"""What a board is told beyond device.toml: board.toml beside it, which says what hangs on the board and how it reaches the gateway."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.settings import read_settings
from tools.board.sensors import Modbus, ModbusLine, Name, Sensor, named, place_faults, sensor_faults
from tools.board.table import SiliconBoard

FILE = "board.toml"
Link = Literal["wifi", "serial", "ble"]


class WifiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network that the board joins; an empty key is an open network."""

    ssid: Annotated[str, Meta(min_length=1, max_length=32, description="name of the network")]
    key: Annotated[str, Meta(pattern="^(.{8,63})?$", description="its key")] = ""


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file board.toml; docs/operating/boards.md explains each key."""

    link: Link | None = None
    order: Annotated[list[Link], Meta(min_length=2, max_length=3)] | None = None
    sensors: Annotated[list[Name], Meta(min_length=1)] | None = None
    sensor: list[Sensor] = []
    modbus: ModbusLine | None = None
    wifi: WifiSection | None = None

    def __post_init__(self) -> None:
        if self.order is not None and (self.link is not None or len(set(self.order)) < len(self.order)):
            raise ValueError(
                "order names each link once, the preferred one first, and takes the place of link"
            )

    def links(self) -> list[Link]:
        """Return the links of the board, the preferred one first."""
        return self.order or [self.link or "wifi"]


def board_items(config: Path, board: SiliconBoard, items: dict[str, Any]) -> dict[str, Any]:
    """Return the section `board` of a board's device.json. Raises DiagnosticError for what does not fit the board."""
    path = config.parent / FILE
    settings = read_settings(path, BoardSettings) if path.is_file() else BoardSettings()
    found = _network_faults(settings, path)
    if "wifi" in settings.links() and items["link"]["host"] is None:
        fix = (
            'write host under [link] there (host = "": it is looked for), or link = "serial" into board.toml'
        )
        found.append(_wrong("a board with Wi-Fi needs the address of its gateway", config, fix))
    kept, also_found = _sensors(settings, board, path, Path(items["schema"]).read_bytes())
    found += also_found
    most = _sectors_max(board)
    if items["flash_sectors"] > most:
        message = f"flash_sectors = {items['flash_sectors']} do not fit a {board.title}"
        found.append(
            _wrong(message, config, f"provision the device with --sectors {most} or fewer, into a new folder")
        )
    if found:
        raise DiagnosticError(found, USAGE)
    return _section(settings, kept)


def claimed_items(path: Path, board: SiliconBoard, flash_sectors: int) -> dict[str, Any]:
    """Return the section `board` for a board that gets its schema later, with its admission. Raises DiagnosticError, as board_items."""
    settings = read_settings(path, BoardSettings)
    kept, found = _sensors(settings, board, path, None)
    if settings.sensors is None and not settings.sensor:
        fix = 'name them: sensors = ["sht31"]; or write sensors = ["recording"], and put a recording.csv onto the board beside its claim'
        found.append(_wrong("the board would have nothing to read: no sensors", path, fix))
    found += _network_faults(settings, path)
    most = _sectors_max(board)
    if flash_sectors > most:
        message = f"--sectors {flash_sectors} do not fit a {board.title}"
        found.append(Diagnostic("board-settings", message, fix=f"write --sectors {most} or fewer"))
    if found:
        raise DiagnosticError(found, USAGE)
    return _section(settings, kept)


def _section(settings: BoardSettings, kept: dict[str, Any]) -> dict[str, Any]:
    items = {"link": settings.links()[0], "order": settings.order, "wifi": settings.wifi, **kept}
    return dict(msgspec.to_builtins(items))


def _sectors_max(board: SiliconBoard) -> int:
    """Return how many sectors the journal of a board can have."""
    from tools.shim import install

    install()
    from agent.layout import window_sectors

    return board.window_sectors - window_sectors(0)


def _network_faults(settings: BoardSettings, path: Path) -> list[Diagnostic]:
    if "wifi" not in settings.links() or settings.wifi is not None:
        return []
    fix = f'write it there: [wifi] with ssid = "..." and key = "...", or link = "serial" or "ble"; then chmod 600 {FILE}'
    return [_wrong("a board with Wi-Fi needs a network", path, fix)]


def _sensors(
    settings: BoardSettings, board: SiliconBoard, path: Path, schema: bytes | None
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Return the keys sensors and modbus of device.json, and what is wrong with them. schema: None where it is not known yet."""
    from tools.shim import install

    install()
    from agent.schema import read_schema

    if settings.sensors is not None and settings.sensor:
        fix = "write either, the tables where a part needs an address, a pin or registers"
        return {}, [_wrong("sensors = [...] and [[sensor]] are both there", path, fix)]
    names: list[Name] = list(settings.sensors or ())
    if not settings.sensor and names in ([], ["recording"]):
        return {"sensors": ["recording"]}, []
    if "recording" in names:
        fix = "name the sensors, or the recording alone"
        return {}, [_wrong("a recording takes the place of all sensors", path, fix)]
    sensors = settings.sensor or named(names)
    modbus = settings.modbus
    if any(isinstance(sensor, Modbus) for sensor in sensors):
        modbus = modbus or ModbusLine()
    found = place_faults(sensors, modbus, board, path)
    if schema is not None:
        found += sensor_faults(sensors, read_schema(schema), path)
    if modbus is not None and "serial" in settings.links():
        fix = 'take link = "wifi" or "ble", or leave the instruments to another board'
        found.append(_wrong("the board has one serial line, and link and Modbus both want it", path, fix))
    kept: dict[str, Any] = {"sensors": sensors}
    if modbus is not None:
        kept["modbus"] = modbus
    return kept, found


def _wrong(message: str, path: Path, fix: str) -> Diagnostic:
    return Diagnostic("board-settings", message, str(path), fix=fix)
