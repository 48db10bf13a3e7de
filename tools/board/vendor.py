"""Makes the folder from which a vendor's toolchain builds the image of a board of silicon, and the commands that do it.

Debian has neither ESP-IDF nor what MicroPython's rp2 port needs besides its compiler, so that the build was never run here.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from protocol.diagnostic import FINDING, UNREACHABLE, Diagnostic, DiagnosticError
from tools.board.frozen import FrozenList, board_manifest
from tools.board.table import SiliconBoard

_COPIED = ("mpconfigboard.cmake", "mpconfigboard.h", "sdkconfig.board", "partitions.csv")
_IMAGES = {"esp32": "firmware.bin", "rp2": "firmware.uf2"}
# port -> programs without which its build cannot begin, and who has them.
_PROGRAMS = {
    "esp32": ({"make": "build-essential", "cmake": "cmake", "idf.py": "ESP-IDF, version 5.5: . export.sh"}),
    "rp2": ({"make": "build-essential", "cmake": "cmake", "arm-none-eabi-gcc": "gcc-arm-none-eabi"}),
}
_TREE_FIX = "git clone https://github.com/micropython/micropython, and name it with --source"


@dataclass(frozen=True)
class Vendor:
    """A folder to build from. digest: what the board will call its image. commands: of the vendor's toolchain, in order."""

    folder: Path
    digest: str
    modules: int
    image: Path
    commands: list[list[str]]

    def lines(self) -> list[str]:
        """Return the commands as a person types them."""
        return [shlex.join(words) for words in self.commands]


def image_path(board: SiliconBoard, folder: Path) -> Path:
    """Return where the image of a board lies that was built from a folder."""
    return folder / "build" / _IMAGES[board.port]


def write_folder(board: SiliconBoard, folder: Path, tree: Path | None) -> Vendor:
    """Write manifest, list of frozen modules and settings; return what to do with them. tree: MicroPython's source."""
    folder.mkdir(parents=True, exist_ok=True)
    frozen = FrozenList(board_manifest(board.name))
    digest = frozen.digest()
    place = board_manifest(board.name).parent
    for name in _COPIED:
        if (place / name).is_file():
            shutil.copyfile(place / name, folder / name)
    if board.port == "esp32":
        # ESP-IDF looks for it in its project's folder, which is MicroPython's.
        with (folder / "sdkconfig.board").open("a") as file:
            file.write(f'CONFIG_PARTITION_TABLE_CUSTOM_FILENAME="{folder / "partitions.csv"}"\n')
    (folder / "board_image.py").write_text(f'"""Written by the build."""\n\nDIGEST = "{digest}"\n')
    (folder / "manifest.py").write_text(
        f'# Written by the build.\ninclude({str(board_manifest(board.name))!r})\nmodule("board_image.py", opt=1)\n'
    )
    (folder / "frozen.txt").write_text("".join(f"{digest}  {name}\n" for name, digest in frozen.digests()))
    vendor = Vendor(
        folder, digest, len(frozen.modules), image_path(board, folder), _commands(board, folder, tree)
    )
    document = {"board": board.name, "image": digest, "commands": vendor.lines(), "others": frozen.others}
    (folder / "build.json").write_text(json.dumps(document, indent=1) + "\n")
    return vendor


def _commands(board: SiliconBoard, folder: Path, tree: Path | None) -> list[list[str]]:
    source = tree or Path("micropython")
    port = ["make", "-C", str(source / "ports" / board.port), f"BOARD={board.name}", f"BOARD_DIR={folder}"]
    jobs = f"-j{os.cpu_count() or 1}"
    return [
        ["make", "-C", str(source / "mpy-cross"), jobs],
        [*port, f"BUILD={folder / 'build'}", "submodules"],
        [*port, f"BUILD={folder / 'build'}", jobs],
    ]


def missing_tools(board: SiliconBoard, tree: Path | None) -> list[Diagnostic]:
    """Return what the build lacks on this machine, each with the way to get it."""
    found = [
        Diagnostic(
            "board-tools-missing", f"building for {board.title} needs {program}", fix=f"install {package}"
        )
        for program, package in _PROGRAMS[board.port].items()
        if shutil.which(program) is None
    ]
    if tree is None or not (tree / "ports" / board.port).is_dir():
        message = (
            "MicroPython's source is not named" if tree is None else f"{tree} is not MicroPython's source"
        )
        found.append(Diagnostic("board-tools-missing", message, fix=_TREE_FIX))
    return found


def run_commands(commands: list[list[str]], code: str, quiet: bool = False) -> None:
    """Run commands one after the other; what they say goes to the terminal, to standard error alone if quiet.

    Raises DiagnosticError at the first that fails.
    """
    for words in commands:
        try:
            result = subprocess.run(words, check=False, stdout=sys.stderr if quiet else None)
        except FileNotFoundError:
            message = f"{words[0]} is not here"
            said = Diagnostic("board-tools-missing", message, fix=f"install it; then: {shlex.join(words)}")
            raise DiagnosticError(said, UNREACHABLE) from None
        if result.returncode != 0:
            message = f"{words[0]} ended with exit code {result.returncode}"
            raise DiagnosticError(
                Diagnostic(code, message, fix=f"read what it says; repeat: {shlex.join(words)}"), FINDING
            )
