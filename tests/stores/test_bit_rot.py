"""A bit that flips in a store's file: found at the start or by the scrub, healed from the other side, and nothing good deleted."""

import asyncio
import contextlib
import json
import sqlite3
import threading

import pytest

from gateway.cli import gateway as gateway_commands
from gateway.errors import StoreFailed
from gateway.health import Health
from gateway.scrub import Scrub
from gateway.store_check import check_file
from gateway.store_file import connect
from gateway.store_repair import repair_store
from office_ingest.app import lock_database
from office_ingest.cli import office as office_commands
from office_ingest.prove.repair import repair_database
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.replacement import replace_damaged
from office_ingest.storage.rows import COLUMNS
from office_ingest.watch.damage import look_through, record_damage
from protocol.diagnostic import DiagnosticError
from protocol.keys import LANE_NAMES
from protocol.segment import parse_segment
from protocol.uplink import STORED as OFFICE_STORED
from tests.gateway.site import segment, write_files
from tests.stores import gateway_work, office_work, rot
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
    check_log_is_carried_over(memory)


def check_log_is_carried_over(folder):
    """Repair a store whose newest segment lies in the log only; fail if anything but the damaged row is gone."""
    path = rot.make_gateway_file(folder, 4)
    true = rot.rows_of(path)[0]
    place = flip_in_a_segment(path)
    late = segment(500)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        image = _commit_to_the_log(connection, path, late)
    path.write_bytes(image[0])
    path.with_name("gateway.db-wal").write_bytes(image[1])
    work = gateway_work.Work(folder, None)
    try:
        work.open()
    except DiagnosticError as error:
        raise AssertionError(f"the repaired store cannot be opened: {error}") from error
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


def test_rows_around_an_unreadable_page_are_carried_over(memory):
    """A page in the middle of a gateway's segments cannot be read: all that lies on others is held on."""
    path = rot.make_gateway_file(memory, 8)
    raws = [row[6] for row in rot.rows_of(path)[0]]
    is_elsewhere = rot.break_page_of(path, raws[len(raws) // 2])
    work = gateway_work.Work(memory, None)
    work.open()
    held = set(rot.held(work).values())
    asyncio.run(work.store.close())

    assert held == {raw for raw in raws if is_elsewhere(raw)}
    assert 0 < len(held) < len(raws)


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


# ---- the office


@pytest.mark.timeout(3600)
def test_flipped_bit_in_the_offices_database_is_found_and_healed(memory):
    """Whichever bit flips: a changed segment is always found, none whose seal holds is deleted, and what is asked for heals it."""
    figures = rot.check_office_rot(memory, flips=size(ci=400, soak=20_000))

    assert figures.changed_segments > figures.flips // 20
    assert figures.found_of_changed == figures.changed_segments


def flip_in_an_office_segment(path):
    """Change one bit of the seal of one segment in an office's database; return its place."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        raw = connection.execute("SELECT raw FROM segments ORDER BY rowid LIMIT 1 OFFSET 4").fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE")
    content = bytearray(path.read_bytes())
    content[content.index(raw) + len(raw) - 3] ^= 4
    path.write_bytes(content)
    return parse_segment(raw).header.key()


@pytest.mark.parametrize("at", STEPS)
def test_replacement_cut_at_any_step_is_carried_on(memory, at):
    """Killed between any two steps of a replacement, the next repair goes on from there, and the damaged file is kept once."""
    path, _ = rot.make_office_files(memory, 4)
    before = rot.segments_of(path)

    def step(name):
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        replace_damaged(path, 1, step)
    with contextlib.closing(Keystore.open(memory / "keystore.db")) as keystore:
        repaired = repair_database(path, keystore, now_ms=2)
    kept = [one for one in memory.glob("office.db.damaged-*") if not one.name.endswith("-wal")]

    assert repaired.damages == []
    assert rot.segments_of(path) == before
    assert len(kept) == (at != "made")


def test_rows_around_an_unreadable_page_of_the_office_are_carried_over(memory):
    """A page in the middle of the office's segments cannot be read: all that lies on others is kept, the rest is asked for again."""
    check_unreadable_page(memory)


def check_unreadable_page(folder):
    """Make a page of segments unreadable, repair, and fail if one of another page is gone."""
    path, _ = rot.make_office_files(folder, 8)
    at = COLUMNS["segments"].index("raw") + 1
    raws = [row[at] for row in rot.segments_of(path)[0]]
    is_elsewhere = rot.break_page_of(path, raws[len(raws) // 2])
    with contextlib.closing(Keystore.open(folder / "keystore.db")) as keystore:
        repaired = repair_database(path, keystore, now_ms=2)
    held = {row[at] for row in rot.segments_of(path)[0]}

    assert held == {raw for raw in raws if is_elsewhere(raw)}
    assert sum(stop - start for _, start, stop in repaired.wanted) == len(raws) - len(held) > 0


def test_damage_under_a_running_office_becomes_a_finding(memory):
    """What the daily look finds is said to a person, with what to do; the repair ends the finding."""
    path, _ = rot.make_office_files(memory, 4)
    place = flip_in_an_office_segment(path)
    found = look_through(path, threading.Event())
    desk = office_work.Desk(memory)
    record_damage(desk.store, found, 5)
    row = desk.store.connection.execute(
        "SELECT device, place, text FROM findings WHERE kind = 'damage'"
    ).fetchone()
    desk.close()
    with contextlib.closing(Keystore.open(memory / "keystore.db")) as keystore:
        repair_database(path, keystore, now_ms=6)
    desk = office_work.Desk(memory)
    left = desk.store.devices_with_open_finding("damage")
    desk.close()

    assert (row[0], row[1].split()[-1]) == (place[0], str(place[3]))
    assert "outstation office repair" in row[2]
    assert left == []


def test_look_through_ends_with_the_office(memory):
    """An office that ends does not wait for the look through its whole database."""
    path, _ = rot.make_office_files(memory, 4)
    ended = threading.Event()
    ended.set()

    assert look_through(path, ended) == []


def test_office_repair_says_what_is_asked_for_again(memory, capsys):
    """`outstation office repair` names the damaged row and what must come again, exit code 1; then 0. A running office is refused."""
    path, _ = rot.make_office_files(memory, 4)
    config = memory / "office.toml"
    config.write_text('[office]\nname = "o"\n[listen]\ncertificate = "c"\nkey = "k"\n')
    device, lane, epoch, number = flip_in_an_office_segment(path)
    words = ["repair", "--config", str(config), "--json"]
    with lock_database(path), pytest.raises(DiagnosticError, match="another office runs"):
        office_commands.main(words, standalone_mode=False)
    codes = [office_commands.main(words, standalone_mode=False) for _ in range(2)]

    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = {
        "device": device.hex(),
        "lane": LANE_NAMES[lane],
        "epoch": epoch,
        "start": number,
        "stop": number + 1,
    }
    assert codes == [1, 0]
    assert documents[0]["wanted"] == [wanted]
    assert documents[0]["damages"][0]["table"] == "segments"
    assert documents[1]["damages"] == []


def test_what_the_office_lost_comes_from_the_gateway_that_still_holds_it(memory):
    """A segment that rotted at the office and is not yet released at the gateway comes back without the device."""
    (memory / "office").mkdir()
    (memory / "gateway").mkdir()
    path, devices = rot.make_office_files(memory / "office", 4)
    place = flip_in_an_office_segment(path)
    raws = {segment.header.key(): segment.raw for device in devices for segment in device.all_segments()}
    with contextlib.closing(Keystore.open(memory / "office" / "keystore.db")) as keystore:
        repair_database(path, keystore, now_ms=6)
    desk = office_work.Desk(memory / "office")
    outcomes = asyncio.run(_bring_again(memory / "gateway", desk, raws[place], place))
    desk.close()

    assert outcomes == [OFFICE_STORED]


async def _bring_again(folder, desk, raw, place):
    """Be a gateway that told the office of a segment and has no receipt; return the outcomes of what the office's wants bring."""
    work = gateway_work.Work(folder, None)
    work.open()
    await work.store.add_segment(parse_segment(raw))
    told = await work.store.next_batch(8, 8)
    await work.store.settle([(row, OFFICE_STORED) for row, _ in told.segments], [], [], [])
    device = next(one for one in desk.store.device_ids() if one == place[0])
    # Any word about the device brings its wants; here bytes that it sealed and the office has.
    known = desk.store.connection.execute(
        "SELECT raw FROM segments WHERE device = ? LIMIT 1", (device,)
    ).fetchone()[0]
    wants = desk.ingest.take("gw-1", [known], []).wants
    assert (*place[:3], place[3], place[3] + 1) in wants
    await work.store.settle([], [], [], wants)
    batch = await work.store.next_batch(8, 8)
    await work.store.close()
    return desk.ingest.take("gw-1", [one for _, one in batch.segments], []).outcomes
