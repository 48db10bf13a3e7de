"""Cuts the power at every flash operation of random histories, and again inside each recovery.

python -m tests.cuts                               10,000 cuts over journal, cell, key sector and slots
python -m tests.cuts --cuts 200000 --all-pairs --json build/cuts-soak.json
                                                   the soak: every second cut inside every recovery
python -m tests.cuts --peers                       the same records on littlefs and on naive storage
python -m tests.cuts --counters 10000              device power cycles and gateway crashes; no nonce twice
python -m tests.cuts --part journal                one part alone; writes no figures, which are of all parts
python -m tests.cuts --replay journal:7:42:torn    one cut again, as its failure names it

The figures go to build/cuts.json, those of each kind of run under its own name: "sweep", "peers", "counters".
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tools.shim import install

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT = ROOT / "build" / "cuts.json"
CUTS = 10_000


def main(arguments):
    """Run what the arguments ask for; return the exit code: 1 where a promise was broken."""
    # Makes `agent` importable, so everything that imports it comes after.
    install()
    from tests.cuts.sweep import CutFailure

    options = _options(arguments)
    try:
        if options.replay:
            return _replay(options.replay)
        if options.part:
            _sweep(options)
            return 0
        return _write_figures(options)
    except CutFailure as failure:
        print(failure)
        return 1


def _write_figures(options):
    """Run what fills a part of the report; return the exit code. However the run ends, no figures of an older one stay."""
    name, run = _chosen(options)
    _replace(options.json, name, None)
    figures, code = run(options)
    _replace(options.json, name, figures)
    return code


def _replace(path, name, figures):
    """Put figures in the place of those of this name, or nothing; read anew each time, as another run may have written meanwhile."""
    held = json.loads(path.read_text()) if path.exists() else {}
    held.pop(name, None)
    if figures is not None:
        held[name] = figures
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(held, indent=1) + "\n")


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.cuts", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all-pairs", action="store_true", help="every second cut inside every recovery")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--part", help="only journal, cell, keys or slots; writes no figures")
    one.add_argument("--replay", metavar="NAME")
    one.add_argument("--peers", action="store_true")
    one.add_argument("--counters", type=int, metavar="CYCLES")
    parser.add_argument("--json", type=Path, default=REPORT, help="where the figures go")
    return parser.parse_args(arguments)


def _chosen(options):
    """Return the name of a run's figures and the run: options -> (figures, exit code)."""
    if options.peers:
        return "peers", _peers
    if options.counters:
        return "counters", _counters
    return "sweep", _sweep


def _peers(_options):
    from tests.cuts.peers import compare

    return compare(print), 0


def _counters(options):
    from tests.cuts.counters import run_cycles

    result = run_cycles(options.counters, options.seed)
    print(result)
    if result.reused:
        repeat = f".venv/bin/python -m tests.cuts --counters {options.counters} --seed {options.seed}"
        print(f"{result.reused} of {result.seals} seals used a nonce again, none may; repeat: {repeat}")
    return asdict(result), 1 if result.reused else 0


def _replay(text):
    from tests.cuts.parts import PARTS
    from tests.cuts.sweep import parse_name, replay

    name = parse_name(text)
    replay(PARTS[name.part], name)
    print(f"{name}: every promise kept")
    return 0


def _sweep(options):
    """Return the figures of each part, and 0: a broken promise is raised as CutFailure, and leaves no figures."""
    from tests.cuts.parts import PARTS, SHARES, share
    from tests.cuts.sweep import sweep

    report = {}
    for name in [options.part] if options.part else SHARES:
        start = time.process_time()
        count = options.cuts if options.part else share(name, options.cuts)
        tally = sweep(PARTS[name], count, options.seed, options.all_pairs)
        seconds = time.process_time() - start
        report[name] = asdict(tally) | {"seed": options.seed, "cpu_s": round(seconds, 2)}
        print(
            f"{name:8} {tally.cuts:7} cuts, {tally.second_cuts} of them inside a recovery, over {tally.operations} operations of "
            f"{tally.histories} histories from seed {options.seed}: nothing broken; {seconds:.1f} s",
            flush=True,
        )
    return report, 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
