"""Holds Ctrl-C back for a process that is to read it as a file: firmware/unix_interrupts.py says why."""

import ctypes
import os
import signal

# More than any system's sigset_t.
_SET_BYTES = 256


def hold_interrupts() -> int | None:
    """Hold SIGINT back, in this process and what it becomes by exec, and return the file from which it is read, 128 bytes each.

    None where the system has no signalfd, as on macOS: nothing has changed then.
    """
    system = ctypes.CDLL(None, use_errno=True)
    if not hasattr(system, "signalfd"):
        return None
    wanted = ctypes.create_string_buffer(_SET_BYTES)
    system.sigemptyset(wanted)
    system.sigaddset(wanted, signal.SIGINT)
    # Held back first: one that comes in between is read, not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    number = int(system.signalfd(-1, wanted, 0))
    if number < 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return None
    os.set_inheritable(number, True)
    return number
