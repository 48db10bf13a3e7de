"""Which devices the fleet's page shows and in what order: worked out once a snapshot for all who ask the same."""

from collections.abc import Callable
from typing import NamedTuple

from office_ingest.show.snapshot import STATES, Row, Snapshot

_KEPT_MAX = 16


def _by_state(rows: list[Row]) -> list[Row]:
    # As a sort by gravity, in one pass: it is what every first view asks for.
    parts: dict[str, list[Row]] = {state: [] for state in STATES}
    for row in rows:
        parts[row.state].append(row)
    return [row for part in parts.values() for row in part]


def _by(key: Callable[[Row], int]) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: sorted(rows, key=key)


# Rows come by site and name, and equal ones stay so: each says only what goes before that.
SORTS: dict[str, Callable[[list[Row]], list[Row]]] = {
    "name": list,
    "heard": _by(lambda row: -(row.heard_ms or 0)),
    "events": _by(lambda row: -row.events),
    "decisions": _by(lambda row: -row.decisions),
    "state": _by_state,
    "version": _by(lambda row: -1 if row.version is None else row.version),
}


class Asked(NamedTuple):
    """What a viewer asked for; sort: a key of SORTS."""

    q: str
    state: str
    site: str
    sort: str


class Orders:
    """Keeps what was asked of the newest snapshot."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._kept: dict[Asked, list[Row]] = {}

    def look(self, snapshot: Snapshot, asked: Asked) -> list[Row]:
        """Return the rows that were asked for, in the order that was asked for; the list is not to be changed."""
        if self._snapshot is not snapshot:
            self._snapshot, self._kept = snapshot, {}
        if asked not in self._kept:
            if len(self._kept) >= _KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[asked] = SORTS[asked.sort](_found(snapshot.rows, asked))
        return self._kept[asked]


def _found(rows: list[Row], asked: Asked) -> list[Row]:
    wanted = asked.q.lower()
    found = rows
    if asked.state:
        found = [row for row in found if row.state == asked.state]
    if asked.site:
        found = [row for row in found if row.site == asked.site]
    if wanted:
        found = [row for row in found if wanted in row.name.lower() or row.device.hex().startswith(wanted)]
    return found
