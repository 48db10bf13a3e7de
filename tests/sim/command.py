"""The command of `python -m tests.sim`."""

import argparse
import collections
import multiprocessing
import time

from tests.sim.world import run


def main(arguments):
    """Run what was asked for; return 1 if a promise broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--seeds", help="FIRST..END, END left out")
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--devices", type=int, default=5)
    parser.add_argument("--lines", type=int, default=40, help="newest lines to show of a world that broke a promise")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.seeds is None:
        return _one(options)
    first, end = map(int, options.seeds.split(".."))
    work = [(seed, options.days, options.devices) for seed in range(first, end)]
    started = time.monotonic()
    broken = 0
    with multiprocessing.Pool(options.jobs) as pool:
        for at, (result, cpu_s) in enumerate(pool.imap_unordered(_timed, work)):
            for promise, text in result.broken:
                print(f"seed {result.seed}: {promise}: {text}", flush=True)
            broken += bool(result.broken)
    print(f"{len(work)} seeds in {time.monotonic() - started:.0f} s, {broken} broke a promise")
    return 1 if broken else 0


def _timed(work):
    began = time.process_time()
    result = run(*work)
    return result, time.process_time() - began


def _one(options):
    began = time.process_time()
    result = run(options.seed, options.days, options.devices)
    if result.broken:
        for line in list(result.newest)[-options.lines :]:
            print(*line)
    for step in result.plan:
        print(f"{step.at_s:>10.0f} s  {step.what} {step.arguments}")
    print(collections.Counter(result.counts).most_common())
    for promise, text in result.broken:
        print(f"BROKEN {promise}: {text}")
    cpu_s = time.process_time() - began
    print(f"seed {result.seed}: {result.lines} lines, {result.digest[:16]}, {cpu_s:.1f} s of CPU")
    return 1 if result.broken else 0
