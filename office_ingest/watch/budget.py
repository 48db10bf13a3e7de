"""Finds devices whose links move more in a day than they say that they may, and those that will at this pace; ends by itself.

The day is UTC's. What a device is allowed it says itself, in the health of its heartbeats; what it moved its gateways count.

Source: SPEC.md sections 5.1 (counter 20) and 7 (Usage); docs/operating/degradation.md.
"""

from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.usage import Spent, UsageStore
from protocol.usage import DAY_MS

BUDGET = "budget"
OVER = "over today"
WILL_BE_OVER = "over by the day's end"
# Counter of a heartbeat's health.
DAY_BYTES = 20
# A pace is none before two hours of the day, nor where less than a quarter of the allowance is used.
PACE_FROM_MS = 2 * 3_600_000
_QUARTER = 4


def judge(spent: Spent, passed_ms: int) -> str | None:
    """Return what is to be found of a device, OVER or WILL_BE_OVER, or None. passed_ms: of the day."""
    if spent.moved_bytes > spent.day_bytes:
        return OVER
    is_a_pace = passed_ms >= PACE_FROM_MS and spent.moved_bytes * _QUARTER >= spent.day_bytes
    if is_a_pace and spent.moved_bytes * DAY_MS > spent.day_bytes * passed_ms:
        return WILL_BE_OVER
    return None


def record_budgets(store: SqliteStore, now_ms: int) -> None:
    """Open the findings that are due now, and end all others of this kind. Raises StoreUnavailable: the next call does it."""
    day, passed_ms = divmod(now_ms, DAY_MS)
    spent = {one.device: one for one in UsageStore(store).spent(day)}
    due = {(device, place) for device, one in spent.items() if (place := judge(one, passed_ms)) is not None}
    known = {
        (device, place)
        for device in store.devices_with_open_finding(BUDGET)
        for place in store.open_places(device, BUDGET)
    }
    if due == known:
        return
    with store.transaction():
        for device, place in sorted(known - due):
            store.clear_finding(device, BUDGET, place, now_ms)
        for device, place in sorted(due - known):
            one = spent[device]
            text = f"{one.moved_bytes:,} bytes moved of the {one.day_bytes:,} that its link may move a day"
            store.add_finding(device, BUDGET, place, text, now_ms)


def keep_budget(store: SqliteStore, device: bytes, health: dict[int, int], now_ms: int) -> None:
    """Keep what a device says of its allowance, within a transaction. health: of a verified heartbeat; an empty one says nothing."""
    if health:
        UsageStore(store).put_budget(device, max(0, health.get(DAY_BYTES, 0)), now_ms)
