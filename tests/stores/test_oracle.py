"""Another, newer SQLite reads what a cut left: it must recover the same rows as the one that ships."""

import contextlib
import random
import sqlite3

import apsw
import pytest

from tests.stores import vfs
from tests.stores.disk import STATES, Platter, write_files
from tests.stores.promises import contents
from tests.stores.runs import record_gateway

pytestmark = pytest.mark.skipif(bool(vfs.why_not()), reason=vfs.why_not() or "-")
EVERY = 8


def test_newer_sqlite_recovers_the_same_rows_after_a_cut(memory):
    """At every eighth operation, in every state of the disk, SQLite as bundled with APSW reads what Python's own reads."""
    if apsw.sqlite_lib_version() == sqlite3.sqlite_version:
        pytest.skip(
            f"APSW and Python have the same SQLite, {sqlite3.sqlite_version}: no other one reads here"
        )
    recorded = record_gateway(memory / "run", 4)
    folder = memory / "images"
    folder.mkdir()
    platter, rng, compared = Platter(recorded.held), random.Random(1), 0
    for cut, operation in enumerate(recorded.operations):
        for state in STATES if cut % EVERY == 0 else ():
            files = platter.files(state, rng, operation)
            if files.get("gateway.db"):
                assert _read(folder, files, sqlite3.connect) == _read(folder, files, apsw.Connection), (
                    cut,
                    state,
                )
                compared += 1
        platter.do(operation)

    assert compared > 50


def _read(folder, files, connect):
    write_files(folder, files)
    with contextlib.closing(connect(str(folder / "gateway.db"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return contents(connection)
