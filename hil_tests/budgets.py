"""Budgets of instructions and of heap, in budgets.toml. Rewrite the file, after a change that costs what it is worth:

python -m hil_tests.budgets
"""

import sys
import tempfile
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil_tests.provisioned import lay_out_folder
from hil_tests.workload import HEAP_BYTES, Change, make_blank, make_provisioned, measure
from tools.device_types import ROOT
from tools.image.build import Image, build_image
from tools.image.control import Control

BOARD = "mps2_an385"
FILE = Path(ROOT, "hil_tests", "budgets.toml")
COMMAND = "python -m hil_tests.budgets"
# Of a figure's name: the heap that it takes.
BYTES = "_bytes"
# Runs of one image repeat to the instruction, but for boot, by 1 in a million: its keys differ. Names that come or go elsewhere move a
# figure by 1 in 2,000 at most. The rest is for what a change costs in passing.
MARGIN_PERCENT = 3
# workload -> figure -> what it counts, while nothing is collected: what an operation owes the collector are its bytes, and `collect`
# says what they cost. Figures of a workload that are not here have no budget.
BUDGETS = {
    "journal": {
        "append": "a sample of two channels into an open run, its share of finding out whether the run is full included",
        "seal": "a full run: encode, encrypt, authenticate, program, read back",
        "seal_decision": "one decision into a segment of its own",
    },
    "evaluate": {"evaluate": "two rules over one sample, no decision"},
    "link": {
        "protect": "a request with a segment of 512 bytes",
        "open": "an answer with 80 bytes",
    },
    "release": {"verify_release": "form, one signature of 1,296 bytes, and what the manifest says"},
    "first_decision": {
        "boot_to_first_decision": "image's digest, imports, an empty journal, four samples, the decision sealed"
    },
    "ring": {
        "boot_over_full_ring": "keys, 16 sectors in use, the newest checkpoint found and 40 segments behind it replayed"
    },
    "look": {
        "look": "at what is left of heap, flash, battery and link, in a production image's heap: each 10 s",
        "collect": "the heap of a production image while the agent runs: each 16,384 bytes that operations take",
    },
}
# Workloads of a provisioned device; the others find a blank flash.
_PROVISIONED = ("first_decision", "look")
_HEAD = """\
# What the device may spend, in instructions of the emulated Cortex-M3 (development image: asserts are executed, and names do
# not push each other out of the cache of lookups) and in bytes of heap, while nothing is collected: see `collect`.
# A test fails while `measured` of a run exceeds `allowed`, or its bytes exceed `bytes_allowed`. Rewrite this file with: {}
date = {}
margin_percent = {}
micropython = "{}"
compiler = "{}"
"""


@dataclass(frozen=True)
class Budget:
    """What one operation may take: instructions, and bytes of heap until the next collection."""

    allowed: int
    measured: int
    bytes_allowed: int
    bytes_measured: int


def read_budgets() -> dict[str, Budget]:
    """Return the budgets of the file by name."""
    held = tomllib.loads(FILE.read_text())
    return {
        name: Budget(**{key: value for key, value in item.items() if key != "of"})
        for name, item in held.items()
        if isinstance(item, dict)
    }


def other_tools(image: Image) -> str:
    """Return which tools the file was not made with, in words, or an empty string: they alone can make a figure another."""
    held = tomllib.loads(FILE.read_text())
    found = {"micropython": image.micropython, "compiler": image.compiler}
    return "".join(
        f"\nmade with {held[name]}, this is {now}" for name, now in found.items() if held[name] != now
    )


def with_margin(measured: int) -> int:
    """Return what may be taken by what took so many instructions."""
    return measured * (100 + MARGIN_PERCENT) // 100


def excess(name: str, figures: dict[str, int], budgets: dict[str, Budget]) -> str:
    """Return what is wrong with what one operation took, in words, or an empty string. figures: as its workload gives them."""
    measured, in_bytes = figures[name], figures[name + BYTES]
    budget = budgets.get(name)
    if budget is None:
        return f"{name} takes {measured:,} instructions and {in_bytes:,} bytes and has no budget: {COMMAND}"
    rows = (
        ("instructions", measured, budget.allowed, budget.measured),
        ("bytes of heap", in_bytes, budget.bytes_allowed, budget.bytes_measured),
    )
    over = [
        f"{name} takes {found:,} {unit}, {allowed:,} are allowed, {was:,} it took"
        for unit, found, allowed, was in rows
        if found > allowed
    ]
    return f"{'; '.join(over)}; make it cheaper, or say that it is worth it: {COMMAND}" if over else ""


def measure_workload(
    image: Image, name: str, folder: Path, site: Path, change: Change | None = None
) -> dict[str, Any]:
    """Return the figures of one workload. folder: for a flash file. site: of lay_out_folder. change: see workload_files."""
    flash = folder / f"{name}.bin"
    planted = () if change is None else (change,)
    if name in _PROVISIONED:
        make_provisioned(flash, site / "device" / "device.toml", *planted)
    else:
        make_blank(flash, *planted)
    with Control(flash) as control:
        if name == "look":
            control.limit_heap(HEAP_BYTES)
        return measure(image.elf, flash, name)


def write_budgets(image: Image, figures: dict[str, int]) -> None:
    """Write the file anew."""
    today = datetime.now(UTC).date().isoformat()
    lines = [_HEAD.format(COMMAND, today, MARGIN_PERCENT, image.micropython, image.compiler)]
    for items in BUDGETS.values():
        for name, what in items.items():
            lines.append(f'[{name}]\nof = "{what}"')
            for key, figure in (("", figures[name]), ("bytes_", figures[name + BYTES])):
                lines.append(f"{key}allowed = {with_margin(figure):_}\n{key}measured = {figure:_}")
            lines.append("")
    FILE.write_text("\n".join(lines))


def main() -> int:
    """Measure everything and write the file; return the exit code."""
    image = build_image(BOARD, development=True)
    before = read_budgets() if FILE.is_file() else {}
    figures: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        lay_out_folder(Path(name, "site"))
        for workload in BUDGETS:
            figures |= measure_workload(image, workload, Path(name), Path(name, "site"))
    write_budgets(image, figures)
    for name, budget in read_budgets().items():
        was = f", was {before[name].measured:,}" if name in before else ""
        print(f"{name}: {budget.measured:,} instructions{was}; {budget.bytes_measured:,} bytes of heap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
