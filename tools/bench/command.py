"""The command: take the recordings, run each benchmark, show its table, write the figures."""

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import click

from tools import VERSION
from tools.bench.plan import BENCHMARKS, Plan, Work, run_each

SCHEMA = "outstation.bench"
SCHEMA_VERSION = 1


@click.command()
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to FILE."
)
@click.option(
    "--only",
    type=click.Choice(list(BENCHMARKS)),
    multiple=True,
    help="Run this benchmark; repeat it for more. All of them without it.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Laps of each contender."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="Seed of the devices' keys.",
)
@click.option(
    "--dir",
    "place",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Measure the disk of DIR. Without it: of FILE's folder, else of the system's temporary one.",
)
def command(
    json_file: Path | None, only: tuple[str, ...], rounds: int, seed: int, place: Path | None
) -> None:
    """Measure our parts beside their peers.

    Contenders do the same work in turn, in one run; each figure is the median of its laps with the least and the greatest.
    Ratios are made of laps of the same round. What could not run says why. docs/bench.md explains every row.
    """
    if json_file is not None:
        # A path that cannot be written to is said now, not after the run.
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.open("a").close()
        place = place or json_file.parent
    signal.signal(signal.SIGTERM, _end_in_order)
    folder = Path(tempfile.mkdtemp(prefix="outstation-bench-", dir=place))
    try:
        run(Plan(rounds=rounds), list(only) or list(BENCHMARKS), folder, seed, json_file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_in_order(_number: int, _frame: Any) -> NoReturn:
    """Let a plain kill end the run as Ctrl-C does, with the peer's server and all files."""
    raise KeyboardInterrupt


def _arguments(words: list[str]) -> list[str]:
    """Return what was said after the command's name, whichever of its two names was used."""
    return words[2:] if words[1:2] == ["bench"] else words[1:]


def run(plan: Plan, names: list[str], folder: Path, seed: int, json_file: Path | None) -> dict[str, Any]:
    """Run benchmarks, show them, and return the document that goes to json_file. folder: an empty one."""
    from rich.console import Console

    from tools.bench.fleet import real_rows
    from tools.bench.machine import Gauge, describe, is_uneven
    from tools.bench.screen import noise_line, picture, reasons

    console = Console()
    found = {}
    with console.status("taking the recordings") as status:
        work = Work(plan, real_rows(folder), folder, seed, status.update)
        gauge = Gauge(folder)
        gauge.look()
        for name, cases in run_each(work, names):
            found[name] = cases
            console.print(picture(name, cases))
            for reason in reasons(cases):
                console.print(reason, highlight=False, soft_wrap=True, markup=False)
            gauge.look()
    noise = gauge.as_json()
    console.print(f"\n{noise_line(noise)}", highlight=False, soft_wrap=True)
    if is_uneven(noise):
        said = "this machine was uneven (other work, or a shared virtual processor): run it again before you rely on one run"
        console.print(f"[yellow]{said}[/]", soft_wrap=True)
    document = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "outstation": VERSION,
        "machine": describe(folder),
        "command": ["outstation", "bench", *_arguments(sys.argv)],
        "seed": seed,
        "rounds": plan.rounds,
        "noise": noise,
        "figures": {name: [case.as_json() for case in cases] for name, cases in found.items()},
    }
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=1) + "\n")
    return document
