"""A look of the steward at what is left, in the heap that the board is given."""

import board_main

from hil_tests.workloads.agent_here import Steps, boot, sample_once
from hil_tests.workloads.clock import instructions

SAMPLES = 8


def measure():
    """Return instructions by name. The heap is looked at from the second look on."""
    items = board_main.read_settings()
    clock = Steps(items["sample_ms"] // items["clock_scale"])
    agent, _flash = boot(items, clock, lambda name: None)
    for _ in range(SAMPLES):
        sample_once(agent, clock)
    steward = agent._steward
    return {"look": instructions(steward._look, clock.ticks_ms())}
