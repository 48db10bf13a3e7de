"""The devices as lines for a terminal: of each site a table of what is held, one of what runs, and what is wrong; 80 columns for names of up to 20."""

from typing import Any

from office_ingest.govern.rekey import GIVEN, IN_FORCE
from office_ingest.health import short_of

_HELD = ("device", "heard", "critical", "routine", "events", "decisions")
_RUNS = ("device", "bundle", "wanted", "last adoption step")
_COLUMNS_MAX = 80
_DIGEST_SHOWN = 8


def device_lines(rows: list[dict[str, Any]], now_ms: int) -> list[str]:
    """Return the devices of overview.devices_overview, by site. now_ms: wall time, for how long ago each was heard."""
    if not rows:
        return ["no device is registered; next: outstation provision device"]
    return [line for site in sorted({row["site"] for row in rows}) for line in _site(site, rows, now_ms)]


def _site(site: str, rows: list[dict[str, Any]], now_ms: int) -> list[str]:
    here = [row for row in rows if row["site"] == site]
    held = _table(_HELD, [_held_cells(row, now_ms) for row in here], left=2)
    runs = _table(_RUNS, [_runs_cells(row) for row in here], left=len(_RUNS))
    wrong = [
        f"{row['name']}: {', '.join(_wrong(row))}; see: outstation office findings"
        for row in here
        if _wrong(row)
    ]
    short = [f"{row['name']}: {words}" for row in here if (words := short_of(row["health"]))]
    keys = [line for row in here for line in _keys(row, now_ms)]
    return [site, *(f"  {line}" for line in [*held, "", *map(_cut, runs), *wrong, *short, *keys])]


def _keys(row: dict[str, Any], now_ms: int) -> list[str]:
    """Return a line each for other keys and another link that a device was given and is not yet proved to have."""
    lines = []
    for what, given in (("other keys", row["rekey"]), ("another link", row["relink"])):
        if given is not None and given["state"] != IN_FORCE:
            is_late = given["state"] == GIVEN and now_ms >= given["until_ms"]
            state = "not answered in time" if is_late else given["state"]
            lines.append(f"{row['name']}: {what} {state} (command {given['command']})")
    return lines


def _held_cells(row: dict[str, Any], now_ms: int) -> tuple[str, ...]:
    # Newest epoch last, as the overview gives them.
    lanes = {lane["lane"]: lane for lane in row["lanes"]}
    held = (_held(lanes.get(name)) for name in ("critical", "routine"))
    heard = "revoked" if row["revoked_ms"] is not None else _ago(row["last_heard_ms"], now_ms)
    return (row["name"], heard, *held, str(row["events"]), str(row["decisions"]))


def _runs_cells(row: dict[str, Any]) -> tuple[str, ...]:
    bundle, wanted, adoption = row["bundle"], row["wanted"], row["adoption"]
    return (
        row["name"],
        "-" if bundle is None else f"{bundle['version']} {bundle['digest'][:_DIGEST_SHOWN]}",
        "-" if wanted is None else f"{wanted['number']} {'runs' if wanted['runs'] else 'not yet'}",
        "-" if adoption is None else f"{adoption['number']} {adoption['step']}",
    )


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]], *, left: int) -> list[str]:
    """Return lines in columns: the first ones to the left, numbers to the right."""
    widths = [max(len(row[at]) for row in (names, *rows)) for at in range(len(names))]
    return [
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (names, *rows)
    ]


def _cut(line: str) -> str:
    """Return a line that fits behind its indent; --json has all of it."""
    room = _COLUMNS_MAX - 2
    return line if len(line) <= room else f"{line[: room - 3]}..."


def _held(lane: dict[str, Any] | None) -> str:
    """Return the newest number held, and how many the device has beyond it."""
    if lane is None:
        return "-"
    behind = (lane["head"] or 0) - lane["held"]
    return f"{lane['held']} ({behind} to come)" if behind > 0 else str(lane["held"])


def _wrong(row: dict[str, Any]) -> list[str]:
    words = (
        ("gaps_open", "segments missing"),
        ("gaps_lost", "segments lost"),
        ("gaps_accepted", "segments accepted as missing"),
        ("forks", "forks"),
        ("quarantined", "in quarantine"),
        ("findings", "open findings"),
    )
    unknown = ["runs what is not known"] if row["attestation"]["state"] == "unknown" else []
    return [f"{row[key]} {word}" for key, word in words if row[key]] + unknown


def _ago(heard_ms: int | None, now_ms: int) -> str:
    """Return how long ago a wall time was, in the unit that says most."""
    if heard_ms is None:
        return "never"
    seconds = max(0, now_ms - heard_ms) // 1000
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
