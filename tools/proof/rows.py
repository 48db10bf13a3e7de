"""What was tried, how often, and how much of it broke a promise: one row for each, in the order of the page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

# How the names of blows end. Where there are none, the one number of a drill's row that says how hard it was struck; the others stand in
# the row's words.
_BLOWS = ("kills", "cuts", "reboots")
_STRUCK = ("lies", "datagrams", "replays", "malformed datagrams", "addresses", "requests", "times put back")
# Of a sweep of cuts, and of frames: a run in which something broke leaves no figures, and the page names it as missing.
_NONE_BROKEN = 0


class Tried(NamedTuple):
    """part: heading; what: what was done; times: how often; broken: promises broken by it, None where that is not known of it alone."""

    part: str
    what: str
    times: int
    broken: int | None
    words: str = ""


def tried(held: dict[str, Any]) -> list[Tried]:
    """Return the rows of all figures that are there."""
    makers = {
        "sim": _sim,
        "sweep": _sweep,
        "counters": _counters,
        "stores": _stores,
        "fuzz": _fuzz,
        "drills": _drills,
    }
    return _made(makers, held)


def tried_long(held: dict[str, Any]) -> list[Tried]:
    """Return the rows of the long runs that were made."""
    makers = {
        "long sim": _sim,
        "long sweep": _sweep,
        "long counters": _counters,
        "long stores": _stores,
        "long fuzz": _fuzz,
        "long drills": _drills,
        "board": _board,
    }
    return [row._replace(part="Long runs") for row in _made(makers, held)]


def _made(makers: Mapping[str, Callable[[Any], Iterator[Tried]]], held: dict[str, Any]) -> list[Tried]:
    return [row for name, maker in makers.items() if name in held for row in maker(held[name])]


def _board(document: dict[str, Any]) -> Iterator[Tried]:
    events = document["figures"]["events"]
    free = events["heap_free_bytes"]
    words = f"heap free between {min(free):,} and {max(free):,} bytes, {free[-1]:,} at the end"
    words += f"; {events['flash_bytes_an_event']} bytes programmed and {events['erases_an_event']} sectors erased an event"
    broken = events["allocation_failures"] + document["tests"]["failed"]
    yield Tried("", "events on the emulated board", events["events"], broken, words)


def faults(held: dict[str, Any]) -> list[Tried]:
    """Return how often each kind of fault came in the simulation; which of them broke a promise, only a whole world says."""
    kinds = held.get("sim", {}).get("faults", {})
    return [Tried("Faults of the simulation", kind, times, None) for kind, times in sorted(kinds.items())]


def happened(held: dict[str, Any]) -> list[Tried]:
    """Return how often what the faults of the simulation do was met: a datagram lost, a write refused, a power cut in a recovery."""
    met = held.get("sim", {}).get("happened", {})
    return [Tried("What the faults did", what, times, None) for what, times in met.items()]


def _sim(document: dict[str, Any]) -> Iterator[Tried]:
    broken = sum(len(found) for found in document["broken"].values())
    days = f"{document['device_days']:,.0f} device-days, {document['device_days_per_cpu_s']} in a CPU second"
    yield Tried("Simulation", "worlds of a whole site", document["worlds"], broken, days)


def _sweep(document: dict[str, Any]) -> Iterator[Tried]:
    for name, tally in document.items():
        words = f"{tally['second_cuts']:,} of them inside a recovery, over {tally['operations']:,} operations"
        yield Tried("Power cuts of the flash", name, tally["cuts"], _NONE_BROKEN, words)


def _counters(document: dict[str, Any]) -> Iterator[Tried]:
    words = f"{document['boots']:,} boots, {document['cuts']:,} power cuts, {document['crashes']:,} gateway crashes"
    yield Tried("Nonces", "seals counted", document["seals"], document["reused"], words)


def _stores(document: dict[str, Any]) -> Iterator[Tried]:
    for cut in document["cuts"]:
        broken = cut["cuts_that_lost"] + cut["cuts_wrong"]
        words = f"{cut['operations']:,} operations, {cut['images']:,} different disks"
        if cut["unopenable"]:
            words += f"; {cut['unopenable']:,} cuts left no usable file, before anything was acknowledged"
        yield Tried("Stores", f"{cut['store']}: power cuts", cut["cuts"], broken, words)
    for fault in document["faults"]:
        broken = fault["lost"] + fault["wrong"]
        words = f"{fault['images']:,} disks looked at afterwards"
        yield Tried("Stores", f"{fault['store']}: {fault['kind']}", fault["points"], broken, words)
    for rot in document["bit_rot"]:
        broken = rot["silent"] + rot["deleted_good"] + rot["not_healed"]
        words = f"{rot['changed_segments']:,} changed a sealed segment, {rot['found_of_changed']:,} of those found"
        yield Tried("Stores", f"{rot['store']}: bits flipped", rot["flips"], broken, words)
    lying = document["lying_disk"]
    words = f"{lying['segments_lost']:,} segments lost, {lying['asked_of_the_device']:,} asked for again"
    yield Tried("Stores", "gateway: a disk that lies", lying["cuts"], lying["unnoticed"], words)


def _fuzz(document: dict[str, Any]) -> Iterator[Tried]:
    for name in ("cpython", "micropython"):
        yield _frames(f"the device's decoders on {name}", list(document[name].values()))
    yield _frames("the hosts' decoders", document["hosts"])


def _frames(what: str, entries: list[dict[str, Any]]) -> Tried:
    count = sum(entry["taken"] + entry["refused"] for entry in entries)
    refused = sum(entry["refused"] for entry in entries)
    return Tried("Frames", what, count, _NONE_BROKEN, f"{len(entries)} decoders, {refused:,} refused by name")


def _drills(document: dict[str, Any]) -> Iterator[Tried]:
    for row in document["rows"]:
        done = row["done"]
        kills = sum(times for name, times in done.items() if name.endswith(_BLOWS) and "seconds" not in name)
        times = kills or next((done[name] for name in _STRUCK if name in done), 0)
        broken = max(len(row["faults"]), row["lost"] + row["doubled"] + row["forged"])
        yield Tried("Real processes", row["name"], int(times), broken, _drill_words(row))
    for broken_off in document["broken"]:
        yield Tried("Real processes", broken_off, 0, 1, "the drill broke off")


def _drill_words(row: dict[str, Any]) -> str:
    words = ", ".join(f"{value:,} {name}" for name, value in row["done"].items())
    for sign in row["signs"]:
        after = "" if sign["heartbeats"] is None else f", after {sign['heartbeats']} heartbeats"
        words += f"; noticed: {sign['what']}, by {sign['by']}{after}"
    return words
