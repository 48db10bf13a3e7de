"""What the office ever receipted, it holds, or a tombstone of the device covers it: whatever happened before and after; but what
went with an older copy of its database it knows to be missing."""

from protocol.keys import CLEAR
from protocol.segment import parse_segment


def check(world):
    for place, number in world.watch.receipts.items():
        missing = missing_of(world, place, number + 1)
        missing -= world.backup.excuses(place, missing)
        if missing:
            yield f"receipted and not held of {place[0].hex()[:4]} {place[1:]}: {sorted(missing)[:5]}"


def missing_of(world, place, stop):
    """Return the numbers below stop of a (device, lane, epoch) that the office neither holds nor knows a tombstone for."""
    execute = world.office.store.connection.execute
    sql = "SELECT count(DISTINCT number) FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND number < ?"
    if execute(sql, (*place, stop)).fetchone()[0] == stop:
        return set()
    held, covered = set(), set()
    rows = execute(
        "SELECT number, class, raw FROM segments WHERE device = ? AND lane = ? AND epoch = ?", place
    )
    for number, view_class, raw in rows:
        held.add(number)
        tombstone = parse_segment(raw).tombstone if view_class == CLEAR else None
        if tombstone is not None:
            covered |= set(range(tombstone.first, tombstone.last + 1))
    return set(range(stop)) - held - covered
