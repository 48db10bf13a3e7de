"""What building MicroPython takes, whatever is built: its cross compiler, one build at a time, and the same bytes each time."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.diagnostic import FINDING, Diagnostic, DiagnosticError
from tools.image.source import Source, fetch_source
from tools.recordings import cache_folder

# Any fixed moment: it is all of the clock that a build may hold.
SOURCE_DATE_EPOCH = "1767225600"
_SAID_LINES = 30


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one build at a time change a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def take_source(tree: Path | None) -> tuple[Source, Path]:
    """Return MicroPython's source, tree or else Debian's, and its cross compiler, built once. Raises DiagnosticError."""
    cache = cache_folder() / "micropython"
    with alone(cache):
        source = Source(tree, "tree", "", "") if tree else fetch_source(cache)
        return source, _mpy_cross(source)


def _mpy_cross(source: Source) -> Path:
    binary = source.folder / "mpy-cross" / "build" / "mpy-cross"
    if not binary.is_file():
        run(["make", "-C", str(source.folder / "mpy-cross"), jobs()])
    return binary


def make_objects(folder: Path, settings: list[object], files: list[Path]) -> Path:
    """Return the folder of a build's objects, emptied if settings or files are others than those of the last build.

    make sees changed sources, but not changed settings.
    """
    objects = folder / "objects"
    mark = hashlib.sha256(
        repr([*settings, *(path.read_text() for path in sorted(files))]).encode()
    ).hexdigest()
    if not (folder / "settings").is_file() or (folder / "settings").read_text() != mark:
        shutil.rmtree(objects, ignore_errors=True)
    (folder / "settings").write_text(mark)
    objects.mkdir(parents=True, exist_ok=True)
    return objects


@contextmanager
def without_blanks(*paths: Path) -> Iterator[list[Path]]:
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


def cross_words(source: Source, tree: Path, cross: Path) -> list[str]:
    """Return what tells make to take the cross compiler that is there. tree: source.folder, as make may read it."""
    return [f"MICROPY_MPYCROSS={tree / cross.relative_to(source.folder)}", "MICROPY_MPYCROSS_DEPENDENCY="]


def jobs() -> str:
    """Return make's word for as many jobs as there are processors."""
    return f"-j{os.cpu_count() or 1}"


def run(words: list[str]) -> str:
    """Run a program of the build and return what it says. Raises DiagnosticError (exit 1) with the end of it where it fails."""
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
