"""Faults in accepting gaps, planted into the real code. Each name says what a broken office would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from office_ingest.govern import gaps_cli
from office_ingest.receive import acceptance, ingest
from office_ingest.receive.acceptance import Gap
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.lane import Lane
from office_ingest.receive.lanes import Lanes
from office_ingest.storage import accepted, replacement
from office_ingest.storage.replacement import _copy
from office_ingest.storage.sqlite import SqliteStore


def accept_what_is_not_pruned(put):
    """Pass over what the device still has, or a gateway on the way."""

    def of_lane(lane):
        return [
            Gap(*lane.place, row.start, row.stop) for row in sorted(lane.gap_rows()) if row.state == "open"
        ]

    put(acceptance, "_of_lane", of_lane)


def accept_what_was_shown(put):
    """Take what was asked about for what is so now."""
    put(ingest, "acceptable_of", lambda lanes, shown: [shown])


def forget_acceptances_at_restart(put):
    """Keep them, and read them never again."""
    read = SqliteStore.lane
    put(SqliteStore, "lane", lambda self, place: read(self, place)._replace(accepted=[]))


def overlook_another_process(put):
    """Go on with what is in memory, whatever a command accepted."""
    put(Lanes, "refresh", lambda self: None)


def count_accepted_as_held(put):
    """Say that what never came is there."""
    missing = Lane.missing

    def less(self):
        return [pair for pair in missing(self) if pair not in self.accepted.pairs]

    put(Lane, "missing", less)


def refuse_what_was_accepted(put):
    """Turn away a segment that comes all the same."""
    keep = Ingest._keep

    def unless_accepted(self, segment, arrival):
        header = segment.header
        if header.number in self._lanes.lane(header.key()[:3]).accepted:
            return 1
        return keep(self, segment, arrival)

    put(Ingest, "_keep", unless_accepted)


def want_what_was_accepted(put):
    """Ask for ever for what nobody has."""
    rows = Lane.gap_rows
    put(
        Lane,
        "gap_rows",
        lambda self: {row._replace(state="lost" if row.state == "lost" else "open") for row in rows(self)},
    )


def believe_a_changed_acceptance(put):
    """Excuse whatever numbers the row names now."""
    put(accepted, "is_as_written", lambda values, digest: True)


def lose_acceptances_in_a_repair(put):
    """Carry everything over but what a person said."""

    def copy(source, target, table):
        if table != accepted.TABLE:
            _copy(source, target, table)

    put(replacement, "_copy", copy)


def accept_without_asking(put):
    """Take silence for a yes."""
    put(gaps_cli, "_confirmed", lambda store, name, shown: True)


FAULTS = {
    plant.__name__: plant
    for plant in (
        accept_what_is_not_pruned,
        accept_what_was_shown,
        forget_acceptances_at_restart,
        overlook_another_process,
        count_accepted_as_held,
        refuse_what_was_accepted,
        want_what_was_accepted,
        believe_a_changed_acceptance,
        lose_acceptances_in_a_repair,
        accept_without_asking,
    )
}
