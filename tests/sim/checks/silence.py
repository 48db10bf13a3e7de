"""Silence is found: after each look of the office every device that was not heard for its limit has an open finding, and no other."""

from agent.steward import SPACING
from tests.sim.office import GRACE_S


def now(world):
    """Give what breaks it at this moment."""
    office, pace = world.office, world.pace
    if office.disk.fault is not None:
        return
    open_ = office.store.devices_with_open_finding("silence")
    for device in world.devices:
        # A device that was not heard since the start counts from the first check of that start.
        heard = office.heard_s.get(device.identity.device)
        quiet_s = world.time.now - (office.started_s if heard is None else heard)
        is_said = device.identity.device in open_
        if quiet_s > _limit_s(world, device) and not is_said:
            yield f"{device.name} is quiet for {quiet_s:.0f} s and nobody says so"
        if quiet_s < pace.check_s / 2 and is_said and heard:
            yield f"{device.name} was heard {quiet_s:.0f} s ago and is said to be silent"


def _limit_s(world, device):
    pace = world.pace
    # A device may be quiet where it said so, and where an office that was put back still believes that it did.
    may_be_quiet = device.supplies.may_be_quiet() or world.backup.may_mislead(device.identity.device)
    apart_s = 2 * (SPACING - 1) * pace.heartbeat_s if may_be_quiet else 0
    return 2 * pace.heartbeat_s + GRACE_S + pace.check_s + apart_s + 2
