"""Instructions as the emulator counts them: time under -icount is nothing else. hil_tests/budgets.py says how long one takes."""

import gc
import time

# One instruction is 16 ns (shift 4), one tick of the board's timer 40.
SHIFT = 4


def instructions(work, *given):
    """Return how many instructions work(*given) takes, those of the timer's interrupts included: 1 in 1,000."""
    gc.collect()
    # To begin right behind an interrupt of the timer, whenever the script came over the console.
    time.sleep_ms(2)
    start = time.ticks_cpu()
    work(*given)
    return time.ticks_diff(time.ticks_cpu(), start) * 5 // 2


def cost(work, *given):
    """Return (instructions, bytes of heap) that work(*given) takes while nothing is collected.

    A collection costs as much as dozens of small operations, and which of them it falls into is chance. What an operation owes
    the collector are its bytes.
    """
    gc.collect()
    before = gc.mem_alloc()
    gc.disable()
    try:
        spent = instructions(work, *given)
    finally:
        gc.enable()
    return spent, gc.mem_alloc() - before


def priced(name, found, laps=1):
    """Return what cost() found as figures of one lap, by name."""
    return {name: found[0] // laps, name + "_bytes": found[1] // laps}
