"""The figures as Markdown, between the marks of docs/proof.md, and the pictures beside it."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tools.drills.plan import NAMES, part_of
from tools.proof.picture import Curve, bars, curves
from tools.proof.rows import Tried, faults, happened, tried, tried_long
from tools.proof.sources import Figures

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
SURVIVAL, DRAIN, STORAGE = "proof-survival.svg", "proof-drain.svg", "proof-storage.svg"
# Where the drill of an outage left its curve: a list of [seconds, segments that wait, milliseconds or None].
_DRAIN_KEY = "drain_curve"
_LONG_DRILLS = "long drills"
_LONG_DRILL = "python -m tools.drills --size soak --only {} --json build/drills-soak.json"


def write_page(page: Path, pictures: Path, figures: Figures) -> None:
    """Write the figures into the page between its marks, and the pictures. Raises ValueError where the page has no marks."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has not both marks {BEGIN.strip()} and {END.strip()}; put them back")
    drawn = draw(figures)
    pictures.mkdir(parents=True, exist_ok=True)
    for name in (SURVIVAL, DRAIN, STORAGE):
        (pictures / name).unlink(missing_ok=True)
        if name in drawn:
            (pictures / name).write_text(drawn[name], "utf-8")
    page.write_text(before + BEGIN + markdown(figures, drawn) + END + after, "utf-8")


def draw(figures: Figures) -> dict[str, str]:
    """Return file name -> SVG of each picture for which there are figures."""
    drawn = {}
    rows = tried(figures.held)
    if rows:
        drawn[SURVIVAL] = bars(rows + faults(figures.held))
    drain = next(
        (row["figures"][_DRAIN_KEY] for row in _outages(figures) if _DRAIN_KEY in row["figures"]), None
    )
    if drain:
        drawn[DRAIN] = _drain(drain)
    if "storage" in figures.held:
        drawn[STORAGE] = _storage(figures.held["storage"])
    return drawn


def _drain(points: list[Any]) -> str:
    waiting = Curve("segments that wait at the gateway", [(point[0], point[1]) for point in points])
    ages = [(point[0], point[2]) for point in points if len(point) > 2]
    late = Curve("new events meanwhile: median ms from record to commit, over the last second", ages)
    return curves(
        "A backlog drains", "seconds since the uplink is back", [waiting, late] if ages else [waiting]
    )


def _storage(held: dict[str, Any]) -> str:
    days, rings, gateways, offices = zip(*held["points"], strict=True)
    drawn = [
        Curve("device: bytes of its ring that hold something", _pairs(days, rings), held["ring_bytes_max"]),
        Curve("gateway: bytes of its store", _pairs(days, gateways), held["gateway_bytes_max"]),
        Curve("office: bytes of its database", _pairs(days, offices)),
    ]
    bands = [(begin, end) for begin, end, _ in held["outages"]]
    return curves("Storage over time", "days; shaded: a line is cut", drawn, bands)


def _pairs(days: Iterable[float], values: Iterable[float]) -> list[tuple[float, float | None]]:
    return list(zip(days, values, strict=True))


def _drills(figures: Figures, source: str = "drills") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = figures.held.get(source, {}).get("rows", [])
    return rows


def _outages(figures: Figures) -> list[dict[str, Any]]:
    """Return the rows of outages, the longest first."""
    both = [*_drills(figures, _LONG_DRILLS), *_drills(figures)]
    return [row for row in both if row["name"] == "outage"]


def markdown(figures: Figures, drawn: dict[str, str]) -> str:
    """Return what stands between the marks; drawn: the pictures that there are."""
    rows = tried(figures.held)
    parts = [_summary(rows + tried_long(figures.held)), *_made(figures.held), *_missing(figures)]
    if SURVIVAL in drawn:
        parts.append(f"![What was tried, how often, and what broke](pictures/{SURVIVAL})")
    parts += [_table(part, list(those)) for part, those in groupby(rows, lambda row: row.part)]
    parts += [
        *_long(figures),
        *_seeds(figures),
        *_faults(figures),
        *_weaker(figures),
        *_peers(figures),
        *_curves(figures, drawn),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(rows: list[Tried]) -> str:
    broken = sum(row.broken or 0 for row in rows)
    return f"{len(rows)} rows, {broken} promises broken." if rows else "No figures are there yet."


def _made(held: dict[str, Any]) -> Iterator[str]:
    """Give the sizes, seeds and versions that the figures say of themselves."""
    said = []
    if "sim" in held:
        machine = held["sim"]["machine"]
        said.append(
            f"Simulation: `{' '.join(held['sim']['command'])}`, {machine['system']}, Python {machine['python']}."
        )
    if "stores" in held:
        said.append(f"Stores: SQLite {held['stores']['sqlite']}.")
    if "fuzz" in held:
        said.append(f"Frames: seed {held['fuzz']['seed']}.")
    if "drills" in held:
        said.append(f"Real processes: size {held['drills']['size']}, seed {held['drills']['seed']}.")
    if said:
        yield " ".join(said)


def _missing(figures: Figures) -> Iterator[str]:
    if figures.missing:
        lines = [f"- {source.what} (`build/{source.file}`): `{source.command}`" for source in figures.missing]
        yield "Missing from this page, with the command that makes it:\n\n" + "\n".join(lines)


def _table(part: str, rows: list[Tried]) -> str:
    head = [f"### {part}", "", "| what | times | broken | |", "|---|--:|--:|---|"]
    return "\n".join(
        [*head, *(f"| {row.what} | {row.times:,} | {row.broken:,} | {row.words} |" for row in rows)]
    )


def _long(figures: Figures) -> Iterator[str]:
    rows = tried_long(figures.held)
    if rows:
        yield _table("Long runs", rows)
    lines = [f"- {source.what}: `{source.command}`" for source in figures.not_run]
    lines += [
        f"- the long drill `{name}`: `{_LONG_DRILL.format(name)}`" for name in _long_drills_not_run(figures)
    ]
    if rows and lines:
        yield "Not run for this page:\n\n" + "\n".join(lines)


def _long_drills_not_run(figures: Figures) -> list[str]:
    """Return the parts of the long drills that were not held, where others were."""
    held = {part_of(row) for row in _drills(figures, _LONG_DRILLS)}
    return [name for name in NAMES if name not in held] if held else []


def _seeds(figures: Figures) -> Iterator[str]:
    if figures.tried:
        lines = [
            f"| {row['first']:,} to {row['end'] - 1:,} | {row['commit']} | {row['worlds']:,} | {row['device_days']:,} | {row['faults']:,}"
            f" | {', '.join(map(str, row['broken'])) or 'none'} |"
            for row in figures.tried
        ]
        head = [
            "| seeds | at commit | worlds | device-days | faults | broke |",
            "|---|---|--:|--:|--:|---|",
        ]
        different = len({seed for row in figures.tried for seed in range(row["first"], row["end"])})
        said = f"{different:,} different seeds. A row says what held at its commit; runs that nobody kept are not here."
        yield "\n".join(["### Seeds of the simulation that were ever tried", "", said, "", *head, *lines])


def _faults(figures: Figures) -> Iterator[str]:
    for head, column, rows in (
        ("Faults of the simulation, as planned", "fault", faults(figures.held)),
        ("What the faults of the simulation did", "met", happened(figures.held)),
    ):
        lines = [f"| {row.what} | {row.times:,} |" for row in rows]
        if lines:
            yield "\n".join([f"### {head}", "", f"| {column} | times |", "|---|--:|", *lines])


def _weaker(figures: Figures) -> Iterator[str]:
    weaker = figures.held.get("stores", {}).get("weaker_settings")
    if weaker:
        lines = [
            f"| {one['run']} | {one['cuts']:,} | {one['cuts_that_lost']:,} | {one['worst_loss']:,} | {one['cuts_wrong']:,} |"
            for one in weaker
        ]
        head = ["| setting | cuts | that lost | at worst | wrong |", "|---|--:|--:|--:|--:|"]
        yield "\n".join(["### The stores under weaker settings, none of which is shipped", "", *head, *lines])


def _peers(figures: Figures) -> Iterator[str]:
    peers = figures.held.get("peers")
    if peers:
        lines = [
            f"| {one['variant']} | {one['cuts']:,} | {one['cuts_that_lost']:,} | {one['lost_worst']:,}"
            f" | {one['bytes_per_payload_byte']} | {one['erases_per_record']} |"
            for one in peers
        ]
        head = [
            "| storage | cuts | that lost | at worst | bytes written for a byte | erases for a record |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        yield "\n".join(["### The same records on other storage", "", *head, *lines])


def _curves(figures: Figures, drawn: dict[str, str]) -> Iterator[str]:
    outages = [_outage_said(row) for row in _outages(figures)]
    if outages:
        yield "\n\n".join(["### After the outage", *outages])
    if DRAIN in drawn:
        yield f"![A backlog drains](pictures/{DRAIN})"
    if STORAGE in drawn:
        yield f"### Storage over time\n\n{_stored(figures.held['storage'])}\n\n![Storage over time](pictures/{STORAGE})"


def _outage_said(row: dict[str, Any]) -> str:
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in _plain(row["figures"]))
    return f"{row['about']}: {said}."


def _stored(held: dict[str, Any]) -> str:
    cuts = ", ".join(f"{what} from day {begin:.0f} to {end:.0f}" for begin, end, what in held["outages"])
    return (
        f"One device, one gateway and the office for {held['days']} simulated days, {held['events']:,} events,"
        f" {held['office_bytes_per_event']} bytes each at the office. Cut: {cuts}."
    )


def _plain(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in figures.items() if not isinstance(value, (list, dict))]
