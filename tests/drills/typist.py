"""Calls the command line once for each list of words in a file, as a user of this machine would, and keeps the exit codes in another.

One process for all of them: a start of Python takes longer than a refusal.
"""

import json
import sys
from pathlib import Path


def main(plan: str, told: str) -> None:
    """plan, told: paths of JSON files."""
    from tools.cli import run

    print("typed", flush=True)
    codes = [run(words) for words in json.loads(Path(plan).read_text())]
    Path(told).write_text(json.dumps(codes))


if __name__ == "__main__":
    main(*sys.argv[2:])
