"""`python -m tests.drills PART`: one part of the drills, in this process; `python -m tools.drills` runs them all."""

import argparse
import asyncio
import importlib
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.drills.plan import CI, NAMES, SIZES, part_command


def main(arguments: list[str]) -> int:
    """Run one part, write its rows, and return 1 where a check failed."""
    options = _options(arguments)
    # Its site's processes must not outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{options.part}-", dir=options.out.parent))
    story = importlib.import_module(f"tests.drills.{options.part}")
    rows = asyncio.run(story.run(folder, options.size, options.seed, say))
    for row in rows:
        row.seconds = row.seconds or round(time.monotonic() - began, 1)
        row.command = part_command(options.part, options.size, options.seed)
        for fault in row.faults:
            say(f"FAILED {row.name}: {fault}")
    options.out.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    is_good = all(row.is_good for row in rows)
    if is_good:
        shutil.rmtree(folder)
    else:
        say(f"its files are kept in {folder}")
    return 0 if is_good else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("part", choices=NAMES)
    parser.add_argument("--size", choices=SIZES, default=CI)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    options.out = options.out or Path("build/drills") / f"{options.part}.json"
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
