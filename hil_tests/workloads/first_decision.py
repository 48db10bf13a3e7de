"""Boot to first decision: from the image's digest over the choice of an agent, imports and an empty journal to the first act."""

import board_main

from hil_tests.workloads.clock import cost, priced


class Decided(Exception):
    """The first decision is sealed and about to be carried out."""


def point(name):
    """End with the first act."""
    if name == "before_actuate":
        raise Decided


def first_decision(items, samples):
    """Boot, and take samples until one is decided upon."""
    from hil_tests.workloads.agent_here import Steps, boot, sample_once

    clock = Steps(items["sample_ms"] // items["clock_scale"])
    agent, _flash = boot(items, clock, point)
    try:
        while True:
            sample_once(agent, clock)
    except Decided:
        samples.append(clock.steps)


def measure():
    """Return instructions and bytes of heap by name."""
    items = board_main.read_settings()
    samples = []
    found = priced("boot_to_first_decision", cost(first_decision, items, samples))
    found["samples_to_first_decision"] = samples[0]
    return found
