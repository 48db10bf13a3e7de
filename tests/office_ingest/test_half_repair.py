"""A repair that was cut off before its new file had the database's name: carried on before anything is written, by whoever comes first."""

import contextlib
import sqlite3

import pytest

from office_ingest.app import Office
from office_ingest.clock import SystemClock
from office_ingest.config import read_office
from office_ingest.errors import DatabaseDamaged
from office_ingest.founding import found_office
from office_ingest.overview import open_read_only
from office_ingest.prove.repair import repair_database
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.replacement import replace_damaged
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import USAGE
from tools.cli import run

NOW_MS = 1_700_000_000_000
STEPS = ("named", "kept", "log gone")


class Killed(Exception):
    """The process ends here."""


def make_half_repaired(folder, at="named"):
    """Make an office whose repair was killed at a step; return its settings."""
    config = found_office(folder, now_ms=NOW_MS, port=0)

    def step(name):
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        replace_damaged(folder / "office.db", 1, step)
    return config


@pytest.mark.parametrize("at", STEPS)
def test_what_an_office_takes_after_a_cut_repair_stays(tmp_path, at):
    """The service carries the repair on before it takes anything, so that no later repair puts an older file over it."""
    check_what_is_taken_stays(tmp_path / "office", at)


def check_what_is_taken_stays(folder, at):
    """Serve after a cut repair, take a row, repair, and fail if the row is gone."""
    office = Office(read_office(make_half_repaired(folder, at)), SystemClock())
    with office.store.transaction():
        office.store.put_device(bytes(8), "pump", "site-1", 1)
    office.close()
    with contextlib.closing(Keystore.open(folder / "keystore.db")) as keystore:
        repair_database(folder / "office.db", keystore, now_ms=2)
    with contextlib.closing(sqlite3.connect(folder / "office.db")) as connection:
        names = connection.execute("SELECT name FROM devices").fetchall()

    assert [("pump",)] == names
    assert [] == list(folder.glob("*.repair*"))


@pytest.mark.parametrize("opens", [SqliteStore.open, open_read_only])
def test_nobody_else_opens_a_half_repaired_database(tmp_path, opens):
    """Who does not hold the office's lock must not carry it on, and must not write to a file that is about to go."""
    check_refused(tmp_path / "office", opens)


def check_refused(folder, opens=SqliteStore.open):
    """Open after a cut repair, and fail if that is not refused."""
    make_half_repaired(folder)
    with contextlib.suppress(DatabaseDamaged):
        opens(folder / "office.db").close()
        raise AssertionError("it was opened")


def test_commands_name_the_repair(tmp_path, capsys):
    """A person is told what to run; when that has run, all goes on."""
    config = make_half_repaired(tmp_path / "office")
    words = ["office", "devices", "--config", str(config)]
    code = run(words)
    said = capsys.readouterr().err

    assert (USAGE, True) == (code, "outstation office repair" in said and "[office-damaged]" in said)
    assert [0, 0] == [run(["office", "repair", "--config", str(config)]), run(words)]
