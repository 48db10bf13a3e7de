"""Writes the figures of a run into docs/bench.md: `python -m tools.bench.page build/bench.json`.

No figure of that page is typed by hand: what stands between the two marks comes from the file that `make bench` wrote. With `--add`
before the file, of a run of one benchmark, all else that is there stays; each run says its machine.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from tools.bench.screen import TITLES, noise_line, number
from tools.upy import ROOT

PAGE = ROOT / "docs" / "bench.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
_OF_ITS_OWN = ", in a run of its own"
_RUN = re.compile(f"^(?=### .+{_OF_ITS_OWN}$)", re.MULTILINE)
# Values beside the rate that tell something of their own.
_BESIDE = {
    "segments_per_commit": "segments a commit",
    "events_per_s": "events a second",
    "requests_per_s": "requests a second",
    "erases_per_1000_events": "erases for 1,000 events",
    "payload_bytes": "readings",
    "seal_bytes": "seal",
    "channel_bytes": "channel",
    "headers_bytes": "headers and acknowledgement",
    "all_served_s": "seconds until the last one",
}


def markdown(document: dict[str, Any]) -> str:
    """Return the figures of build/bench.json as tables, with the machine and the command that made them."""
    machine = document["machine"]
    command = " ".join(document["command"])
    made = f"Outstation {document['outstation']}, `{command}`, seed {document['seed']}, {document['rounds']} rounds, on"
    place = (
        f"{machine['processor']} ({machine['cpus']} processors), {machine['system']}, {machine['filesystem']}"
    )
    versions = f"Python {machine['python']}, SQLite {machine['sqlite']}"
    head = [f"{made}", f"{place}, {versions}.", f"{_sentence(noise_line(document['noise']))}"]
    parts = ["\n".join(head)]
    for name, cases in document["figures"].items():
        parts.append(f"### {TITLES[name]}")
        parts += [_case(case) for case in cases]
    return "\n\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _case(case: dict[str, Any]) -> str:
    better = "more is better" if case["better"] == "higher" else "less is better"
    lines = [
        f"**{case['case']}**: {case['unit']}, {better}. {_sentence(case['note'])}"
        if case["note"]
        else f"**{case['case']}**",
        "",
    ]
    if case["contenders"]:
        lines += [
            "| contender | median | least .. greatest | we are | least .. greatest |",
            "|---|--:|--:|--:|--:|",
        ]
    ratios = {ratio["to"]: ratio for ratio in case["ratios"]}
    for figure in case["contenders"]:
        ratio = ratios.get(figure["name"])
        compared = f"{number(ratio['median'])} x | {_span(ratio)}" if ratio else " | "
        lines.append(f"| {figure['name']} | {number(figure['median'])} | {_span(figure)} | {compared} |")
    lines += ["", *(_means(figure) for figure in case["contenders"])]
    lines += [f"- *{skipped['name']}* skipped: {skipped['why']}" for skipped in case["skipped"]]
    return "\n".join(lines)


def _span(value: dict[str, Any]) -> str:
    return f"{number(value['min'])} .. {number(value['max'])}"


def _means(figure: dict[str, Any]) -> str:
    beside = [f"{words} {number(figure[name])}" for name, words in _BESIDE.items() if name in figure]
    return f"- *{figure['name']}*: {figure['means']}" + (f" ({', '.join(beside)})" if beside else "")


def alone(document: dict[str, Any]) -> str:
    """Return the figures of a run of one benchmark, under a heading of its own."""
    (name,) = document["figures"]
    head, _, rest = markdown(document).partition(f"\n\n### {TITLES[name]}\n\n")
    return f"### {TITLES[name].partition(':')[0]}{_OF_ITS_OWN}\n\n{head}\n\n{rest}"


def added(figures: str, new: str) -> str:
    """Return the figures of a page with those of a run of one benchmark behind them, in the place of its last one."""
    title = new.partition("\n")[0]
    kept = [run.strip() for run in _RUN.split(figures) if run.partition("\n")[0] != title]
    return "\n\n".join([*kept, new.strip()]) + "\n"


def main(arguments: list[str]) -> int:
    """Write the figures of a file into the page; return the exit code."""
    document = json.loads(Path(arguments[-1]).read_text())
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    held, _, after = rest.partition(END)
    figures = added(held, alone(document)) if arguments[0] == "--add" else markdown(document)
    PAGE.write_text(before + BEGIN + figures + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
