"""Builds the image of one board: our modules frozen into MicroPython, always the same bytes from the same sources."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from tools.device_types import ROOT
from tools.image.make import alone, cross_words, jobs, make_objects, run, take_source, without_blanks
from tools.image.needs import BUILD, check_packages
from tools.image.source import Source
from tools.upy import firmware_folder


@dataclass(frozen=True)
class Image:
    """A built image. sha256: over the bytes that lie in the board's program memory, which the board reports as its agent's digest."""

    board: str
    development: bool
    elf: str
    sha256: str
    image_bytes: int
    text: int
    data: int
    bss: int
    micropython: str
    archive: str
    archive_sha256: str
    compiler: str


def boards() -> list[str]:
    """Return the boards that can be built."""
    return sorted(path.parent.name for path in (firmware_folder() / "boards").glob("*/mpconfigboard.mk"))


def build_image(
    board: str, folder: Path | None = None, development: bool = False, tree: Path | None = None
) -> Image:
    """Build into folder (build/image/BOARD by default) and return what came of it, also written to image.json there.

    tree: a source tree of MicroPython, instead of Debian's. Raises DiagnosticError.
    """
    if board not in boards():
        fix = f"take one of: {', '.join(boards())}; unix is the port for this machine"
        raise DiagnosticError(Diagnostic("image-board", f"there is no board {board!r}", fix=fix), USAGE)
    check_packages(BUILD)
    folder = folder or ROOT / "build" / "image" / (board + "-development" * development)
    source, cross = take_source(tree)
    with alone(folder):
        _make(source, cross, board, folder, development)
        return _describe(source, board, folder, development)


def _make(source: Source, cross: Path, board: str, folder: Path, development: bool) -> None:
    place = firmware_folder() / "boards" / board
    files = [place / "mpconfigboard.mk", *place.glob("manifest*.py"), firmware_folder() / "manifest.py"]
    objects = make_objects(folder, [source.folder, source.sha256, development], files)
    with without_blanks(source.folder, firmware_folder().parent, objects) as (tree, ours, build):
        run(
            [
                *("make", "-C", str(tree / "ports" / "qemu"), jobs(), f"BOARD={board}", f"BUILD={build}"),
                *(f"BOARD_DIR={ours / 'firmware' / 'boards' / board}", f"DEVELOPMENT={int(development)}"),
                *cross_words(source, tree, cross),
            ]
        )
    shutil.copyfile(objects / "firmware.elf", folder / "firmware.elf")


def _describe(source: Source, board: str, folder: Path, development: bool) -> Image:
    elf = folder / "firmware.elf"
    binary = folder / "firmware.bin"
    run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(binary)])
    content = binary.read_bytes()
    text, data, bss = (
        int(word) for word in run(["arm-none-eabi-size", str(elf)]).splitlines()[1].split()[:3]
    )
    image = Image(
        board,
        development,
        str(elf),
        hashlib.sha256(content).hexdigest(),
        len(content),
        text,
        data,
        bss,
        source.version,
        source.archive,
        source.sha256,
        run(["arm-none-eabi-gcc", "--version"]).splitlines()[0],
    )
    (folder / "image.json").write_text(json.dumps(asdict(image), indent=1) + "\n")
    return image
