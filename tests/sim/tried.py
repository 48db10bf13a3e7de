"""Which seeds were ever tried: `tried.json`, a row for each run of many worlds that somebody kept, whatever it found.

python -m tests.sim --seeds 2600..2800 --json FILE
python -m tests.sim --keep FILE

A row says what held at its commit, and nothing of any other.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

TRIED = Path(__file__).with_name("tried.json")


def commit() -> str:
    """Return the commit that is checked out, with a + where files differ from it; "unknown" outside of a repository."""
    said = _git("rev-parse", "--short=10", "HEAD")
    return "unknown" if said is None else said + ("+" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(("git", *arguments), cwd=TRIED.parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def row_of(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the row of one run. figures: what --json wrote. Raises ValueError where they do not say which seeds, or at which commit."""
    try:
        first, end = figures["seeds"]
        return {
            "first": first,
            "end": end,
            "commit": figures["commit"],
            "worlds": figures["worlds"],
            "device_days": round(figures["device_days"]),
            "faults": sum(figures["faults"].values()),
            "broken": sorted(map(int, figures["broken"])),
        }
    except KeyError as missing:
        raise ValueError(f"the figures do not say {missing}: run these seeds again, with --json") from None


def keep(files: list[Path], tried: Path) -> list[dict[str, Any]]:
    """Add the rows of runs, by seed and in the order of the files, each once; return all. Raises OSError or ValueError: nothing was written."""
    rows: list[dict[str, Any]] = json.loads(tried.read_text("utf-8")) if tried.is_file() else []
    for file in files:
        row = row_of(json.loads(file.read_text("utf-8")))
        if row not in rows:
            rows.append(row)
    rows.sort(key=lambda row: (row["first"], row["end"]))
    tried.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n", "utf-8")
    return rows
