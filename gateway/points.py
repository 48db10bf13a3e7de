"""Named kill points: the process ends at once where a test asks for it, as if it had been killed exactly there.

The environment variable OUTSTATION_POINT="NAME:count" arms one point; it fires when it is reached for the count-th time.
"""

import os

from protocol.diagnostic import Diagnostic, DiagnosticError

VARIABLE = "OUTSTATION_POINT"
EXIT_CODE = 71
POINTS = (
    "before_commit",
    "after_commit",
    "before_custody",
    "after_custody",
    "before_forward",
    "after_forward",
    "before_release",
    "after_release",
)
# Reached only where a release goes down.
DOWN_POINTS = ("before_release_stored", "after_release_stored")
_ALL = frozenset((*POINTS, *DOWN_POINTS))


class KillPoint:
    """Called with a point's name wherever the process may be killed on purpose; does nothing unless armed."""

    def __init__(self, name: str | None = None, count: int = 0):
        self._name = name
        self._left = count

    def __call__(self, name: str) -> None:
        assert name in _ALL, name
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            # No cleanup of any kind: that is what a kill leaves behind.
            os._exit(EXIT_CODE)


def read_kill_point(text: str | None) -> KillPoint:
    """Return the point that the environment arms. Raises DiagnosticError for a name or count that does not exist."""
    if not text:
        return KillPoint()
    name, _, count = text.partition(":")
    if name not in _ALL or not count.isdigit() or not int(count[:9]) >= 1 or len(count) > 9:
        raise DiagnosticError(
            Diagnostic(
                "usage-wrong",
                f"{VARIABLE} is {text!r}, which arms no point of the gateway",
                fix=f"write NAME:count, count from 1, NAME one of {', '.join((*POINTS, *DOWN_POINTS))}",
            )
        )
    return KillPoint(name, int(count))
