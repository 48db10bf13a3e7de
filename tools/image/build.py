"""Builds the image of one board: our modules frozen into MicroPython, always the same bytes from the same sources."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from protocol.diagnostic import FINDING, USAGE, Diagnostic, DiagnosticError
from tools.device_types import ROOT
from tools.image.needs import BUILD, check_packages
from tools.image.source import Source, fetch_source
from tools.recordings import cache_folder
from tools.upy import firmware_folder

# Any fixed moment: it is all of the clock that an image may hold.
SOURCE_DATE_EPOCH = "1767225600"
_SAID_LINES = 30


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
        fix = f"take one of: {', '.join(boards())}"
        raise DiagnosticError(Diagnostic("image-board", f"there is no board {board!r}", fix=fix), USAGE)
    check_packages(BUILD)
    folder = folder or ROOT / "build" / "image" / (board + "-development" * development)
    cache = cache_folder() / "micropython"
    with _alone(cache):
        source = Source(tree, "tree", "", "") if tree else fetch_source(cache)
        cross = _mpy_cross(source)
    with _alone(folder):
        _make(source, cross, board, folder, development)
        return _describe(source, board, folder, development)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one build at a time change a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mpy_cross(source: Source) -> Path:
    binary = source.folder / "mpy-cross" / "build" / "mpy-cross"
    if not binary.is_file():
        _run(["make", "-C", str(source.folder / "mpy-cross"), _jobs()])
    return binary


def _make(source: Source, cross: Path, board: str, folder: Path, development: bool) -> None:
    place = firmware_folder() / "boards" / board
    objects = folder / "objects"
    # make sees changed sources, but not changed settings.
    files = [place / "mpconfigboard.mk", *place.glob("manifest*.py"), firmware_folder() / "manifest.py"]
    settings = [source.folder, source.sha256, development, *(path.read_text() for path in sorted(files))]
    mark = hashlib.sha256(repr(settings).encode()).hexdigest()
    if not (folder / "settings").is_file() or (folder / "settings").read_text() != mark:
        shutil.rmtree(objects, ignore_errors=True)
    (folder / "settings").write_text(mark)
    objects.mkdir(parents=True, exist_ok=True)
    with _without_blanks(source.folder, firmware_folder().parent, objects) as (tree, ours, build):
        _run(
            [
                *("make", "-C", str(tree / "ports" / "qemu"), _jobs(), f"BOARD={board}", f"BUILD={build}"),
                *(f"BOARD_DIR={ours / 'firmware' / 'boards' / board}", f"DEVELOPMENT={int(development)}"),
                *(
                    f"MICROPY_MPYCROSS={tree / cross.relative_to(source.folder)}",
                    "MICROPY_MPYCROSS_DEPENDENCY=",
                ),
            ]
        )
    shutil.copyfile(objects / "firmware.elf", folder / "firmware.elf")


@contextmanager
def _without_blanks(*paths: Path) -> Iterator[list[Path]]:
    """Give paths that make can read: where one has a blank in it, links that have none, the same ones each time."""
    if not any(character.isspace() for path in paths for character in str(path)):
        yield list(paths)
        return
    name = hashlib.sha256(repr(paths).encode()).hexdigest()[:16]
    links = Path(tempfile.gettempdir()) / f"outstation-image-{os.getuid()}-{name}"
    links.mkdir(mode=0o700, exist_ok=True)
    try:
        for number, path in enumerate(paths):
            (links / str(number)).unlink(missing_ok=True)
            (links / str(number)).symlink_to(path)
        yield [links / str(number) for number in range(len(paths))]
    finally:
        shutil.rmtree(links)


def _jobs() -> str:
    return f"-j{os.cpu_count() or 1}"


def _run(words: list[str]) -> str:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH, "LC_ALL": "C"}
    # A make above us would hand down its own flags.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = "\n".join((result.stdout + result.stderr).splitlines()[-_SAID_LINES:])
        message = f"{words[0]} failed with exit code {result.returncode}:\n{said}"
        fix = f"read what it says; repeat: {' '.join(words)}"
        raise DiagnosticError(Diagnostic("image-build-failed", message, fix=fix), FINDING)
    return result.stdout


def _describe(source: Source, board: str, folder: Path, development: bool) -> Image:
    elf = folder / "firmware.elf"
    binary = folder / "firmware.bin"
    _run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(binary)])
    content = binary.read_bytes()
    text, data, bss = (
        int(word) for word in _run(["arm-none-eabi-size", str(elf)]).splitlines()[1].split()[:3]
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
        _run(["arm-none-eabi-gcc", "--version"]).splitlines()[0],
    )
    (folder / "image.json").write_text(json.dumps(asdict(image), indent=1) + "\n")
    return image
