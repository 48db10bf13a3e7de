"""What a device gives up when it runs short is what the table says, counted, and said before it happens; what is critical never is, and
with enough of everything all levels are gone.

Asked of the last boot of each device, which ended in order: of one that was cut off, what was open went with the power.
"""

from agent.resources import BATTERY, ENOUGH, HEAP, LINK
from protocol.event import BOOT, LEVEL, THINNING
from protocol.keys import CLEAR, CRITICAL, LANES
from tests.sim.checks.lost import missing_of
from tests.sim.checks.opened import events

_NO_ROOM, _BUDGET = 0, 1
# A flash may be as full as a ring is; a simulated one is never given more.
_GIVEN_BACK = (HEAP, BATTERY, LINK)


def check(world):
    for (device, lane, _, _), event in _told(world):
        if lane == CRITICAL and event[3][2] == _BUDGET:
            yield f"{device.hex()[:4]} gave up {event[3][1]} critical events for a level"
    for device, held in _last_boots(world).items():
        found = list(_stuck(held))
        if not _has_holes(world, device):
            found += _given_up(held)
        for text in found:
            yield f"{device.hex()[:4]}: {text}"


def _told(world):
    """Yield ((device, lane told of, epoch, boot), event) of each thinning event."""
    for device, _, epoch, boot, event in events(world):
        if event[2] == THINNING:
            yield (device, event[3][0], epoch, boot), event


def _last_boots(world):
    """Return device -> events of its last boot by order, of each that ended in order and whose flash was never put back."""
    ended = {one.identity.device: one for one in world.devices if one.last_state is not None}
    found = {}
    for device, _, epoch, boot, event in events(world):
        one = ended.get(device)
        if one is None or device in world.restored or epoch != one.last_epoch:
            continue
        last = found.setdefault(device, (boot, []))
        if boot > last[0]:
            last = found[device] = (boot, [])
        if boot == last[0]:
            last[1].append(event)
    return {device: sorted(held) for device, (_, held) in found.items()}


def _has_holes(world, device):
    """Say whether a tombstone or a gap explains what is missing of its epoch."""
    epoch = next(one.last_epoch for one in world.devices if one.identity.device == device)
    sql = (
        "SELECT lane, max(number), sum(class = ?) FROM segments WHERE device = ? AND epoch = ? GROUP BY lane"
    )
    rows = world.office.store.connection.execute(sql, (CLEAR, device, epoch)).fetchall()
    whole = len(rows) == len(LANES) and all(
        not tombstones and not missing_of(world, (device, lane, epoch), last + 1)
        for lane, last, tombstones in rows
    )
    return not whole


def _given_up(held):
    """Yield what is missing of a boot and not explained. Every event and every sample passed over has an order of its own."""
    if BOOT not in [event[2] for event in held]:
        yield "nothing is held of how its last boot began"
    keep, before = 1, held[0][0]
    # Of what is missing, and of what is counted: all, and without a level, as where a full ring had no room.
    given_up = counted = unlevelled = roomless = 0
    for order, _, kind, fields in held:
        missing = max(0, order - before - 1)
        given_up += missing
        unlevelled += missing if keep == 1 else 0
        before = order
        if kind == LEVEL:
            keep = fields[4]
        elif kind == THINNING:
            counted += fields[1]
            roomless += fields[1] if fields[2] == _NO_ROOM else 0
    if unlevelled > roomless:
        yield f"{unlevelled} events are missing where no level says why, {roomless} of them had no room"
    if given_up > counted:
        yield f"{given_up} events are missing, {counted} are counted"


def _stuck(held):
    levels = {fields[0]: fields[1] for _, _, kind, fields in held if kind == LEVEL}
    stuck = [resource for resource in _GIVEN_BACK if levels.get(resource, ENOUGH) != ENOUGH]
    if stuck:
        yield f"levels of resources {stuck} stayed after hours of enough"
