"""The ESP32 as a board: why it was reset, how it resets, how long its watchdog waits.

Source: MicroPython, ports/esp32/modmachine.c: machine.reset() and a panic are HARD_RESET, an interrupted supply PWRON_RESET.
"""

import machine

from agent.board import POWER, SOFTWARE, UNKNOWN, WATCHDOG

# Longer than any part of the loop takes in one go.
WATCHDOG_MS = 20000


def take_cause() -> int:
    """Return why this boot happened, as agent.board names it."""
    causes = {
        machine.PWRON_RESET: POWER,
        machine.HARD_RESET: SOFTWARE,
        machine.SOFT_RESET: SOFTWARE,
        machine.WDT_RESET: WATCHDOG,
    }
    return causes.get(machine.reset_cause(), UNKNOWN)


def restart() -> None:
    """Begin a new boot."""
    machine.reset()
