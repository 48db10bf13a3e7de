"""Broken variants of how a device's process hears of Ctrl-C. tests/canary/test_interrupts.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

import signal

from tests.planted.register import register
from tools import interrupts

FAULTS, fault = register()


@fault
def raise_in_the_middle(patch):
    """The interrupt is let through, as before: MicroPython raises wherever it is."""
    hold = interrupts.hold_interrupts

    def let_through():
        number = hold()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return number

    patch(interrupts, "hold_interrupts", let_through)


@fault
def forget_to_hand_over(patch):
    """Held back, and nobody is told where to read."""
    hold = interrupts.hold_interrupts

    def keep():
        hold()
        # What takes its place never has a line to read; the test would wait for ever for a process that never ends.
        signal.alarm(5)

    patch(interrupts, "hold_interrupts", keep)
