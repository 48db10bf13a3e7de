"""Checks what runs on a board of silicon against that board's own MicroPython stubs.

Each stub package puts the same names at the top of site-packages, so that two of them cannot be installed side by side. Each is
unpacked once into a folder of its own under build/stubs instead.
"""

import subprocess
import sys
from pathlib import Path

from tools.board.table import SILICON, SiliconBoard
from tools.device_types import ROOT, board_files, board_folders, board_typeshed, mypy_command


class StubsMissing(Exception):
    """A board's stubs are not here and cannot be had now. Who must act: whoever checks, with the network."""


def fetch_stubs(board: SiliconBoard, folder: Path) -> Path:
    """Return the folder with a board's stubs, unpacked with pip if it was not before. Raises StubsMissing."""
    name, version = board.stubs
    target = folder / f"{name}-{version}"
    if list(target.glob("*.dist-info")):
        return target
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    draft = target.with_suffix(".new")
    result = subprocess.run(
        [*words, "--upgrade", "--target", str(draft), f"{name}=={version}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise StubsMissing(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "pip failed")
    draft.rename(target)
    return target


def board_steps(build: Path) -> list[tuple[str, list[str], dict[str, str]]]:
    """Return one check a board, as name, words and environment; of a board without stubs, one that fails and says so."""
    return [_step(board, build) for board in SILICON.values()]


def _step(board: SiliconBoard, build: Path) -> tuple[str, list[str], dict[str, str]]:
    name = f"types: {board.name}"
    try:
        stubs = fetch_stubs(board, build / "stubs")
    except StubsMissing as error:
        said = f"the stubs {board.stubs[0]}=={board.stubs[1]} cannot be had: {error}"
        return name, [sys.executable, "-c", f"raise SystemExit({said!r})"], {}
    typeshed = board_typeshed(build / "stubs", stubs, board.name)
    words = mypy_command(board_files(board.folders), typeshed, build / f"mypy-{board.name}")
    places = [ROOT, ROOT / "firmware", *board_folders(board.folders)]
    return name, words, {"MYPYPATH": ":".join(str(place) for place in places)}
