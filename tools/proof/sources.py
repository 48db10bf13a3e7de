"""Which files hold figures of what was tried, and which command makes each."""

import json
from pathlib import Path
from typing import Any, NamedTuple


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


class Figures(NamedTuple):
    """What was found: name of a source -> its document; and the sources whose figures are missing."""

    held: dict[str, Any]
    missing: list[Source]


def read_figures(folder: Path) -> Figures:
    """Return the figures that lie in a folder. A file that cannot be read as JSON raises json.JSONDecodeError."""
    held: dict[str, Any] = {}
    missing = []
    for source in SOURCES:
        path = folder / source.file
        document = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        part = document.get(source.key) if source.key else _rest(document, source.file)
        if part:
            held[source.name] = part
        else:
            missing.append(source)
    return Figures(held, missing)


def _rest(document: dict[str, Any], file: str) -> dict[str, Any]:
    """Return what no other source has in that file."""
    others = {source.key for source in SOURCES if source.file == file}
    return {name: part for name, part in document.items() if name not in others}
