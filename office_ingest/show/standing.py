"""How every device stands to one release, kept while somebody looks at it: with 10,000 devices each second brings a thousand heartbeats.

Who is meant is worked out again only when devices or their traits changed; of the adoption events only those written since the last
look are read; the sentence that says why is made for the devices of one page.
"""

from typing import Any, NamedTuple

from office_ingest.govern.rollout import Progress, Rollouts, brings_agent, is_meant, progress_of, rules_digest
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.show.snapshot import Row, Snapshot
from office_ingest.storage.downward import Adoption, Downward, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, REFUSED, ROLLED_BACK

_KEPT_MAX = 4

Parts = tuple[list[Row], list[Row], list[Row]]


class Page(NamedTuple):
    """meant, running, failed: how many of all; rows: of one page, who needs attention first; at, pages: which page of how many."""

    meant: int
    running: int
    failed: int
    rows: list[tuple[Progress, bool]]
    at: int
    pages: int


class Standing:
    """One release. look() before page()."""

    def __init__(self, held: Shelved):
        self._held = held
        self._rules = rules_digest(held.manifest)
        self._brings_agent = brings_agent(held.manifest)
        self._cast = -1
        self._meant: dict[bytes, Traits] = {}
        self._steps: dict[bytes, Adoption] = {}
        self._read_to = 0
        self._parts: tuple[Snapshot, Parts] | None = None

    def look(self, store: SqliteStore, snapshot: Snapshot) -> None:
        """Read what was written since the last look."""
        if self._cast != snapshot.cast:
            self._cast, self._parts = snapshot.cast, None
            traits = Downward(store).all_traits()
            self._meant = {device: of for device, of in traits if is_meant(self._held.manifest, device, of)}
        # The newest row is read again each time, as the fleet's reader does and for its reason.
        for rowid, device, step in Downward(store).adoptions_since(self._held.number, self._read_to):
            self._read_to = max(self._read_to, rowid)
            before = self._steps.get(device)
            if before is None or (before.epoch, before.event_order) <= (step.epoch, step.event_order):
                self._steps[device] = step
                self._parts = self._parts if before == step else None

    def page(self, store: SqliteStore, snapshot: Snapshot, at: int, rows_max: int) -> Page:
        """Return counts over all devices that are meant, and page number at of them. Only sealed heartbeats count as running."""
        failed, coming, running = self._parted(snapshot)
        rows = failed + coming + running
        pages = max(1, -(-len(rows) // rows_max))
        at = min(at, pages)
        rollouts = Rollouts(store)
        shown = [self._progress(rollouts, row) for row in rows[(at - 1) * rows_max : at * rows_max]]
        return Page(len(rows), len(running), len(failed), shown, at, pages)

    def _parted(self, snapshot: Snapshot) -> Parts:
        """Return the rows of those that are meant: failed, neither, running. One pass and no sort: there are 10,000."""
        if self._parts is not None and self._parts[0] is snapshot:
            return self._parts[1]
        parts: Parts = ([], [], [])
        for row in snapshot.rows:
            if row.device in self._meant:
                parts[2 if self._runs(row) else 0 if self._failed(row) else 1].append(row)
        self._parts = snapshot, parts
        return parts

    def _runs(self, row: Row) -> bool:
        step = self._steps.get(row.device)
        is_kept = not self._brings_agent or (step is not None and step.step == CONFIRMED)
        return row.digest is not None and row.digest == self._rules and is_kept

    def _failed(self, row: Row) -> bool:
        step = self._steps.get(row.device)
        return step is not None and step.step in (REFUSED, ROLLED_BACK) and not self._runs(row)

    def _progress(self, rollouts: Rollouts, row: Row) -> tuple[Progress, bool]:
        device: tuple[Any, ...] = (row.device, row.name, row.site)
        report = (row.version, row.digest, row.heard_ms)
        step = self._steps.get(row.device)
        return progress_of(rollouts, self._held, device, self._meant[row.device], report, step), self._failed(
            row
        )


class Standings:
    """Keeps the releases that were looked at last."""

    def __init__(self) -> None:
        self._kept: dict[int, Standing] = {}

    def look(self, store: SqliteStore, snapshot: Snapshot, number: int) -> tuple[Shelved, Standing] | None:
        """Return a release as the shelf has it and how devices stand to it now; None if there is no such release."""
        held = Shelf(store).get(number)
        if held is None:
            return None
        standing = self._kept.pop(number, None) or Standing(held)
        self._kept[number] = standing
        while len(self._kept) > _KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        standing.look(store, snapshot)
        return held, standing
