"""From the sample's tick to the actuator's move, many times, while nothing is ever receipted: gateway and office are off."""

import gc
import time

import board_main

from hil_tests.workloads.agent_here import Steps, boot

# As board_device does: what a collection costs is part of what an act waits for.
COLLECT_BYTES = 16384
# The recording makes a rule change its mind every twelve samples or so.
SAMPLES_AN_ACT_MAX = 40


class Relay:
    """Notes how long after the sample's tick it is moved, in ticks of the processor's clock."""

    def __init__(self):
        self.agent = None
        self.started = None
        self.waits = []

    def move(self, action, value):
        """Take a position."""
        if self.started is not None:
            self.waits.append(time.ticks_diff(time.ticks_cpu(), self.started))


def measure(acts):
    """Return what each of so many acts waited for, in instructions, and how many samples and erases that took."""
    gc.threshold(COLLECT_BYTES)
    items = board_main.read_settings()
    clock = Steps(items["sample_ms"] // items["clock_scale"])
    relay = Relay()
    relay.agent, flash = boot(items, clock, lambda name: None, relay.move)
    agent = relay.agent
    while len(relay.waits) < acts and clock.steps < acts * SAMPLES_AN_ACT_MAX:
        clock.steps += 1
        relay.started = time.ticks_cpu()
        agent._take_turn()
        relay.started = None
    return {
        "waits": [wait * 5 // 2 for wait in relay.waits],
        "samples": clock.steps,
        "erases": flash.erases,
        "is_online": agent.is_online(),
    }
