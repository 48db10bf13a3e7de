"""What the drills are built from keeps its word: loss by a seed, rows that survive their file, forgeries that are well-formed."""

import json
import random
import sqlite3

import pytest
from click.testing import CliRunner

from office_ingest.receive.keystore import Keystore
from protocol import coap
from protocol.segment import parse_segment
from tests.drills.books import count, forged, read
from tests.drills.kills import Loss
from tests.drills.rogue_gateway import Lies, renumbered
from tests.drills.strangers import Traffic, again, junk, plain_requests, spoofed
from tests.gateway.site import segment
from tools.drills import command as drills
from tools.drills.plan import part_command
from tools.drills.row import Row, Sign, from_json
from tools.drills.screen import fault_lines, sign_text

_KILLS = (("kills", "kills", "soak", 2), ("kills", "kills", "soak", 3))
SEGMENTS = [(number, segment(number)) for number in range(6)]


def test_loss_is_the_share_that_was_asked_for_and_the_same_for_a_seed():
    """Twenty of a hundred, over enough datagrams; the same ones again under the same seed."""
    kept = [Loss(0.2, 5)(True, b"x") for _ in range(1)]
    first, second = Loss(0.2, 5), Loss(0.2, 5)
    told = [first(True, b"x") for _ in range(5000)]

    assert told == [second(True, b"x") for _ in range(5000)]
    assert told[:1] == kept
    assert 0.17 < told.count(False) / 5000 < 0.23


def test_row_comes_back_from_its_file():
    """What a part wrote is what the command shows."""
    row = Row(
        "a", "b", 1, "ci", {"kills": 2}, [Sign("gap", "office", 1)], figures={"s": 1.5}, faults=["lost: 2"]
    )

    assert from_json(row.as_json()) == row
    assert not row.is_good
    assert row.failed("lost") == ["lost: 2"]
    assert row.failed("los") == []


def test_fault_is_told_with_the_command_that_repeats_it():
    """Nobody has to look for how to see a fault again."""
    row = Row("a", "b", 1, "ci", faults=["lost: 2 events"], command="python -m tests.drills kills")

    assert fault_lines([row]) == ["a: lost: 2 events", "  to repeat: python -m tests.drills kills"]
    assert sign_text(Sign("gap", "office", 0)) == "gap by office, 0 heartbeats later"


def test_forged_number_is_well_formed():
    """An inserted segment is refused for its seal, not for its grammar."""
    forged = parse_segment(renumbered(segment(3), 900))

    assert forged.header.number == 900


def _told(kind):
    noted = []
    lies = Lies(lambda numbers: noted.extend(numbers))
    return getattr(lies, kind)(list(SEGMENTS), [])[0], noted


def test_each_lie_does_what_it_is_called():
    """Dropped, altered, doubled, in this order or in that: and each lie is written down."""
    raws = dict(SEGMENTS)
    dropped, noted = _told("drop")
    assert [at for at, _ in dropped] == [0, 2, 3, 5]
    assert noted == [1, 4]
    altered, _ = _told("alter")
    assert [at for at, raw in altered if raw != raws[at]] == [1, 4]
    first, _ = _told("forge_first")
    assert [at for at, _ in first] == [0, None, 1, 2, 3, None, 4, 5]
    both, _ = _told("fork")
    assert [at for at, _ in both] == [0, 1, None, 2, 3, 4, None, 5]
    cut, noted = _told("truncate")
    assert [at for at, _ in cut] == [0, 1, 2]
    assert noted == [3, 4, 5]
    mixed, _ = _told("reorder")
    assert [parse_segment(raw).header.number for _, raw in mixed] == [5, 4, 3, 2, 1, 0]


def test_truth_is_told_of_the_control():
    """The device that proves that an honest one is left alone is left alone."""
    assert _told("none") == (SEGMENTS, [])


def test_strangers_requests_are_messages_and_addresses_are_different():
    """What measures an answer must be answered; what counts addresses must have as many."""
    assert all(coap.decode(raw).code in (coap.GET, coap.POST, coap.FETCH) for raw in plain_requests()[:36])
    assert len(set(spoofed(random.Random(1), 5000))) > 4900
    assert coap.decode(again(plain_requests()[0], 77)).message_id == 77
    assert all(junk(random.Random(seed), plain_requests()) for seed in range(200))


def test_ratio_is_bytes_back_for_bytes_sent():
    """The largest ratio is what no answer may exceed."""
    assert Traffic(2, 100, 1, 250).ratio == 2.5
    assert Traffic().ratio == 0.0


def test_command_names_its_parts():
    """A part that is not there is refused before anything starts."""
    refused = CliRunner().invoke(drills.command, ["--only", "weather"])

    assert refused.exit_code == 2
    assert "kills" in refused.output


def _run_one(monkeypatch, file, size, only, rows):
    async def no_processes(*_):
        return rows, []

    monkeypatch.setattr(drills, "_run", no_processes)
    return CliRunner().invoke(drills.command, ["--size", size, "--only", only, "--json", str(file)])


def test_run_of_one_part_keeps_what_others_found(monkeypatch, tmp_path):
    """Hours of one drill are not lost by running another; what it found itself before is; so is what was of another size."""
    file = tmp_path / "build" / "drills-soak.json"
    file.parent.mkdir()

    def row(name, part, size, seconds):
        return Row(name, "b", 1, size, seconds=seconds, command=part_command(part, size, 1))

    def held():
        return [(one["name"], one["size"], one["seconds"]) for one in json.loads(file.read_text())["rows"]]

    outage, old, new = (row(*one) for one in (("outage", "outage", "soak", 1), *_KILLS))
    _run_one(monkeypatch, file, "soak", "outage", [outage])
    _run_one(monkeypatch, file, "soak", "kills", [old])
    _run_one(monkeypatch, file, "soak", "kills", [new])
    assert held() == [("kills", "soak", 3), ("outage", "soak", 1)]

    _run_one(monkeypatch, file, "ci", "kills", [row("kills", "kills", "ci", 4)])
    assert held() == [("kills", "ci", 4)]


def _books(folder):
    """Make an office's books whose table of segments has another column than the judge asks for."""
    path = folder / "office.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE segments (bytes BLOB)")
    connection.close()
    return path


def test_judge_is_not_told_of_no_rows_where_the_books_cannot_be_read(tmp_path):
    """A renamed column, or books that are not there, never pass for a site without a fault."""
    path = _books(tmp_path)

    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        read(path, "SELECT raw FROM segments")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        count(path, "quarantine")
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        count(tmp_path / "gone.db", "segments")


def test_judge_is_not_told_of_no_rows_where_the_books_are_locked(tmp_path):
    """Another process may hold the file: then nothing is known of it."""
    path = _books(tmp_path)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            count(path, "segments")
    holder.close()


def test_whoever_only_watches_is_told_of_no_rows(tmp_path):
    """A watcher looks again a moment later."""
    assert read(_books(tmp_path), "SELECT raw FROM segments", is_live=True) == []
    assert count(tmp_path / "gone.db", "segments", is_live=True) == 0


def test_forgery_is_not_ruled_out_where_the_books_cannot_be_read(tmp_path):
    """Nothing forged is said only of segments that were looked at."""
    Keystore.create(tmp_path / "keystore.db").close()
    _books(tmp_path)

    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        forged(tmp_path)
