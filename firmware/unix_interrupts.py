"""Ctrl-C of a device's process as something to read, where who starts it holds the signal back: tools/interrupts.py.

MicroPython's unix port raises KeyboardInterrupt in the middle of whatever it does. Out of a garbage collection nothing comes back: the
heap stays locked, half of it marked, and the process can neither seal what is open nor say why it ends. Held back, an interrupt waits until
the loop asks for it.
"""

import asyncio

# struct signalfd_siginfo of Linux: a shorter read is refused.
_RECORD_BYTES = 128


class Interrupts:
    """number: of the file, as tools/interrupts.py has opened it."""

    def __init__(self, number: int):
        self._stream = asyncio.StreamReader(open(number, "rb"))

    async def next(self) -> None:
        """Return when somebody has interrupted, once for each that was seen."""
        await self._stream.read(_RECORD_BYTES)


def interrupts_of(words: list):
    """Return the Interrupts that the words behind the settings name, None where they name none: KeyboardInterrupt is raised as ever."""
    return Interrupts(int(words[0])) if words else None
