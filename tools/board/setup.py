"""Brings keys and settings onto a board of silicon: programs for its console, run there by mpremote.

No secret is a word of a command line, and none lies in a file of the board but device.json: the programs lie in a folder that only
their owner may read, for as long as mpremote reads them, and on the board in RAM.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from protocol.diagnostic import FINDING, UNREACHABLE, Diagnostic, DiagnosticError
from tools.board.console import Console
from tools.board.settings import board_items
from tools.board.table import SiliconBoard

_PAGE_BYTES = 256
# A program is text on the board's heap while it is compiled there; a Pico W has 200 KB of it.
_PIECE_BYTES = 1024
_PAGES_A_PROGRAM = 4
# A board that was just reset looks at its service pin first.
_PROMPT_SECONDS = 5.0
_RECORDING_ROWS_MAX = 400
_ERROR = re.compile(r"^(?!\s|Traceback)(\w*(?:Error|Exception)\b.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Setup:
    """What is to be done on a board. programs: Python for its console, in order. steps: lines that it will say."""

    device: str
    programs: list[str]
    steps: int
    sectors: int
    pages: int
    files: dict[str, int]


def plan_setup(config: Path, board: SiliconBoard, replace: bool) -> Setup:
    """Return how a device becomes this board, from its device.toml. Raises DiagnosticError for what does not fit."""
    from tools.device import read_device
    from tools.image.flashfile import device_files

    items = read_device(config)
    window = Path(items["flash"]).read_bytes()
    kept = board_items(config, board, items)
    offset = items["recording_offset"]
    files = device_files({**items, "recording_offset": 0, "board": kept})
    files["recording.csv"] = _rows(files["recording.csv"], offset, board.files_bytes // 2)
    if kept["sensors"] != ["recording"]:
        del files["recording.csv"]
    sectors = len(window) // 4096
    pages = list(_pages(window))
    programs = [_begin(board, sectors, replace), *_programs(pages, files)]
    programs.append(f"s.finish({sha256(window).hexdigest()!r})\n")
    pieces = sum(len(program.splitlines()) for program in programs if program.startswith("s.keep"))
    return Setup(
        items["device"],
        programs,
        sectors + pieces + 1,
        sectors,
        len(pages),
        {name: len(content) for name, content in files.items()},
    )


def _rows(recording: bytes, offset: int, bytes_max: int) -> bytes:
    """Return as much of a recording as a board has room for, from the row on at which it would begin."""
    rows = recording.splitlines(keepends=True)
    turned = rows[offset % len(rows) :] + rows[: offset % len(rows)]
    taken: list[bytes] = []
    for row in turned[:_RECORDING_ROWS_MAX]:
        if sum(map(len, taken)) + len(row) > bytes_max:
            break
        taken.append(row)
    return b"".join(taken)


def _pages(window: bytes) -> Iterator[tuple[int, bytes]]:
    for offset in range(0, len(window), _PAGE_BYTES):
        page = window[offset : offset + _PAGE_BYTES]
        if page != b"\xff" * _PAGE_BYTES:
            yield offset, page


def _begin(board: SiliconBoard, sectors: int, replace: bool) -> str:
    return (
        "import board_flash, board_pins, board_setup\n"
        f"if board_pins.NAME != {board.name!r}:\n"
        "    raise ValueError('this is a board ' + board_pins.NAME)\n"
        f"s = board_setup.Setup(board_flash.open_window({sectors}), '/', print)\n"
        f"s.begin({replace})\n"
    )


def _programs(pages: list[tuple[int, bytes]], files: dict[str, bytes]) -> Iterator[str]:
    lines = [f"s.program({offset}, bytes.fromhex({page.hex()!r}))\n" for offset, page in pages]
    for at in range(0, len(lines), _PAGES_A_PROGRAM):
        yield "".join(lines[at : at + _PAGES_A_PROGRAM])
    # The settings last: without them the board is not provisioned.
    for name in sorted(files, key=lambda name: name == "device.json"):
        for at in range(0, len(files[name]), _PIECE_BYTES):
            piece = files[name][at : at + _PIECE_BYTES]
            yield f"s.keep({name!r}, bytes.fromhex({piece.hex()!r}))\n"


def run_setup(setup: Setup, port: str, tell: Callable[[str], None]) -> None:
    """Run the programs on the board at a port; tell hears each line that it says. Raises DiagnosticError."""
    if find_spec("mpremote") is None:
        said = Diagnostic(
            "board-tools-missing", "mpremote is not installed", fix="pip install 'outstation[board]'"
        )
        raise DiagnosticError(said, UNREACHABLE)
    _require_prompt(port)
    with tempfile.TemporaryDirectory(prefix="outstation-setup-") as folder:
        words = mpremote_words(port, write_programs(setup, Path(folder)))
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        said_lines = []
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                said_lines.append(line)
                tell(line.strip())
    if process.returncode or not any(line.strip() == "setup finished" for line in said_lines):
        raise DiagnosticError(_refused("".join(said_lines), port), FINDING)


def _require_prompt(port: str) -> None:
    # mpremote would interrupt what runs there, and wait for ever where that does not work.
    with Console(port) as console:
        if console.ask("pass", _PROMPT_SECONDS) is None:
            fix = "press its reset button, hold the service pin low for two seconds after it, and run this again"
            said = f"the board at {port} shows no prompt: it runs a device, or is no MicroPython"
            raise DiagnosticError(Diagnostic("board-refused", said, fix=fix), FINDING)


def write_programs(setup: Setup, folder: Path) -> list[Path]:
    """Write the programs as files that only their owner may read, and return their paths."""
    folder.chmod(0o700)
    paths = []
    for number, program in enumerate(setup.programs):
        paths.append(folder / f"{number:03}.py")
        paths[-1].touch(0o600)
        paths[-1].write_text(program)
    return paths


def mpremote_words(port: str, programs: list[Path]) -> list[str]:
    """Return the words that run programs on the board at a port, one after the other and without a reset between them."""
    words = [sys.executable, "-m", "mpremote", "connect", port]
    for number, path in enumerate(programs):
        words += [*(["+"] if number else []), "run", str(path)]
    return words


def _refused(said: str, port: str) -> Diagnostic:
    found = _ERROR.findall(said)
    lines = [line for line in said.splitlines() if line.strip()]
    reason = (found or lines[-1:] or ["it said nothing"])[-1].strip()
    if "has keys already" in reason:
        fix = "add --replace if the device that it was is to be no more"
    elif "no module named" in reason:
        fix = "flash our image first: outstation device flash"
    else:
        fix = f"see what it says: outstation device diagnose --port {port}"
    return Diagnostic("board-refused", f"the board at {port} refused: {reason}", fix=fix)


def summary(setup: Setup, board: SiliconBoard) -> str:
    """Return what would be done, for people; it names no secret."""
    files = ", ".join(f"{name} ({size:,} bytes)" for name, size in sorted(setup.files.items()))
    return json.dumps(setup.device).strip('"') + (
        f" on a {board.title}: erase {setup.sectors} sectors, program {setup.pages} pages with keys, write {files}"
    )
