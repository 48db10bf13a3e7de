"""No event is in the office twice: no order of a device's epoch appears in two segments, and no segment holds two places."""

from collections import Counter

from tests.sim.checks.opened import events


def check(world):
    counted = Counter((device, epoch, event[0]) for device, _, epoch, _, event in events(world))
    for (device, epoch, order), times in counted.items():
        if times > 1 and device not in world.restored:
            yield f"order {order} of {device.hex()[:4]} epoch {epoch} is there {times} times"
    rows = world.office.store.connection.execute(
        "SELECT digest, count(*) FROM segments GROUP BY digest HAVING count(*) > 1"
    )
    for digest, times in rows:
        yield f"segment {digest.hex()[:8]} holds {times} places"
