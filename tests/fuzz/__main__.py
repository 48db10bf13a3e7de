"""Feeds frames to every decoder of the device and of the hosts.

python -m tests.fuzz                              a million frames over all decoders of a device, on each runtime,
                                                  and 50,000 over those that only hosts run
python -m tests.fuzz --frames 100000000 --seed 7 --json build/fuzz-soak.json
                                                  the soak, whose figures lie beside the others
python -m tests.fuzz --replay NAME:SEED:INDEX     one frame again, as its failure names it
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tools.shim import install

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT = ROOT / "build" / "fuzz.json"


def main(arguments):
    """Run what the arguments ask for; return the exit code: 1 where a decoder raised what it does not document."""
    # Makes `agent` importable, so everything that imports it comes after.
    install()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", metavar="NAME")
    parser.add_argument("--json", type=Path, default=REPORT, help="where the figures go")
    options = parser.parse_args(arguments)
    if options.replay:
        return _replay(options.replay)
    # However the run ends, no figures of an older one stay.
    options.json.unlink(missing_ok=True)
    try:
        report = _run(options.frames, options.seed)
    except AssertionError as failure:
        print(failure)
        return 1
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def _replay(text):
    from tests.fuzz.device_decoders import ENTRIES
    from tests.fuzz.frames import frame_of
    from tests.fuzz.host_decoders import HOST_ENTRIES

    name, seed, index = text.split(":")
    entry = next(one for one in ENTRIES + HOST_ENTRIES if one.name == name)
    frame = frame_of(entry, int(seed), int(index))
    print(f"{len(frame)} bytes: {bytes(frame[:512]).hex()}")
    try:
        print(f"taken: {entry.decode(frame)!r}")
    except entry.errors as error:
        print(f"refused as documented: {type(error).__name__} {error}")
    return 0


def _run(frames, seed):
    """Return the figures. Raises AssertionError with the first thing that no decoder may do, in words."""
    from tests.fuzz.runs import RUNTIMES, check_agreement

    said = {runtime: _run_device(runtime, frames, seed) for runtime in RUNTIMES}
    check_agreement(said)
    return {"frames": frames, "seed": seed, **said, "hosts": _run_hosts(frames, seed)}


def _run_device(runtime, frames, seed):
    from tests.fuzz.runs import check_growth, run_device

    start = time.monotonic()
    said = run_device(runtime, frames, seed)
    check_growth(runtime, said.values())
    _say(runtime, said.values(), time.monotonic() - start)
    return said


def _run_hosts(frames, seed):
    from tests.fuzz.frames import share_of, watch_entry
    from tests.fuzz.host_decoders import HOST_ENTRIES
    from tests.fuzz.runs import check_growth

    # These decoders write files, open stores, read text.
    count = max(1000, frames // 20)
    start = time.monotonic()
    said = [watch_entry(entry, share_of(entry, HOST_ENTRIES, count), seed) for entry in HOST_ENTRIES]
    check_growth("cpython", said)
    _say("hosts", said, time.monotonic() - start)
    return said


def _say(who, lines, seconds):
    fed = sum(one["taken"] + one["refused"] for one in lines)
    print(f"{who}: {fed} frames for {len(lines)} decoders, nothing unexpected, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
