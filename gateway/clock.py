"""The gateway's clock, handed to every part: tests and simulations bring their own."""

import asyncio
import time


class SystemClock:
    """Monotonic seconds for deadlines; wall time for people only."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an unknown start."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Return milliseconds since 1970. Never used for a deadline or an order."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Return after so many monotonic seconds."""
        await asyncio.sleep(seconds)
