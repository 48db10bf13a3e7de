"""What is missing is known to be missing: below each head that the office heard of it holds a segment, a tombstone, or a gap that it names."""

from tests.sim.checks.lost import missing_of

# Heads below which any number is not held: nearly all have none, and are not asked about one by one.
_NOT_WHOLE = (
    "SELECT device, lane, epoch, number FROM heads AS h WHERE number + 1 <> (SELECT count(DISTINCT s.number) FROM segments AS s "
    "WHERE s.device = h.device AND s.lane = h.lane AND s.epoch = h.epoch AND s.number <= h.number)"
)


def now(world):
    """Give what breaks it at this moment."""
    execute = world.office.store.connection.execute
    for *place, number in execute(_NOT_WHOLE).fetchall():
        rows = execute(
            "SELECT start, stop FROM gaps WHERE device = ? AND lane = ? AND epoch = ? AND state IN ('open', 'accepted')",
            place,
        )
        told = {at for start, stop in rows for at in range(start, stop)}
        missing = missing_of(world, tuple(place), number + 1)
        if not missing <= told:
            yield f"{sorted(missing - told)[:5]} of {place[0].hex()[:4]} {tuple(place[1:])} are missing"
