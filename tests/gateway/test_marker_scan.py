"""Marks planted as readings, labels and secrets, looked for in every file that office and gateway leave: in no form, in none of them.

What is sealed is sealed; what a person granted the gateway to read is there while it is granted, and gone afterwards. Not looked into
here: a device's flash, logs, and memory.
"""

import asyncio
import contextlib
import sqlite3

import pytest

from gateway.store_view import StoreView
from office_ingest.govern.tokens import Tokens
from protocol import keys
from tests.gateway.test_readings import Bench, grant
from tests.support.office_desk import TOKEN

# As a device's flash, SQLite and CBOR would write it, and as people read it: no number that occurs by chance.
MARK = 1_985_229_328_917_452_631


def forms(number):
    """Return the bytes in which a number could lie in a file."""
    zigzag, varint = number << 1, b""
    while zigzag > 127:
        varint, zigzag = varint + bytes([zigzag & 127 | 128]), zigzag >> 7
    return [
        number.to_bytes(8, "big"),
        number.to_bytes(8, "little"),
        str(number).encode(),
        varint + bytes([zigzag]),
    ]


def found(folder, marks):
    """Return (file, mark) of everything that was found below a folder, backups and logs of SQLite included."""
    for database in folder.rglob("*.db"):
        opened = sqlite3.connect(database), sqlite3.connect(database.with_suffix(".backup"))
        with contextlib.closing(opened[0]) as source, contextlib.closing(opened[1]) as target:
            source.backup(target)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {".db", ".backup"} <= {path.suffix for path in files}
    return [(path.name, mark) for path in files for mark in marks if mark in path.read_bytes()]


def marked(folder, body):
    """Run body(bench, marks) over an office and a gateway that took a marked device; marks: name -> forms of it."""

    async def main():
        made = Bench(folder)
        token, _ = Tokens(made.desk.store).create(
            label="a", role="viewer", sites=[], made_by="a", now_ms=1, days=1
        )
        device = made.device
        marks = {
            "reading": forms(MARK),
            "roots": [device.seal_root, device.view_root],
            "tokens": [token.encode(), TOKEN.encode()],
        }
        try:
            await body(made, marks)
        finally:
            await made.store.close()
            made.desk.close()

    asyncio.run(main())


@pytest.mark.parametrize("lane", keys.LANES)
def test_no_mark_is_in_any_file_of_office_or_gateway(tmp_path, lane):
    """Neither the reading, in either class, nor a root nor a token, in databases, their logs and backups of them."""

    async def body(made, marks):
        raw = made.sample(MARK, MARK, lane=lane)
        made.desk.take(raw, heartbeats=[made.device.heartbeat()])
        await made.take(raw)

        assert [] == found(tmp_path, [form for each in marks.values() for form in each])

    marked(tmp_path, body)


def test_a_mark_that_was_granted_is_seen_and_gone_with_its_grant(tmp_path):
    """The scan does find what lies open: what the gateway may read, while it may; afterwards it is in no file."""
    from office_ingest.govern.views import withdraw_grant

    async def body(made, marks):
        grant(made)
        await made.told()
        await made.take(made.sample(MARK, MARK))
        assert {"gateway.db-wal", "gateway.backup"} & {name for name, _ in found(tmp_path, marks["reading"])}
        for backup in tmp_path.rglob("*.backup"):
            backup.unlink()
        withdraw_grant(made.desk.store, "gw-1", "a", made.desk.now_ms)
        await made.told()

        with StoreView(made.store._path) as view:
            assert [] == view.readings()
        assert [] == found(tmp_path, marks["reading"])

    marked(tmp_path, body)
