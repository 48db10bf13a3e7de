"""Every event that the office holds, opened with its keystore; kept for the checks of one world."""

import functools

from office_ingest.receive.body import open_events
from protocol.segment import parse_segment


def events(world):
    """Return [(device, lane, epoch, boot, event)] by device, lane, epoch and number."""
    if not hasattr(world, "opened"):
        world.opened = list(_open_all(world))
    return world.opened


def _open_all(world):
    rows = world.office.store.connection.execute(
        "SELECT raw FROM segments ORDER BY device, lane, epoch, number"
    )
    # Nothing is erased while a world is checked.
    view_key = functools.cache(world.office.keystore.view_key)
    for (raw,) in rows.fetchall():
        segment = parse_segment(raw)
        header = segment.header
        if segment.tombstone is not None:
            continue
        boot, opened = open_events(segment, view_key(header.device, header.view_class, header.period))
        for event in opened:
            yield header.device, header.lane, header.epoch, boot, event
