"""What a board is told beyond device.toml: board.toml beside it, which says what hangs on the board and how it reaches the gateway."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.settings import read_settings
from tools.board.table import SiliconBoard

FILE = "board.toml"
Sensor = Literal["recording", "sht31", "bme280", "ads1115", "ds18b20", "pulse"]


class WifiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network that the board joins; an empty key is an open network."""

    ssid: Annotated[str, Meta(min_length=1, max_length=32, description="name of the network")]
    key: Annotated[str, Meta(pattern="^(.{8,63})?$", description="its key")] = ""


class BoardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file board.toml; docs/operating/boards.md explains each key."""

    link: Literal["wifi", "serial", "ble"] = "wifi"
    sensors: Annotated[list[Sensor], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["recording"]
    )
    wifi: WifiSection | None = None


def board_items(config: Path, board: SiliconBoard, items: dict[str, Any]) -> dict[str, Any]:
    """Return the section `board` of a board's device.json. Raises DiagnosticError for what does not fit the board."""
    from tools.shim import install

    install()
    from agent.layout import window_sectors

    path = config.parent / FILE
    settings = read_settings(path, BoardSettings) if path.is_file() else BoardSettings()
    found = []
    if settings.link == "wifi" and settings.wifi is None:
        fix = f'write it there: [wifi] with ssid = "..." and key = "...", or link = "serial" or "ble"; then chmod 600 {FILE}'
        found.append(_wrong("a board with Wi-Fi needs a network", path, fix))
    if settings.link == "wifi" and items["link"]["host"] is None:
        fix = (
            'write host under [link] there (host = "": it is looked for), or link = "serial" into board.toml'
        )
        found.append(_wrong("a board with Wi-Fi needs the address of its gateway", config, fix))
    if "recording" in settings.sensors and settings.sensors != ["recording"]:
        fix = "name the sensors, or the recording alone"
        found.append(_wrong("a recording takes the place of all sensors", path, fix))
    sectors = window_sectors(items["flash_sectors"])
    if sectors > board.window_sectors:
        most = board.window_sectors - sectors + items["flash_sectors"]
        message = f"flash_sectors = {items['flash_sectors']} do not fit a {board.title}"
        found.append(
            _wrong(message, config, f"provision the device with --sectors {most} or fewer, into a new folder")
        )
    if found:
        raise DiagnosticError(found, USAGE)
    return msgspec.to_builtins(settings)


def _wrong(message: str, path: Path, fix: str) -> Diagnostic:
    return Diagnostic("board-settings", message, str(path), fix=fix)
