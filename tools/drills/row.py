"""One drill's outcome: a row of build/drills.json and of the table for people."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Sign:
    """What was noticed of something done, and by what.

    heartbeats: how many heartbeats of that device had reached the office in between; None where it was not counted.
    """

    what: str
    by: str
    heartbeats: int | None = None


@dataclass
class Row:
    """One drill. Every number in it was counted in this run.

    done: what was done, by name. signs: what was detected. lost, doubled: events; forged: segments that are held and should not be.
    figures: what was measured, never judged. faults: sentences, each with the name of the check first, as "check: what is wrong".
    """

    name: str
    about: str
    seed: int
    size: str
    done: dict[str, Any] = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    forged: int = 0
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    command: str = ""

    def require(self, holds: bool, check: str, otherwise: str) -> None:
        """Add a fault under a check's name unless it holds."""
        if not holds:
            self.faults.append(f"{check}: {otherwise}")

    def failed(self, check: str) -> list[str]:
        """Return the faults of one check."""
        return [fault for fault in self.faults if fault.startswith(f"{check}: ")]

    @property
    def is_good(self) -> bool:
        """Say whether every check held."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"good": self.is_good}


def from_json(document: dict[str, Any]) -> Row:
    """Return the row that as_json wrote."""
    items = {key: value for key, value in document.items() if key != "good"}
    return Row(**items | {"signs": [Sign(**sign) for sign in items["signs"]]})
