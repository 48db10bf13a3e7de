"""Feeds frames to every decoder of the device and of the hosts.

python -m tests.fuzz                              a million frames over the device's decoders, on both runtimes, and the hosts'
python -m tests.fuzz --frames 100000000 --seed 7  the soak
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
    options = parser.parse_args(arguments)
    if options.replay:
        return _replay(options.replay)
    try:
        report = _run(options.frames, options.seed)
    except AssertionError as failure:
        print(failure)
        return 1
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
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
    from tests.fuzz.frames import share_of, watch_entry
    from tests.fuzz.host_decoders import HOST_ENTRIES
    from tests.fuzz.runs import run_device

    report = {"frames": frames, "seed": seed}
    for runtime in ("cpython", "micropython"):
        start = time.monotonic()
        said = run_device(runtime, frames, seed)
        report[runtime] = {**said, "seconds": round(time.monotonic() - start, 1)}
        fed = sum(one["taken"] + one["refused"] for one in said.values())
        print(
            f"{runtime}: {fed} frames for {len(said)} decoders, nothing unexpected, {report[runtime]['seconds']} s"
        )
    start = time.monotonic()
    hosts = [
        watch_entry(entry, share_of(entry, HOST_ENTRIES, max(1000, frames // 20)), seed)
        for entry in HOST_ENTRIES
    ]
    report["hosts"] = hosts
    fed = sum(one["taken"] + one["refused"] for one in hosts)
    print(
        f"hosts: {fed} frames for {len(hosts)} decoders, nothing unexpected, {time.monotonic() - start:.1f} s"
    )
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
