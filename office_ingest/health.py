"""What a device said of itself last: the counters of its newest kept heartbeat that carries any. Read only.

A heartbeat may carry none, because telemetry has a share of the link and no more; then those of an earlier one hold. Counters that
this office does not know are kept under their number.

Source: SPEC.md section 5.1.
"""

import sqlite3
from itertools import pairwise
from typing import Any, NamedTuple

from office_ingest.storage.sqlite import NEWEST_HEARTBEAT
from protocol.errors import ProtocolError
from protocol.messages import parse_heartbeat

COUNTERS = (
    *("heap_free_bytes", "sectors_erased", "bytes_programmed", "datagrams_repeated", "exchanges_failed"),
    *("events_thinned", "readings_bad", "segments_uncollected", "torn_pages", "boot_cause", "heap_low_bytes"),
    *("flash_low", "levels", "heartbeat_ms", "battery", "allowance", "link_bytes", "driver_faults"),
    *("link_lost", "answer_ms", "link_day_bytes", "relink"),
)
RESOURCES = ("heap", "flash", "battery", "link")
LEVELS = ("enough", "low", "scarce")
NOT_MEASURED = "not measured"
# of a boot, as its event names them
CAUSES = ("power", "watchdog", "software", "unknown")
# Two bits a resource.
_MASK = 3
APART_MS = COUNTERS.index("heartbeat_ms")
# Heartbeats whose distances say something: one or two that were hurried do not.
_IN_A_ROW = 5


def health_of(connection: sqlite3.Connection, device: bytes) -> dict[str, Any] | None:
    """Return a device's newest counters by name, `levels` as resource -> word; None if no kept heartbeat has any."""
    rows = connection.execute(
        f"SELECT raw FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT}",  # noqa: S608 - the order is ours
        (device,),
    )
    for (raw,) in rows:
        counters = parse_heartbeat(raw).fields.health
        if counters:
            return _by_name(counters)
    return None


class Pace(NamedTuple):
    """How far apart a device says that its heartbeats are. life: (epoch, boot) in which it said so; apart_ms: 0 where it has not."""

    life: tuple[int, int]
    apart_ms: int


def pace_of(connection: sqlite3.Connection, device: bytes) -> Pace | None:
    """Return what a device's newest boot says of its pace; None before its first heartbeat, or where the disk changed what is kept.

    A device says it in each heartbeat of a boot until it is answered: where none is there, this office lost it, and what an earlier boot
    said holds no longer.
    """
    rows = connection.execute(
        f"SELECT raw FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT}",  # noqa: S608 - the order is ours
        (device,),
    )
    pace = None
    try:
        for (raw,) in rows:
            beat = parse_heartbeat(raw).fields
            life = (beat.epoch, beat.boot)
            if pace is not None and life != pace.life:
                return pace
            pace = Pace(life, beat.health.get(APART_MS, 0))
            if pace.apart_ms:
                return pace
    except ProtocolError:
        return None
    return pace


def heartbeat_seen_ms(connection: sqlite3.Connection, device: bytes) -> int | None:
    """Return the longest distance between its newest five heartbeats, None unless they are of one boot, none is missing, and only the first says how far apart.

    By the device's own ticks: what it says may be older. A gateway holds so many heartbeats and no more, a database may be put back from
    a copy, and a device that was answered does not say it again.
    """
    rows = connection.execute(
        f"SELECT raw FROM heartbeats WHERE device = ? ORDER BY {NEWEST_HEARTBEAT} LIMIT ?",  # noqa: S608 - the order is ours
        (device, _IN_A_ROW),
    ).fetchall()
    try:
        beats = [parse_heartbeat(raw).fields for (raw,) in rows]
    except ProtocolError:
        return None
    if len(beats) < _IN_A_ROW or any(APART_MS in beat.health for beat in beats[:-1]):
        return None
    pairs = list(pairwise(beats))
    if any(_place(newer) != (*_place(older)[:2], older.counter + 1) for newer, older in pairs):
        return None
    return max(newer.tick_ms - older.tick_ms for newer, older in pairs)


def _place(beat: Any) -> tuple[int, int, int]:
    return beat.epoch, beat.boot, beat.counter


def _by_name(counters: dict[int, int]) -> dict[str, Any]:
    named: dict[str, Any] = {
        COUNTERS[key] if key < len(COUNTERS) else str(key): value for key, value in counters.items()
    }
    return {**named, "levels": _levels(named.get("levels", 0))}


def _levels(packed: int) -> dict[str, str]:
    return {name: LEVELS[min(packed >> 2 * at & _MASK, len(LEVELS) - 1)] for at, name in enumerate(RESOURCES)}


def left_words(health: dict[str, Any] | None) -> dict[str, str]:
    """Return resource -> its level in words, "not measured" for a battery without a gauge and a link without an allowance; {} where nobody knows."""
    if health is None:
        return {}
    unknown = {"battery": "battery" not in health, "link": "allowance" not in health}
    return {
        name: NOT_MEASURED if level == LEVELS[0] and unknown.get(name) else level
        for name, level in health["levels"].items()
    }


def levels_short(counters: dict[int, int]) -> dict[str, str]:
    """Return resource -> level, in words, of what a heartbeat's counters say that there is too little of."""
    levels = _levels(counters.get(COUNTERS.index("levels"), 0))
    return {name: level for name, level in levels.items() if level != LEVELS[0]}


def short_of(health: dict[str, Any] | None) -> str:
    """Return in words what a device has too little of, "" for nothing or where nobody knows."""
    levels = {} if health is None else health["levels"]
    return ", ".join(f"{name} is {level}" for name, level in levels.items() if level != LEVELS[0])
