"""How many events a second a device takes from reading to flash, and what that costs the flash: the agent and the usual way.

Both run on MicroPython's unix port, one process a lap, over the same readings and the same rules; `micropython/lap.py` is the
program. The processor is this machine's, so only ratios say anything about a microcontroller; programmed bytes and erases
are counts and hold anywhere.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.diagnostic import DiagnosticError
from tools.bench.fleet import BUNDLE, SCHEMA, Row, Tell
from tools.bench.race import LOWER, Case, Contender, Figure, Lap, Skipped, race
from tools.upy import micropython_command, micropython_environment

PROGRAM = Path(__file__).parent / "micropython" / "lap.py"
SECTORS = 64
_LAP_SECONDS_MAX = 120
_HEAP = "16m"
OURS, ALIKE, EACH = "outstation", "usual, flush alike", "usual, flush each"
_MEANS = {
    OURS: "quality, rules, gates, columns, encryption, seal, chain, checkpoints, raw ring; samples durable when a segment is full",
    ALIKE: "rules as closures, JSON, littlefs; flushed with each decision and each 100 samples; nothing sealed",
    EACH: "rules as closures, JSON, littlefs, flush after each event; nothing sealed",
}
_EACH_MEANS = "as the agent seals when every sample is to be durable at once: a segment each"

RunLap = Callable[[dict[str, Any]], dict[str, Any]]


def run(rows: list[Row], folder: Path, rounds: int, tell: Tell, samples: dict[str, int]) -> list[Case]:
    """Return the cases of the device. folder: on the disk that is measured; samples: readings of a lap, by medium."""
    try:
        micropython_command()
    except DiagnosticError as error:
        why = error.diagnostics[0]
        return [_without(why.message, why.fix or "")]

    def lap(settings: dict[str, Any]) -> dict[str, Any]:
        return run_lap({**settings, "rows": rows, "samples": samples[settings["medium"]]}, folder)

    ram = _race("flash in memory", "ram", rounds, tell, lap)
    return [
        ram,
        _race("flash in a file, synced", "file", rounds, tell, lap),
        _race_each("flash in memory, each event durable at once", rounds, tell, lap),
        _wear(ram),
    ]


def run_lap(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run one lap under MicroPython and return what it says. settings: of micropython/lap.py, less what is always the same."""
    with tempfile.TemporaryDirectory(prefix="device-", dir=folder) as place:
        file = Path(place) / "settings.json"
        always = {"sectors": SECTORS, "schema": SCHEMA.hex(), "bundle": BUNDLE.hex()}
        file.write_text(
            json.dumps({"flash": str(Path(place) / "flash.bin"), "events": False, **always, **settings})
        )
        ended = subprocess.run(
            [*micropython_command(), "-X", f"heapsize={_HEAP}", str(PROGRAM), str(file)],
            env=micropython_environment(),
            capture_output=True,
            text=True,
            timeout=_LAP_SECONDS_MAX,
            check=False,
        )
    if ended.returncode:
        raise RuntimeError(
            f"a lap of {settings['who']} ended with {ended.returncode}: {ended.stderr or ended.stdout}"
        )
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def _contender(name: str, means: str, settings: dict[str, Any], lap: RunLap) -> Contender:
    def run_once() -> Lap:
        said = lap(settings)
        per_event = said["programmed"] / said["count"]
        erases = 1000 * said["erases"] / said["count"]
        more = {"flash_bytes_per_event": per_event, "erases_per_1000_events": erases}
        return Lap(said["count"], said["us"] / 1e6, more)

    return Contender(name, means, run_once)


def _race(name: str, medium: str, rounds: int, tell: Tell, lap: RunLap) -> Case:
    runners = [
        _contender(OURS, _MEANS[OURS], {"who": "agent", "medium": medium, "each": False}, lap),
        _contender(ALIKE, _MEANS[ALIKE], {"who": "usual", "medium": medium, "each": False}, lap),
        _contender(EACH, _MEANS[EACH], {"who": "usual", "medium": medium, "each": True}, lap),
    ]
    return race(name, "events/s", runners, rounds, tell, "this machine's processor: read the ratios")


def _race_each(name: str, rounds: int, tell: Tell, lap: RunLap) -> Case:
    runners = [
        _contender(OURS, _EACH_MEANS, {"who": "agent", "medium": "ram", "each": True}, lap),
        _contender(EACH, _MEANS[EACH], {"who": "usual", "medium": "ram", "each": True}, lap),
    ]
    return race(name, "events/s", runners, rounds, tell, "not how the agent is meant to be set")


def _wear(raced: Case) -> Case:
    """Return the same laps by what they cost the flash: counts, the same in every lap."""
    figures = tuple(
        Figure(
            figure.name,
            figure.means,
            (figure.more["flash_bytes_per_event"],),
            {"erases_per_1000_events": figure.more["erases_per_1000_events"]},
        )
        for figure in raced.figures
    )
    note = "counted, not timed; on a chip each 256 bytes cost about half a millisecond and each erase tens of them"
    return Case("flash programmed", "bytes/event", LOWER, raced.units, figures, (), note)


def _without(why: str, fix: str) -> Case:
    skipped = tuple(Skipped(name, why, fix) for name in (OURS, ALIKE, EACH))
    return Case("flash in memory", "events/s", "higher", 0, (), skipped)
