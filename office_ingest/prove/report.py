"""What an auditor's walk found, for people and for machines."""

from typing import Any, NamedTuple

from protocol.keys import LANE_NAMES

# More of one kind says nothing new; the count goes on.
LINES_SHOWN_MAX = 200


class Finding(NamedTuple):
    """One thing that does not agree. table: where; where: which row, in words; what: one sentence."""

    table: str
    where: str
    what: str

    def text(self) -> str:
        """Return the finding as one line."""
        return f"{self.table}: {self.where}: {self.what}" if self.where else f"{self.table}: {self.what}"


class Report:
    """Findings in the order in which they were met, and counts of what was checked."""

    def __init__(self, *, has_keys: bool):
        self.has_keys = has_keys
        self.findings: list[Finding] = []
        self.counts: dict[str, Any] = {}

    def find(self, table: str, where: str, what: str) -> None:
        """Record a finding."""
        self.findings.append(Finding(table, where, what))

    def count(self, name: str, more: int = 1) -> None:
        """Count something that was checked."""
        self.counts[name] = self.counts.get(name, 0) + more

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object, schema outstation.verify."""
        return {
            "keys": self.has_keys,
            "clean": not self.findings,
            "counts": self.counts,
            "findings": [finding._asdict() for finding in self.findings],
        }

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""
        shown = [finding.text() for finding in self.findings[:LINES_SHOWN_MAX]]
        hidden = len(self.findings) - len(shown)
        shown += [f"... and {hidden} more; --json shows all"] if hidden else []
        shown += [f"{name.replace('_', ' '):28} {_shown(value):>9}" for name, value in self.counts.items()]
        level = (
            "with keys: seals, bodies and decisions too"
            if self.has_keys
            else "without keys: chains, digests, receipts"
        )
        said = "nothing disagrees" if not self.findings else f"{len(self.findings)} findings"
        return [*shown, f"{level}; {said}"]


def _shown(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else str(value)


def place_text(device: bytes, lane: int, epoch: int, number: int | str) -> str:
    """Return the place of a segment in words; as it stands if a column is damaged."""
    name = LANE_NAMES[lane] if lane in (0, 1) else f"lane {lane}"
    return f"device {bytes(device).hex()} {name} epoch {epoch} number {number}"
