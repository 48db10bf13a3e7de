"""Feeds the watchdog only while the loop is healthy: while every part of it still comes by.

A hardware watchdog that a timer feeds says only that the timer lives. Here each part checks in by name, with the longest it may
be away; once one stays out, nothing feeds any more, and the board resets. Where there is no hardware watchdog (the unix port),
`starve` is called instead and ends the process with exit code 72. A loop that hangs inside one part is beyond it there, and
needs the hardware.
"""


class Watchdog:
    """feed(): satisfies the hardware, or does nothing. starve(names): called once a part stayed out too long."""

    def __init__(self, feed, starve):
        self._feed = feed
        self._starve = starve
        self._parts = {}

    def expect(self, name: str, away_ms_max: int, now_ms: int) -> None:
        """Expect the part to check in at least every away_ms_max real milliseconds from now on."""
        self._parts[name] = [now_ms, away_ms_max]

    def release(self, name: str) -> None:
        """Stop expecting a part that ended in order."""
        self._parts.pop(name, None)

    def check_in(self, name: str, now_ms: int) -> None:
        """Note that a part is alive."""
        if name in self._parts:
            self._parts[name][0] = now_ms

    def watch(self, now_ms: int) -> bool:
        """Feed if all parts came by in time, else starve; return whether it fed."""
        late = [name for name in self._parts if now_ms - self._parts[name][0] > self._parts[name][1]]
        if late:
            self._starve(late)
            return False
        self._feed()
        return True
