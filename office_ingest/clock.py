"""The office's clocks, handed to every part: tests and simulations bring their own."""

import time


class SystemClock:
    """Monotonic seconds for deadlines; wall time for people and for time tokens."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an unknown start."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000
