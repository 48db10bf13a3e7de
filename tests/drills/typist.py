"""Calls the command line once for each list of words in a file, as a user of this machine would, and keeps the exit codes in another.

One process for all of them: a start of Python takes longer than a refusal.
"""

import json
import sys
from pathlib import Path

from tests.site.harness import ROOT
from tools.site import Service


def main(plan: str, told: str) -> None:
    """plan, told: paths of JSON files."""
    from tools.cli import run

    print("typed", flush=True)
    codes = [run(words) for words in json.loads(Path(plan).read_text())]
    Path(told).write_text(json.dumps(codes))


def typist(site) -> Service:
    """Return the process in which a site's people type: type_lines starts it."""
    words = ["-m", "tests.drills.typist", "type", str(_plan(site)), str(_told(site))]
    command = ["env", f"PYTHONPATH={ROOT}:{ROOT / 'firmware'}", sys.executable, *words]
    return Service("people", command, site.logs / "people.log", "typed")


async def type_lines(site, lines: list[list[str]]) -> list[int]:
    """Let site.people type commands of the office, each a list of words; return their exit codes."""
    config = str(site.office_folder / "office.toml")
    _told(site).unlink(missing_ok=True)
    _plan(site).write_text(json.dumps([[*words, "--config", config] for words in lines]))
    await site.people.start()
    await site.people.ended()
    return json.loads(_told(site).read_text())


def _plan(site) -> Path:
    return site.folder / "plan.json"


def _told(site) -> Path:
    return site.folder / "told.json"


if __name__ == "__main__":
    main(*sys.argv[2:])
