"""What a device said of itself last: the counters of its newest kept heartbeat that carries any. Read only.

A heartbeat may carry none, because telemetry has a share of the link and no more; then those of an earlier one hold. Counters that
this office does not know are kept under their number.

Source: SPEC.md section 5.1.
"""

import sqlite3
from typing import Any

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


def heartbeat_apart_ms(connection: sqlite3.Connection, device: bytes) -> int | None:
    """Return how far apart a device says that its heartbeats are, None if it says nothing of it, or its disk changed what is kept."""
    try:
        health = health_of(connection, device)
    except ProtocolError:
        return None
    return None if health is None else health.get("heartbeat_ms")


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
