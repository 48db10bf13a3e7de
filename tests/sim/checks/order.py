"""Events of a lane stand in the order in which they were recorded: orders rise, and so do ticks within a boot.

In an epoch of a flash that was put back two lives may stand side by side: the office found a fork or a clone.
"""

from tests.sim.checks.opened import events


def check(world):
    before = {}
    for device, lane, epoch, boot, event in events(world):
        if device in world.restored:
            continue
        place = (device, lane, epoch)
        order, ticks = event[0], (boot, event[1])
        last = before.get(place)
        if last is not None and order <= last[0]:
            yield f"{device.hex()[:4]} lane {lane} epoch {epoch}: order {order} after {last[0]}"
        if last is not None and ticks < last[1]:
            yield f"{device.hex()[:4]} lane {lane} epoch {epoch}: (boot, tick) {ticks} after {last[1]}"
        before[place] = (order, ticks)
