"""Finds devices that run short of heap, flash, battery or link, by what their heartbeats say, and ends the finding when they have enough again.

One finding for each resource and level, so that low that becomes scarce is another one, and how often each came is counted.
A heartbeat without health says nothing new.

Source: SPEC.md sections 4.6 and 5.1; docs/operating/degradation.md.
"""

from office_ingest.health import levels_short
from office_ingest.storage.interface import Store

DEGRADED = "degraded"
_TEXT = "the device says so, and gives up work until there is enough again"


def judge_levels(store: Store, device: bytes, health: dict[int, int], now_ms: int) -> None:
    """Open and clear the findings of one device. health: of a verified heartbeat, newer than all before it."""
    if not health:
        return
    short = {f"{resource} {level}" for resource, level in levels_short(health).items()}
    known = set(store.open_places(device, DEGRADED))
    for place in sorted(known - short):
        store.clear_finding(device, DEGRADED, place, now_ms)
    for place in sorted(short - known):
        store.add_finding(device, DEGRADED, place, _TEXT, now_ms)
