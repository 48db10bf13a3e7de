"""What the office ever receipted, it holds, or a tombstone of the device covers it: whatever happened before and after."""


from protocol.segment import parse_segment


def check(world):
    held = {}
    rows = world.office.store.connection.execute("SELECT device, lane, epoch, number FROM segments")
    for device, lane, epoch, number in rows:
        held.setdefault((device, lane, epoch), set()).add(number)
    for place, number in world.watch.receipts.items():
        missing = set(range(number + 1)) - held.get(place, set()) - covered(world, place)
        if missing:
            yield f"receipted and not held of {place[0].hex()[:4]} {place[1:]}: {sorted(missing)[:5]}"


def covered(world, place):
    """Return the numbers of a lane and epoch that tombstones which the office verified cover."""

    found = set()
    rows = world.office.store.connection.execute(
        "SELECT raw FROM segments WHERE device = ? AND lane = ? AND epoch = ? AND class = 0", place
    )
    for (raw,) in rows:
        tombstone = parse_segment(raw).tombstone
        if tombstone is not None:
            found |= set(range(tombstone.first, tombstone.last + 1))
    return found
