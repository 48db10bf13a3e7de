"""Named kill points: the process ends at once where a test asks for it, as if it had been killed exactly there.

The environment variable OUTSTATION_POINT="NAME:count" arms one point; it fires when it is reached for the count-th time.
The name is shared with the gateway, so a point of another process is passed over.
"""

import os
from collections.abc import Callable

VARIABLE = "OUTSTATION_POINT"
EXIT_CODE = 71
POINTS = ("before_verify", "before_commit", "after_commit", "before_receipt", "after_receipt")

Reach = Callable[[str], None]


def pass_by(_name: str) -> None:
    """Reach a point that nobody armed."""


def armed(text: str | None) -> Reach:
    """Return what to call with a point's name wherever it is reached. text: the variable's value."""
    name, _, count = (text or "").partition(":")
    if name not in POINTS or not count.isdigit():
        return pass_by
    left = int(count)

    def reach(reached: str) -> None:
        nonlocal left
        if reached == name:
            left -= 1
            if left == 0:
                # No cleanup of any kind: that is what a kill leaves behind.
                os._exit(EXIT_CODE)

    return reach
