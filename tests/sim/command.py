"""The command of `python -m tests.sim`: one world shown, or many judged."""

import argparse
import collections
import gc
import json
import multiprocessing
import platform
import sys
import time
import traceback
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.sim import tried
from tests.sim.backup import RESTORE
from tests.sim.happened import HAPPENED, never_happened
from tests.sim.plan import KINDS
from tests.sim.world import Result, run
from tests.sim.year import run_year

# The figures of a year stand beside those of many worlds, in one file.
_OF_A_YEAR = "storage"
# So many worlds of the usual length must together have met every fault.
_ENOUGH_WORLDS = 200


def main(arguments):
    """Run what was asked for; return 1 if a promise broke."""
    options = _parser().parse_args(arguments)
    if options.keep:
        return _keep(options)
    if options.year is not None:
        return _year(options)
    return _one(options) if options.seeds is None else _many(options)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--seeds", metavar="FIRST..END", help="END is left out")
    parser.add_argument(
        "--year",
        metavar="DAYS",
        type=int,
        nargs="?",
        const=365,
        help="one device for so long, and what is stored",
    )
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--devices", type=int, default=5)
    parser.add_argument(
        "--lines", type=int, default=40, help="newest lines to show of a world that broke a promise"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        type=Path,
        nargs="+",
        help="note in tried.json which seeds these figures are of",
    )
    return parser


# ---- many


def _many(options):
    first, end = map(int, options.seeds.split(".."))
    work = [(seed, options.days, options.devices) for seed in range(first, end)]
    console = Console(stderr=True)
    began = time.monotonic()
    figures = {"broken": {}, "lines": 0, "cpu_s": 0.0, "faults": collections.Counter()}
    figures["happened"] = collections.Counter(dict.fromkeys(HAPPENED, 0))
    with (
        Progress(console=console, transient=True) as progress,
        multiprocessing.Pool(options.jobs, _collect_seldom) as pool,
    ):
        task = progress.add_task("worlds", total=len(work))
        for result, cpu_s in pool.imap_unordered(_timed, work):
            _take(figures, result, cpu_s)
            progress.advance(task)
    figures["seconds"] = round(time.monotonic() - began, 1)
    _tell(figures, options, len(work))
    return 1 if figures["broken"] or _untried(figures, len(work)) else 0


def _collect_seldom():
    """What a world leaves behind is collected when it is over, not again and again while it lives."""
    gc.freeze()
    gc.disable()


def _timed(work):
    gc.collect()
    began = time.process_time()
    try:
        result = run(*work)
    except Exception:  # noqa: BLE001 - what no part of ours expects is a finding of that seed, and the others go on
        broken = [("nothing fails unexpectedly", traceback.format_exc())]
        result = Result(work[0], "", 0, broken, {}, {}, [], [])
    return result, time.process_time() - began


def _take(figures, result, cpu_s):
    figures["lines"] += result.lines
    figures["cpu_s"] += cpu_s
    drawn = (*KINDS, RESTORE)
    figures["faults"].update({name: times for name, times in result.counts.items() if name in drawn})
    figures["happened"].update(result.happened)
    for promise, text in result.broken:
        figures["broken"].setdefault(result.seed, []).append(f"{promise}: {text}")
        print(f"seed {result.seed}: {promise}: {text}", flush=True)


def _tell(figures, options, worlds):
    days = worlds * options.days * options.devices
    figures.update(
        machine={"system": platform.platform(), "python": platform.python_version()},
        command=["python", "-m", "tests.sim", *sys.argv[1:]],
        seeds=list(map(int, options.seeds.split(".."))),
        commit=tried.commit(),
        worlds=worlds,
        device_days=days,
        device_days_per_cpu_s=round(days / figures["cpu_s"], 2),
    )
    _write(options.json, {**_held(options.json, _OF_A_YEAR), **figures})
    faults = sum(figures["faults"].values())
    print(
        f"{worlds} worlds, {days:.0f} device-days, {faults} faults, {figures['lines']} lines of history in"
        f" {figures['seconds']:.0f} s; {figures['device_days_per_cpu_s']} device-days a CPU second"
    )
    broken = len(figures["broken"])
    print(f"{broken} failed: run one by its seed" if broken else f"{worlds} passed")


def _untried(figures, worlds):
    """Say which faults no world met, where there were enough worlds to meet each; return them."""
    never = never_happened(figures["happened"]) if worlds >= _ENOUGH_WORLDS else []
    for name in never:
        print(f"never happened in {worlds} worlds: {name}")
    return never


def _held(path, *names):
    """Return what another run wrote into the file under these names."""
    document = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    return {name: document[name] for name in names or document if name in document}


def _write(path, figures):
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1))


def _keep(options):
    try:
        rows = tried.keep(options.keep, tried.TRIED)
    except (OSError, ValueError) as error:
        print(f"nothing was kept: {error}")
        return 1
    print(f"{tried.TRIED.name} holds {len(rows)} runs of {sum(row['worlds'] for row in rows)} worlds")
    return 0


# ---- a year


def _year(options):
    began = time.process_time()
    gc.disable()
    result, figures = run_year(options.year)
    _write(options.json, {**_held(options.json), _OF_A_YEAR: figures})
    for promise, text in result.broken:
        print(f"BROKEN {promise}: {text}")
    print(
        f"{options.year} days, {figures['events']} events, {figures['office_bytes_per_event']} bytes an event at the office;"
        f" {time.process_time() - began:.0f} s of CPU"
    )
    return 1 if result.broken else 0


# ---- one


def _one(options):
    began = time.process_time()
    result = run(options.seed, options.days, options.devices)
    if result.broken:
        for line in list(result.newest)[-options.lines :]:
            print(*line)
    for step in result.plan:
        print(f"{step.at_s:>10.0f} s  {step.what} {step.arguments}")
    print(collections.Counter(result.counts).most_common())
    print(collections.Counter(result.happened).most_common())
    for promise, text in result.broken:
        print(f"BROKEN {promise}: {text}")
    cpu_s = time.process_time() - began
    print(f"seed {result.seed}: {result.lines} lines, {result.digest[:16]}, {cpu_s:.1f} s of CPU")
    return 1 if result.broken else 0
