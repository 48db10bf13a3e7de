"""MicroPython's unix port, for this machine or for another with its cross compiler, from the same source package as a board's image: where PyPI has no package of it.

Beside MicroPython's tree and without a patch to it: firmware/boards/unix.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from platform import machine as this_machine

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from tools.image.make import alone, cross_words, jobs, make_objects, run, take_source, without_blanks
from tools.image.needs import CROSS, check_packages, missing_for, refuse_without
from tools.image.needs import UNIX as PACKAGES
from tools.image.source import Source
from tools.upy import firmware_folder, unix_folder

UNIX = "unix"
_PROGRAM = "micropython"


@dataclass(frozen=True)
class UnixPort:
    """A built unix port. program: its path. sha256: over it. machine: that it runs on, as `uname -m` names it there."""

    program: str
    sha256: str
    bytes: int
    machine: str
    micropython: str
    archive: str
    archive_sha256: str
    compiler: str


def build_unix(folder: Path | None = None, tree: Path | None = None, machine: str | None = None) -> UnixPort:
    """Build into folder (tools.upy.unix_folder(machine) by default) and return what came of it, also written to unix.json there.

    tree: a source tree of MicroPython, instead of Debian's. machine: that it is to run on, None: this one. Raises DiagnosticError.
    """
    machine = machine or this_machine()
    prefix = _prefix(machine)
    folder = folder or unix_folder(machine)
    source, cross = take_source(tree)
    with alone(folder):
        _make(source, cross, folder, prefix)
        return _describe(source, folder, machine, prefix)


def _prefix(machine: str) -> str:
    """Return what the compiler's programs for a machine begin with. Raises DiagnosticError where there is none."""
    if machine == this_machine():
        check_packages(PACKAGES)
        return ""
    if machine not in CROSS:
        known = ", ".join(sorted({this_machine(), *CROSS}))
        message = f"there is no cross compiler for machine {machine!r} that we know"
        fix = f"take one of: {known}; or build on the machine itself"
        raise DiagnosticError(Diagnostic("image-board", message, fix=fix), USAGE)
    refuse_without(missing_for(machine))
    return CROSS[machine]


def _make(source: Source, cross: Path, folder: Path, prefix: str) -> None:
    place = firmware_folder() / "boards" / UNIX
    files = [*place.glob("mpconfigvariant.*"), *place.glob("manifest.py"), *place.glob("cipher/*")]
    objects = make_objects(folder, [source.folder, source.sha256, prefix], files)
    with without_blanks(source.folder, firmware_folder().parent, objects) as (tree, ours, build):
        words = [f"VARIANT_DIR={ours / 'firmware' / 'boards' / UNIX}", f"BUILD={build}"]
        words += [f"CROSS_COMPILE={prefix}", *cross_words(source, tree, cross)]
        run(["make", "-C", str(tree / "ports" / "unix"), jobs(), *words])
    # One that runs is not written into: it goes on, and the next start takes the new one.
    draft = folder / (_PROGRAM + ".new")
    shutil.copy(objects / _PROGRAM, draft)
    draft.replace(folder / _PROGRAM)


def _describe(source: Source, folder: Path, machine: str, prefix: str) -> UnixPort:
    program = folder / _PROGRAM
    content = program.read_bytes()
    port = UnixPort(
        str(program),
        hashlib.sha256(content).hexdigest(),
        len(content),
        machine,
        source.version,
        source.archive,
        source.sha256,
        run([f"{prefix}gcc", "--version"]).splitlines()[0],
    )
    (folder / "unix.json").write_text(json.dumps(asdict(port), indent=1) + "\n")
    return port
