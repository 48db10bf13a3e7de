"""Finds devices whose routine segments come in another view class than they said that they had taken; ends by itself.

A device that runs an agent which does not know the setting seals as it was provisioned: what was to be for the office alone could so be
read at a gateway again. The device's own answer says when it took the class, and in which period: from the next one on it counts.

Source: SPEC.md sections 5.4 and 10 (Periods); docs/decisions/0057-changing-a-view-class.md.
"""

import json

from office_ingest.storage.sqlite import SqliteStore
from protocol.command import DONE, ROUTINE_CLASS, SET_SETTING
from protocol.keys import CLASS_NAMES, CLEAR, OFFICE, ROUTINE, SITE

VIEW_CLASS = "view_class"
_TAKEN = {json.dumps([SET_SETTING, ROUTINE_CLASS, view_class]): view_class for view_class in (SITE, OFFICE)}


def classes_taken(store: SqliteStore) -> dict[bytes, tuple[int, int]]:
    """Return device -> (class that it said last that it took, when its answer came), of all that ever took one."""
    rows = store.connection.execute(
        "SELECT device, body, answered_ms, max(number) FROM commands WHERE verdict = ? AND body IN (?, ?)"
        " GROUP BY device",
        (DONE, *_TAKEN),
    )
    return {device: (_TAKEN[body], answered_ms) for device, body, answered_ms, _ in rows}


def record_view_classes(store: SqliteStore, now_ms: int) -> None:
    """Open the findings that are due now, and end all others of this kind. Raises StoreUnavailable: the next call does it."""
    due = {}
    for device, (wanted, answered_ms) in classes_taken(store).items():
        found = _newest(store, device)
        if found is not None and found[0] != wanted and found[1] > _period_at(store, device, answered_ms):
            due[device] = (CLASS_NAMES[found[0]], CLASS_NAMES[wanted])
    known = set(store.devices_with_open_finding(VIEW_CLASS))
    if known == set(due):
        return
    with store.transaction():
        for device in sorted(known - set(due)):
            store.clear_finding(device, VIEW_CLASS, "", now_ms)
        for device in sorted(set(due) - known):
            came, taken = due[device]
            text = f"its routine events come in class {came}, and it had taken class {taken}"
            store.add_finding(device, VIEW_CLASS, "", text, now_ms)


def _newest(store: SqliteStore, device: bytes) -> tuple[int, int] | None:
    """Return (class, period) of a device's newest routine segment with a body."""
    row = store.connection.execute(
        "SELECT class, period FROM segments WHERE device = ? AND lane = ? AND class <> ?"
        " ORDER BY epoch DESC, number DESC LIMIT 1",
        (device, ROUTINE, CLEAR),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _period_at(store: SqliteStore, device: bytes, at_ms: int) -> int:
    """Return the highest period of which a device had sealed anything that was here by then."""
    sql = "SELECT max(period) FROM segments WHERE device = ? AND received_ms <= ?"
    return int(store.connection.execute(sql, (device, at_ms)).fetchone()[0] or 0)
