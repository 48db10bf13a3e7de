"""The RP2 as a board: why it was reset, how it resets, how long its watchdog waits.

machine.reset() goes through the watchdog, and MicroPython calls both WDT_RESET. So a reset of our own leaves a mark in a register
that survives it: scratch 0, which neither the boot ROM nor the SDK uses (they take 4..7).

Source: RP2040 datasheet, section 4.7 (watchdog); RP2350 datasheet, section 12.9; MicroPython, ports/rp2/modmachine.c.
"""

import machine
from board_pins import WATCHDOG_SCRATCH_0

from agent.board import POWER, SOFTWARE, WATCHDOG

# The RP2040 cannot wait longer than 8388 ms.
WATCHDOG_MS = 8000
_OURS = 0x5354


def take_cause() -> int:
    """Return why this boot happened, as agent.board names it, and forget the mark."""
    mark = machine.mem32[WATCHDOG_SCRATCH_0]
    machine.mem32[WATCHDOG_SCRATCH_0] = 0
    if machine.reset_cause() != machine.WDT_RESET:
        return POWER
    return SOFTWARE if mark == _OURS else WATCHDOG


def restart() -> None:
    """Begin a new boot."""
    machine.mem32[WATCHDOG_SCRATCH_0] = _OURS
    machine.reset()
