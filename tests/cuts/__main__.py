"""Cuts the power at every flash operation of random histories, and again inside each recovery.

python -m tests.cuts                               10,000 cuts over journal, cell, key sector and slots
python -m tests.cuts --cuts 200000 --all-pairs     the soak: every second cut inside every recovery
python -m tests.cuts --peers                       the same records on littlefs and on naive storage, written to build/cuts.json
python -m tests.cuts --counters 10000              device power cycles and gateway crashes; no nonce twice
python -m tests.cuts --replay journal:7:42:torn    one cut again, as its failure names it
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
        report = _run(options)
    except CutFailure as failure:
        print(failure)
        return 1
    if report:
        REPORT.parent.mkdir(exist_ok=True)
        held = json.loads(REPORT.read_text()) if REPORT.exists() else {}
        REPORT.write_text(json.dumps(held | report, indent=1) + "\n")
    return 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.cuts", description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", help="only journal, cell, keys or slots")
    parser.add_argument("--all-pairs", action="store_true", help="every second cut inside every recovery")
    parser.add_argument("--replay", metavar="NAME")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--counters", type=int, metavar="CYCLES")
    return parser.parse_args(arguments)


def _run(options):
    if options.replay:
        return _replay(options.replay)
    if options.peers:
        from tests.cuts.peers import compare

        return {"peers": compare(print)}
    if options.counters:
        from tests.cuts.counters import run_cycles

        result = run_cycles(options.counters, options.seed)
        print(result)
        return {"counters": asdict(result)}
    return {"sweep": _sweep(options)}


def _replay(text):
    from tests.cuts.parts import PARTS
    from tests.cuts.sweep import parse_name, replay

    name = parse_name(text)
    replay(PARTS[name.part], name)
    print(f"{name}: every promise kept")


def _sweep(options):
    from tests.cuts.parts import PARTS, SHARES, share
    from tests.cuts.sweep import sweep

    report = {}
    for name in [options.part] if options.part else SHARES:
        start = time.process_time()
        count = options.cuts if options.part else share(name, options.cuts)
        tally = sweep(PARTS[name], count, options.seed, options.all_pairs)
        seconds = time.process_time() - start
        report[name] = asdict(tally) | {"seed": options.seed, "cpu_s": round(seconds, 2), "broken": 0}
        print(
            f"{name:8} {tally.cuts:7} cuts, {tally.second_cuts} of them inside a recovery, over {tally.operations} operations of "
            f"{tally.histories} histories from seed {options.seed}: nothing broken; {seconds:.1f} s",
            flush=True,
        )
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
