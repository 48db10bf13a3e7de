"""Whether what can wait has to: a backlog of routine segments, releases and their parts, on a link that is dear outside its window.

Two say so. The gateway, in each answer: for how many seconds, over the link of that answer; it knows the link and the time. And the
device's own settings, for a link that the gateway cannot tell from a cheap one: a window of each day. Before it knows what time it is,
that window is shut; the time comes with heartbeats, which always go.

A person's command opens it until a time. Where flash runs low it yields for what would be given up otherwise. What is critical, and
all that is no backlog, never waits for it.

Source: SPEC.md section 6 (Bulk).
"""

from protocol._const import const

# So many routine segments that wait are no backlog: what was recorded lately goes at once.
RECENT_MAX = const(4)
# No gateway can make it wait for longer at a time.
_WAIT_S_MAX = const(86400)


class Bulk:
    """clock: of the agent. window: two minutes of a day, UTC, or None. yields: set where flash runs low. open_until_s: of a command."""

    def __init__(self, clock, window=None):
        self._clock = clock
        self._window = window
        # As the newest answer said, real milliseconds.
        self._until_ms = 0
        self.open_until_s = 0
        self.yields = False

    def told(self, seconds) -> None:
        """Take what an answer says: for how long what can wait has to, None: not at all."""
        self._until_ms = 0 if seconds is None else self._clock.real_ms() + 1000 * min(seconds, _WAIT_S_MAX)

    def holds_releases(self) -> bool:
        """Say whether no release is to be asked for now."""
        wall = self._clock.wall()
        if wall is not None and wall[0] // 1000 < self.open_until_s:
            return False
        if self._clock.real_ms() < self._until_ms:
            return True
        return self._window is not None and (wall is None or self._is_shut(wall[0]))

    def _is_shut(self, wall_ms: int) -> bool:
        from protocol.window import wait_s

        return wait_s(self._window, wall_ms) > 0

    def holds_routine(self, waiting: int) -> bool:
        """Say whether routine segments have to wait now, so many of which are not in custody."""
        return waiting > RECENT_MAX and self.holds_older()

    def holds_older(self) -> bool:
        """Say whether routine segments of earlier epochs have to wait now: all of them are a backlog."""
        return not self.yields and self.holds_releases()
