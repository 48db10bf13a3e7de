"""Ways to move datagrams between device and gateway; they know nothing of events. Each waits for one in the same manner."""

import asyncio

from protocol._const import const

# Between two looks; it grows while nothing comes. Only an exchange under way looks at all.
_LOOK_MS_MIN = const(1)
_LOOK_MS_MAX = const(16)


async def look_again(look, timeout_ms: int):
    """Return what look() gives first that is not None, or None after timeout_ms.

    It looks again and again instead of waiting in the event loop: asyncio.wait_for of MicroPython runs what it waits for
    in a task that swallows every exception when the time is up at that moment, and with it the interrupt that stops a device.
    """
    waited_ms = 0
    look_ms = _LOOK_MS_MIN
    while True:
        found = look()
        if found is not None or waited_ms >= timeout_ms:
            return found
        pause_ms = min(look_ms, timeout_ms - waited_ms)
        await asyncio.sleep(pause_ms / 1000)
        waited_ms += pause_ms
        look_ms = min(2 * look_ms, _LOOK_MS_MAX)
