"""Which files hold figures of what was tried, and which command makes each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.device_types import ROOT


class Source(NamedTuple):
    """One set of figures: a file of build/, the key of its own part there ("" for the whole file), the command that makes it."""

    name: str
    file: str
    key: str
    command: str
    what: str


SOURCES = (
    Source("sim", "sim.json", "", "make sim", "the simulation"),
    Source("storage", "sim.json", "storage", "make year", "storage over a year"),
    Source("sweep", "cuts.json", "sweep", "python -m tests.cuts", "power cuts of the flash"),
    Source(
        "counters",
        "cuts.json",
        "counters",
        "python -m tests.cuts --counters 10000",
        "nonces over power cycles",
    ),
    Source("peers", "cuts.json", "peers", "python -m tests.cuts --peers", "the journal beside other storage"),
    Source("stores", "stores.json", "", "python -m tests.stores", "the stores of gateway and office"),
    Source("fuzz", "fuzz.json", "", "python -m tests.fuzz", "frames for the decoders"),
    Source("drills", "drills.json", "", "make drills", "real processes under fire"),
)
# Runs of hours: the page shows those that were made, and names the others.
LONG = (
    Source("long sim", "sim-soak.json", "", "make soak-sim", "10,000 worlds of the simulation"),
    Source("long sweep", "cuts-soak.json", "sweep", "make soak-cuts", "200,000 power cuts of the flash"),
    Source("long counters", "cuts-soak.json", "counters", "make soak-counters", "nonces over power cycles"),
    Source("long stores", "stores-soak.json", "", "make soak-stores", "the stores on more disks"),
    Source("long fuzz", "fuzz-soak.json", "", "make soak-fuzz", "a hundred million frames"),
    Source("long drills", "drills-soak.json", "", "make soak-drills", "drills of ten minutes and of days"),
    Source("board", "hil-soak.json", "", "make soak-hil", "a million events on the emulated board"),
)


# What `python -m tests.sim --keep` wrote, in the order of seeds.
TRIED = ROOT / "tests" / "sim" / "tried.json"


class Figures(NamedTuple):
    """What was found: name of a source -> its document; the sources whose figures are missing, and the long runs that were not made.

    tried: rows of tests/sim/tried.json.
    """

    held: dict[str, Any]
    missing: list[Source]
    not_run: list[Source]
    tried: Sequence[dict[str, Any]] = ()


def read_figures(folder: Path, tried: Path = TRIED) -> Figures:
    """Return the figures that lie in a folder, and the seeds that were ever tried. Raises json.JSONDecodeError: a file is no JSON."""
    parts = {source.name: _read_part(folder, source) for source in (*SOURCES, *LONG)}
    held = {name: part for name, part in parts.items() if part}
    missing = [source for source in SOURCES if source.name not in held]
    rows = json.loads(tried.read_text("utf-8")) if tried.is_file() else ()
    return Figures(held, missing, [source for source in LONG if source.name not in held], rows)


def _read_part(folder: Path, source: Source) -> Any:
    path = folder / source.file
    document = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return document.get(source.key) if source.key else _rest(document, source.file)


def _rest(document: dict[str, Any], file: str) -> dict[str, Any]:
    """Return what no other source has in that file."""
    others = {source.key for source in SOURCES if source.file == file}
    return {name: part for name, part in document.items() if name not in others}
