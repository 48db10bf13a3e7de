"""Faults planted into real processes of a site: `python -m tests.planted.site NAME WORD...` starts one with the fault in.

The product has no switch for them: each is put over its own code here, before that code starts. PROCESS says of each which process
of a site it belongs to. The device's has a program of its own, in device_process/, since it runs on MicroPython.
"""

import asyncio
import sys
import time
from contextlib import contextmanager

# How late what was acknowledged reaches the disk: longer than anything in the story of tests/canary/test_site.py.
LATE_S = 60.0


def acknowledge_before_commit():
    """A gateway gives custody at once, and writes when it finds the time."""
    from gateway.store import STORED, Store

    true_add = Store.add_segment
    tasks = set()

    async def late(call):
        await asyncio.sleep(LATE_S)
        await call()

    async def add_segment(self, segment, **options):
        header = segment.header
        task = asyncio.create_task(late(lambda: true_add(self, segment, **options)))
        tasks.add(task)
        self.lane(header.device, header.lane, header.epoch).held.add(header.number, header.number + 1)
        return STORED

    Store.add_segment = add_segment


def receipt_before_commit():
    """An office answers with receipts at once, and commits when it finds the time."""
    from office_ingest.storage.sqlite import SqliteStore

    began = time.monotonic()

    @contextmanager
    def transaction(self):
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")
        yield
        if time.monotonic() - began > LATE_S:
            self.connection.execute("COMMIT")

    SqliteStore.transaction = transaction


PROCESS = {
    "acknowledge_before_commit": "gateway",
    "receipt_before_commit": "office",
    "skip_number": "device",
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    if PROCESS[name] == "gateway":
        acknowledge_before_commit()
        from gateway.cli import main
    else:
        receipt_before_commit()
        from office_ingest.cli import main
    main()
