"""The auditor finds nothing: seals, chains, tombstones, gaps, heads, receipts, tallies and rows of the whole database agree.

A flash that was put back uses orders again: that is what its fork looks like, and the auditor says so.
"""

from office_ingest.overview import open_read_only
from office_ingest.prove.verify import verify_database

_OF_A_FORK = ("events", "forks", "heads", "findings")


def check(world):
    connection = open_read_only(world.office.disk.folder / "office.db")
    try:
        world.report = verify_database(connection, world.office.keystore)
    finally:
        connection.close()
    for finding in world.report.findings:
        if not (finding.table in _OF_A_FORK and any(one.hex() in finding.where for one in world.restored)):
            yield finding.text()
