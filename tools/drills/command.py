"""The command: start each part as a process of its own, two at a time, show what they say, gather their rows.

Parts are separate processes so that a flood cannot starve the relay of another drill, and so that one that fails leaves the others whole.
"""

import asyncio
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from protocol.diagnostic import FINDING, INTERNAL, OK
from tools.bench.machine import describe
from tools.device_types import ROOT
from tools.drills.plan import CI, GROUPS, NAMES, SIZES, part_command, part_of
from tools.drills.row import Row, from_json
from tools.drills.screen import fault_lines, figure_lines, table

SCHEMA = "outstation.drills"
SCHEMA_VERSION = 1
_LOG_COLUMNS = 160


@click.command()
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/drills.json"),
    show_default=True,
    help="Write the rows to FILE.",
)
@click.option(
    "--size", type=click.Choice(SIZES), default=CI, show_default=True, help="How long: minutes, or hours."
)
@click.option(
    "--only",
    type=click.Choice(NAMES),
    multiple=True,
    help="Run this part; repeat it for more. All of them without it. The file keeps what others of this size found.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="Seed of everything that is left to chance.",
)
def command(json_file: Path, size: str, only: tuple[str, ...], seed: int) -> None:
    """Put real processes of a site under fire, and say what was lost, doubled, forged, and what was noticed.

    docs/operating/drills.md explains each row. Exit code 1 where a check failed.
    """
    if not (ROOT / "tests" / "drills").is_dir():
        raise click.UsageError(
            f"the drills' stories are not in {ROOT}: run this in a checkout, by make drills"
        )
    signal.signal(signal.SIGTERM, _end_in_order)
    started = time.monotonic()
    groups = [[[name for name in lane if not only or name in only] for lane in group] for group in GROUPS]
    folder = json_file.parent / "drills"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = _kept(json_file, size, only)
    rows, broken = asyncio.run(_run(groups, size, seed, folder))
    seconds = round(time.monotonic() - started, 1)
    document = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "size": size,
        "seed": seed,
        "machine": describe(folder),
        "seconds": seconds,
        "broken": [*kept["broken"], *broken],
        "rows": _in_order([*kept["rows"], *(row.as_json() for row in rows)]),
    }
    json_file.write_text(json.dumps(document, indent=1) + "\n")
    _show(rows, broken, seconds, json_file)
    sys.exit(FINDING if any(not row.is_good for row in rows) else INTERNAL if broken else OK)


def _kept(json_file: Path, size: str, only: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return rows and broken of other parts that the file holds of this size: a run of one part takes nothing of theirs away."""
    document = json.loads(json_file.read_text()) if only and json_file.is_file() else {}
    if (document.get("version"), document.get("size")) != (SCHEMA_VERSION, size):
        return {"rows": [], "broken": []}
    return {
        "rows": [row for row in document["rows"] if part_of(row) not in only],
        "broken": [text for text in document["broken"] if text.split()[0] not in only],
    }


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: NAMES.index(part_of(row)))


def _end_in_order(_number: int, _frame: Any) -> NoReturn:
    """Let a plain kill end the run as Ctrl-C does, with all processes of all sites."""
    raise KeyboardInterrupt


def _show(rows: list[Row], broken: list[str], seconds: float, json_file: Path) -> None:
    from rich.console import Console

    # Where nobody looks at a terminal, a log's lines may be as long as the table needs.
    console = Console(width=None if sys.stdout.isatty() else _LOG_COLUMNS)
    console.print(table(rows))
    for line in [*figure_lines(rows), *fault_lines(rows), *broken]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    good = sum(row.is_good for row in rows)
    click.echo(
        f"{good} drills passed, {len(rows) - good} failed, {len(broken)} parts broke off, {seconds:.0f} s; {json_file}"
    )


async def _run(
    groups: list[list[list[str]]], size: str, seed: int, folder: Path
) -> tuple[list[Row], list[str]]:
    rows: dict[str, list[Row]] = {}
    broken: list[str] = []

    async def lane(names: list[str]) -> None:
        for name in names:
            code = await _part(name, size, seed, folder)
            path = folder / f"{name}.json"
            rows[name] = [from_json(row) for row in json.loads(path.read_text())] if path.exists() else []
            if code not in (OK, FINDING) or not rows[name]:
                broken.append(
                    f"{name} broke off with exit code {code}; repeat it: {part_command(name, size, seed)}"
                )

    for group in groups:
        await asyncio.gather(*map(lane, group))
    return [row for name in NAMES for row in rows.get(name, [])], broken


async def _part(name: str, size: str, seed: int, folder: Path) -> int | None:
    words: list[Any] = [sys.executable, "-m", "tests.drills", name, "--size", size, "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        *words,
        "--out",
        str(folder / f"{name}.json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            click.echo(f"{name:9} {line.decode(errors='replace').rstrip()}")
    except asyncio.CancelledError:
        # It ends its site's processes before it ends itself.
        process.terminate()
        await process.wait()
        raise
    return await process.wait()
