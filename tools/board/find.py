"""Finds a board: a serial port by its USB numbers, or the drive that an RP2 shows while BOOTSEL is held."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocol.diagnostic import UNREACHABLE, USAGE, Diagnostic, DiagnosticError
from tools.board.table import SILICON, SiliconBoard

_DRIVES = ("/media/*/*", "/run/media/*/*", "/mnt/*", "/Volumes/*")
_DRIVE_MARK = "INFO_UF2.TXT"


def serial_module() -> Any:
    """Return pyserial. Raises DiagnosticError where it is not installed."""
    try:
        import serial
    except ModuleNotFoundError:
        said = Diagnostic(
            "board-tools-missing", "pyserial is not installed", fix="pip install 'outstation[board]'"
        )
        raise DiagnosticError(said, UNREACHABLE) from None
    return serial


def _ports() -> Iterable[Any]:
    serial_module()
    from serial.tools.list_ports import comports

    return comports()


def matching_ports(boards: Iterable[SiliconBoard], ports: Iterable[Any] | None = None) -> list[Any]:
    """Return the serial ports that may be one of these boards. ports: as pyserial lists them, for tests."""
    numbers = {pair for board in boards for pair in board.usb}
    return [
        port
        for port in (_ports() if ports is None else ports)
        if port.vid is not None and ({(port.vid, port.pid), (port.vid, None)} & numbers)
    ]


def find_port(board: SiliconBoard | None, chosen: str | None, ports: Iterable[Any] | None = None) -> str:
    """Return the port that a person chose, or that of the only board of this kind (None: of any). Raises DiagnosticError."""
    if chosen is not None:
        return chosen
    found = matching_ports([board] if board else SILICON.values(), ports)
    kind = board.title if board else "board"
    if not found:
        fix = "connect it with a cable that carries data, or name its port: --port"
        raise DiagnosticError(
            Diagnostic("board-not-found", f"no {kind} is connected to this machine", fix=fix), UNREACHABLE
        )
    if len(found) > 1:
        names = ", ".join(f"{port.device} ({port.description})" for port in found)
        raise DiagnosticError(
            Diagnostic(
                "board-ambiguous", f"more than one may be a {kind}: {names}", fix="name one with --port"
            ),
            USAGE,
        )
    return str(found[0].device)


def find_drive(patterns: Iterable[str] = _DRIVES) -> Path | None:
    """Return the drive of an RP2 that waits for an image, or None."""
    for pattern in patterns:
        for place in sorted(Path("/").glob(pattern.lstrip("/"))):
            try:
                if (place / _DRIVE_MARK).is_file():
                    return place
            except OSError:
                # A drive of somebody else.
                continue
    return None
