"""Brings an image onto a board of silicon: esptool over its serial port, picotool or the drive of BOOTSEL for an RP2.

The agent's window is never written by it: a device stays the one it was, with another image.
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from protocol.diagnostic import UNREACHABLE, USAGE, Diagnostic, DiagnosticError
from tools.board.find import find_drive, find_port
from tools.board.table import SiliconBoard

# Where the ROM looks for the first of what firmware.bin holds together.
_FIRST = {"esp32": "0x1000", "esp32s3": "0x0"}


def check_image(image: Path) -> None:
    """Raise DiagnosticError where there is no image."""
    if not image.is_file():
        fix = "build it first, outstation device build; or name it with --image"
        raise DiagnosticError(Diagnostic("board-not-found", f"there is no image {image}", fix=fix), USAGE)


def flash_command(board: SiliconBoard, image: Path, port: str) -> list[str]:
    """Return the words that write an image. port: of an ESP32; an RP2 is found by picotool itself."""
    if board.port == "rp2":
        return ["picotool", "load", "--verify", "--execute", "-f", str(image)]
    return [
        *(sys.executable, "-m", "esptool", "--chip", board.chip, "--port", port, "--baud", "460800"),
        *("write_flash", _FIRST[board.chip], str(image)),
    ]


def write_image(board: SiliconBoard, image: Path, port: str | None) -> list[list[str]]:
    """Copy the image to the drive of an RP2 that waits for one, or return the commands that write it. Raises DiagnosticError."""
    check_image(image)
    if board.port == "rp2":
        drive = find_drive()
        if drive is not None:
            shutil.copyfile(image, drive / image.name)
            return []
        if shutil.which("picotool") is None:
            raise _missing(
                "picotool",
                "hold BOOTSEL while the board is connected, mount its drive, and run this again; or install picotool",
            )
        return [flash_command(board, image, find_port(board, port))]
    chosen = find_port(board, port)
    if find_spec("esptool") is None:
        raise _missing("esptool", "pip install esptool")
    return [flash_command(board, image, chosen)]


def _missing(program: str, fix: str) -> DiagnosticError:
    said = Diagnostic("board-tools-missing", f"writing the image needs {program}, which is not here", fix=fix)
    return DiagnosticError(said, UNREACHABLE)
