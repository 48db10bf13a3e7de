"""End the process as a power cut would: nothing may reach the flash any more."""

import os
import sys

from protocol._const import const

POWER_CUT = const(70)
KILL_POINT = const(71)


def halt(code: int, flash=None) -> None:
    """End this process with exit code `code`. Never returns. flash: the window that must not change any more.

    CPython ends at once. The unix port of MicroPython has no call that does, so SystemExit unwinds there, and the
    `finally` blocks it meets find a flash that refuses everything.
    """
    if flash is not None:
        flash.is_dead = True
        flash.on_cut = lambda: sys.exit(code)
    if hasattr(os, "_exit"):
        os._exit(code)
    sys.exit(code)
