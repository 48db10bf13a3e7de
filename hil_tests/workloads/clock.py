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
