"""A look of the steward at what is left, and a collection, in the heap that the board is given and while the agent lives there."""

import gc

import board_main

from hil_tests.workloads.agent_here import Steps, boot, sample_once
from hil_tests.workloads.clock import cost, priced

SAMPLES = 8


def measure():
    """Return instructions and bytes of heap by name. The heap is looked at from the second look on."""
    items = board_main.read_settings()
    clock = Steps(items["sample_ms"] // items["clock_scale"])
    agent, _flash = boot(items, clock, lambda name: None)
    for _ in range(SAMPLES):
        sample_once(agent, clock)
    steward = agent._steward
    found = priced("look", cost(steward._look, clock.ticks_ms()))
    found.update(priced("collect", cost(gc.collect)))
    return found
