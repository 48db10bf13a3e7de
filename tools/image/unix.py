"""MicroPython's unix port for this machine, from the same source package as a board's image: where PyPI has no package of it.

Beside MicroPython's tree and without a patch to it: firmware/boards/unix.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from platform import machine

from tools.image.make import alone, cross_words, jobs, make_objects, run, take_source, without_blanks
from tools.image.needs import UNIX as PACKAGES
from tools.image.needs import check_packages
from tools.image.source import Source
from tools.upy import firmware_folder, unix_folder

UNIX = "unix"
_PROGRAM = "micropython"


@dataclass(frozen=True)
class UnixPort:
    """A built unix port. program: its path. sha256: over it. machine: as `uname -m` names it."""

    program: str
    sha256: str
    bytes: int
    machine: str
    micropython: str
    archive: str
    archive_sha256: str
    compiler: str


def build_unix(folder: Path | None = None, tree: Path | None = None) -> UnixPort:
    """Build into folder (tools.upy.unix_folder() by default) and return what came of it, also written to unix.json there.

    tree: a source tree of MicroPython, instead of Debian's. Raises DiagnosticError.
    """
    check_packages(PACKAGES)
    folder = folder or unix_folder()
    source, cross = take_source(tree)
    with alone(folder):
        _make(source, cross, folder)
        return _describe(source, folder)


def _make(source: Source, cross: Path, folder: Path) -> None:
    place = firmware_folder() / "boards" / UNIX
    files = [*place.glob("mpconfigvariant.*"), *place.glob("manifest.py"), *place.glob("cipher/*")]
    objects = make_objects(folder, [source.folder, source.sha256], files)
    with without_blanks(source.folder, firmware_folder().parent, objects) as (tree, ours, build):
        words = [f"VARIANT_DIR={ours / 'firmware' / 'boards' / UNIX}", f"BUILD={build}"]
        run(["make", "-C", str(tree / "ports" / "unix"), jobs(), *words, *cross_words(source, tree, cross)])
    # One that runs is not written into: it goes on, and the next start takes the new one.
    draft = folder / (_PROGRAM + ".new")
    shutil.copy(objects / _PROGRAM, draft)
    draft.replace(folder / _PROGRAM)


def _describe(source: Source, folder: Path) -> UnixPort:
    program = folder / _PROGRAM
    content = program.read_bytes()
    port = UnixPort(
        str(program),
        hashlib.sha256(content).hexdigest(),
        len(content),
        machine(),
        source.version,
        source.archive,
        source.sha256,
        run(["gcc", "--version"]).splitlines()[0],
    )
    (folder / "unix.json").write_text(json.dumps(asdict(port), indent=1) + "\n")
    return port
