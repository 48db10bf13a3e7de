"""A bit that flips in a store's file: found at the start or by the scrub, healed from the other side, and nothing good deleted."""

import asyncio
import json
import sqlite3

import pytest

from gateway.cli import gateway as gateway_commands
from gateway.errors import StoreFailed
from gateway.health import Health
from gateway.scrub import Scrub
from gateway.store_check import check_file
from gateway.store_file import connect
from gateway.store_repair import repair_store
from protocol.diagnostic import DiagnosticError
from protocol.segment import parse_segment
from tests.gateway.site import segment, write_files
from tests.stores import gateway_work, rot
from tests.stores.runs import size

STEPS = ("made", "named", "kept", "log gone")


class Killed(Exception):
    """The process ends here."""


@pytest.mark.timeout(3600)
def test_flipped_bit_in_the_gateways_store_is_found_and_healed(memory):
    """Whichever bit flips: a changed segment is always found, no row that verifies is deleted, and the devices make it whole."""
    figures = rot.check_gateway_rot(memory, flips=size(ci=600, soak=30_000))

    assert figures.changed_segments > figures.flips // 10
    assert figures.found_of_changed == figures.changed_segments


def flip_in_a_segment(path):
    """Change one bit of the bytes of the middlest segment of a store's file."""
    content = bytearray(path.read_bytes())
    rows = rot.rows_of(path)[0]
    raw = rows[len(rows) // 2][6]
    content[content.index(raw) + len(raw) - 3] ^= 4
    path.write_bytes(content)
    return parse_segment(raw).header.key()


@pytest.mark.parametrize("at", STEPS)
def test_repair_cut_at_any_step_is_carried_on(memory, at):
    """Killed between any two steps of a repair, the next start has the repaired store, or repairs the damaged one."""
    check_cut_repair(memory, at)


def check_cut_repair(folder, at):
    """Kill a repair at a step, start again, and fail if a good row is gone or the damaged file is."""
    path = rot.make_gateway_file(folder, 4)
    rows = rot.rows_of(path)[0]
    place = flip_in_a_segment(path)

    def step(name):
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        repair_store(path, connect, 1, step)
    work = gateway_work.Work(folder, None)
    work.open()
    held = rot.held(work)
    asyncio.run(work.store.close())
    kept = [one for one in folder.glob("gateway.db.damaged-*") if not one.name.endswith("-wal")]

    assert {tuple(row[1:5]) for row in rows} - {place} == set(held)
    assert len(kept) == 1
    assert not list(folder.glob("*.repair*"))


def test_log_of_the_damaged_store_is_carried_over_too(memory):
    """What was committed and not yet written back lies in the log: a repair reads it there, and it is never played into the new file."""
    path = rot.make_gateway_file(memory, 4)
    true = rot.rows_of(path)[0]
    place = flip_in_a_segment(path)
    late = segment(500)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        image = _commit_to_the_log(connection, path, late)
    path.write_bytes(image[0])
    path.with_name("gateway.db-wal").write_bytes(image[1])
    work = gateway_work.Work(memory, None)
    work.open()
    held = rot.held(work)
    asyncio.run(work.store.close())

    assert held.pop(parse_segment(late).header.key()) == late
    assert {tuple(row[1:5]) for row in true} - {place} == set(held)


def _commit_to_the_log(connection, path, raw):
    """Add a segment; return file and log as they are before anything is written back."""
    made = parse_segment(raw)
    connection.execute(
        "INSERT INTO segments (device, lane, epoch, number, digest, raw, received_ms) VALUES (?, ?, ?, ?, ?, ?, 0)",
        (*made.header.key(), made.digest, raw),
    )
    connection.commit()
    return path.read_bytes(), path.with_name("gateway.db-wal").read_bytes()


def test_scrub_finds_a_flip_under_a_running_gateway(memory):
    """Between two starts the scrub sees it: nothing more is acknowledged until the store was repaired, then all goes on."""
    check_scrub(memory)


def check_scrub(folder):
    """Flip a bit under an open store, scrub, and fail if the store goes on as if nothing were."""
    asyncio.run(_scrub(rot.make_gateway_file(folder, 4)))


async def _scrub(path):
    work = gateway_work.Work(path.parent, None)
    work.open()
    health = Health()
    scrub = Scrub(path, work.store, health, clock=work.clock)
    await scrub.once()
    assert work.store.fault() == ""
    place = flip_in_a_segment(path)
    await scrub.once()

    assert "segments device" in work.store.fault()
    with pytest.raises(StoreFailed):
        await work.store.add_segment(parse_segment(segment(500)))
    work.clock.now += 2
    await work.store.add_segment(parse_segment(segment(500)))
    assert work.store.repaired == 1
    assert place not in rot.held(work)
    assert (place[3], place[3] + 1) in work.store.lanes[place[:3]].gaps()
    assert health.counts["scrubs"] == 2
    await work.store.close()


def test_check_names_what_is_damaged(memory, capsys):
    """`outstation gateway check` names the row, with exit code 1; 0 for a whole store; it changes nothing."""
    config = write_files(memory, office_port=1, coap_port=2)
    (memory / "office-ca.pem").write_text("")
    path = rot.make_gateway_file(memory, 4)
    words = ["check", "--config", str(config), "--json"]
    assert gateway_commands.main(words, standalone_mode=False) == 0
    device, lane, epoch, number = flip_in_a_segment(path)
    before = path.read_bytes()
    assert gateway_commands.main(words, standalone_mode=False) == 1

    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    place = f"device {device.hex()} lane {lane} epoch {epoch} number {number}"
    assert [damage["place"] for damage in documents[1]["damages"]] == [place]
    assert documents[0]["damages"] == []
    assert path.read_bytes() == before


def test_session_whose_sequence_went_back_is_retired(memory):
    """A reserved sequence that fell by itself is found; the context is refused for good, so that no number is used twice."""
    check_session(memory)


def check_session(folder):
    """Lower a reserved sequence in the file, open, and fail if the context goes on."""
    path = rot.make_gateway_file(folder, 2)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sessions SET reserved = reserved - 64")
    connection.close()
    work = gateway_work.Work(folder, None)
    work.open()
    states = [row.state for row in work.store.session_rows()]
    asyncio.run(work.store.close())

    assert states == ["retired"]


def test_file_that_is_no_store_is_left_alone(memory):
    """A file that somebody named by mistake is refused, and not touched."""
    path = memory / "gateway.db"
    path.write_bytes(b"my thesis, in the only copy\n" * 400)
    with pytest.raises(DiagnosticError, match="not a database"):
        gateway_work.Work(memory, None).open()

    assert path.read_bytes() == b"my thesis, in the only copy\n" * 400
    assert [one.name for one in memory.glob("*.damaged*")] == []


def test_whole_store_has_no_damage(memory):
    """A store at work is as it was written."""
    path = rot.make_gateway_file(memory, 4)

    assert check_file(path) == []
