"""A device answers each command once, and only what was given to it."""

from collections import Counter

from protocol.event import COMMAND
from tests.sim.checks.opened import events


def check(world):
    said = [
        (device, event[3][0], event[3][1], event[3][2])
        for device, _, _, _, event in events(world)
        if event[2] == COMMAND
    ]
    for (device, number), times in Counter((one[0], one[1]) for one in said).items():
        if times > 1 and device not in world.restored:
            yield f"{device.hex()[:4]} answered command {number} {times} times"
    for device, number, demand, _ in said:
        if list(demand) not in world.office.issued.get((device, number), ()):
            yield f"{device.hex()[:4]} answered command {number}, {demand}, which nobody gave"
