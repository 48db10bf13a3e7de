"""The auditor finds nothing: seals, chains, tombstones, gaps, heads, receipts, tallies and rows of the whole database agree.

A flash that was put back uses orders again: that is what its fork looks like, and the auditor says so. Where receipts that would have
told it went with an older copy of the office's database it goes on in its epoch, and its tombstones are about one of its two lives.
"""

from office_ingest.overview import open_read_only
from office_ingest.prove.verify import verify_database

_OF_A_FORK = ("events", "forks", "heads", "findings")
_OF_ANOTHER_LIFE = "this tombstone names another digest"


def check(world):
    connection = open_read_only(world.office.disk.folder / "office.db")
    try:
        world.report = verify_database(connection, world.office.keystore)
    finally:
        connection.close()
    for finding in world.report.findings:
        is_of_another_life = world.backup.gone and finding.what.startswith(_OF_ANOTHER_LIFE)
        is_of_a_fork = finding.table in _OF_A_FORK or is_of_another_life
        if not (is_of_a_fork and any(one.hex() in finding.where for one in world.restored)):
            yield finding.text()
