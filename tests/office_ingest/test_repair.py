"""What a repair leaves: all of it or nothing wherever it is cut off, and findings that say what is true of the file now."""

import contextlib
import shutil
import sqlite3
import threading

import pytest

from office_ingest.errors import BeyondRepair, DatabaseDamaged
from office_ingest.prove.repair import repair_database
from office_ingest.prove.verify import verify_database
from office_ingest.receive.keystore import Keystore
from office_ingest.storage import sqlite
from office_ingest.storage.replacement import replace_damaged
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch.damage import look_through, record_damage
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk
from tests.support.older_office import make_older

_NOW_MS = 1_700_000_100_000
_LOST = (3, 7)


def make_office(folder, device=None):
    """Leave an office that holds ten segments and a refused one of a device, closed."""
    folder.mkdir()
    desk = OfficeDesk(folder)
    device = device or DeviceModel()
    desk.add(device)
    desk.take(*[device.seal(0) for _ in range(10)], heartbeats=[device.heartbeat()])
    desk.take(device.seal(1)[:-1])
    desk.close()
    return folder / "office.db"


def change(path, *statements):
    """Change rows as a disk does: nothing counts them."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def damage_rows(path):
    """Change two segments, the head and the receipt."""
    segments = [f"UPDATE segments SET raw = zeroblob(99) WHERE number = {number}" for number in _LOST]
    change(path, *segments, "UPDATE heads SET number = 99", "UPDATE receipts SET number = 99")


def repair(folder):
    """Repair the office in folder."""
    with contextlib.closing(Keystore.open(folder / "keystore.db")) as keystore:
        return repair_database(folder / "office.db", keystore, now_ms=_NOW_MS)


def _state(folder):
    """Return what is held and known of it, what is wrong with it, and which damage is said to be open."""
    desk = OfficeDesk(folder, is_there=True)
    try:
        wrong = [str(finding) for finding in verify_database(desk.store.connection, desk.keystore).findings]
        contents = desk.contents()
        return {name: contents[name] for name in contents if name != "findings"}, wrong, desk.findings()
    finally:
        desk.close()


def test_repair_cut_at_any_commit_is_gone_on_with(tmp_path, monkeypatch):
    """Whatever of a repair the disk has, the next one comes to the same: gaps, heads and receipts agree, and no finding stays."""
    check_cuts(tmp_path, monkeypatch.setattr)


def check_cuts(folder, put):
    """Take an image before each transaction of a repair, repair each, and fail if one differs from the repair that was not cut."""
    damage_rows(make_office(folder / "office"))
    images = []
    connect = sqlite._connect

    def traced(path):
        connection = connect(path)
        connection.set_trace_callback(lambda sql: sql == "BEGIN IMMEDIATE" and keep())
        return connection

    def keep():
        images.append(folder / f"image-{len(images)}")
        images[-1].mkdir()
        for file in (folder / "office").glob("*.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, images[-1])

    put(sqlite, "_connect", traced)
    wanted = repair(folder / "office").wanted
    put(sqlite, "_connect", connect)
    whole = _state(folder / "office")

    assert list(_LOST) == [start for _, start, _ in wanted]
    assert ([], []) == whole[1:]
    assert len(images) > 2
    for image in images:
        repair(image)
        assert whole == _state(image), image.name


def test_finding_of_what_is_whole_again_ends(tmp_path):
    """The damaged row was forgotten or restored meanwhile: a repair that finds nothing clears what was said of it."""
    path = make_office(tmp_path / "office")
    change(path, "UPDATE heads SET number = number + 1")
    _look(tmp_path / "office")
    change(path, "UPDATE heads SET number = number - 1")
    assert ["damage"] == [kind for kind, _ in _state(tmp_path / "office")[2]]
    repaired = repair(tmp_path / "office")

    assert ([], []) == (repaired.damages, _state(tmp_path / "office")[2])


def _look(folder):
    """Look as the running office does each day; return the texts of what it records."""
    desk = OfficeDesk(folder, is_there=True)
    record_damage(desk.store, look_through(folder / "office.db", threading.Event()), _NOW_MS)
    texts = [text for (text,) in desk.rows("findings", "text", "kind = 'damage' AND state = 'open'")]
    desk.close()
    return texts


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quarantine SET text = text || '!'",
        "UPDATE devices SET name = 'pomp'",
        "UPDATE heartbeats SET gateway = 'gw-2'",
    ],
)
def test_what_no_repair_mends_is_said_so(tmp_path, statement):
    """It is told apart from what was mended, its finding stays and does not advise another repair."""
    path = make_office(tmp_path / "office")
    change(path, statement)
    damage_rows(path)
    before = _look(tmp_path / "office")
    repaired = repair(tmp_path / "office")
    after = _look(tmp_path / "office")
    again = repair(tmp_path / "office")

    (left,) = repaired.left
    assert (4, 1) == (len([text for text in before if "run: outstation office repair" in text]), len(after))
    assert left.table in statement
    assert left.place
    assert "see outstation verify" in after[0]
    assert any(line.startswith(f"cannot be repaired: {left.table}") for line in repaired.lines())
    assert [left] == again.damages == again.left


def test_tally_whose_device_changed_makes_room_for_a_new_one(tmp_path):
    """A bit of the device's name in its tally: no tally of a device that nobody knows stays beside the one that is counted again."""
    path = make_office(tmp_path / "office")
    whole = _state(tmp_path / "office")
    change(path, "UPDATE tallies SET device = x'0011223344556677'")
    repaired = repair(tmp_path / "office")

    assert [damage.table for damage in repaired.damages] == ["tallies"]
    assert repaired.left == []
    assert whole == _state(tmp_path / "office")


def test_count_of_quarantine_is_mended(tmp_path):
    """Rows that are not those that were written are advised to be repaired, and are counted anew."""
    path = make_office(tmp_path / "office")
    change(path, "DELETE FROM quarantine")
    (before,) = _look(tmp_path / "office")

    assert "run: outstation office repair" in before
    assert [] == repair(tmp_path / "office").left
    assert [] == _look(tmp_path / "office")


def make_older_office(folder, monkeypatch):
    """Leave an office of schema 4 with sixty heartbeats; return its path and their bytes by rowid."""
    with monkeypatch.context() as older:
        make_older(older.setattr, "0005")
        device = DeviceModel()
        path = make_office(folder, device)
        desk = OfficeDesk(folder, is_there=True)
        desk.take(heartbeats=[device.heartbeat() for _ in range(60)])
        raws = [raw for (raw,) in desk.rows("heartbeats", "raw")]
        desk.close()
    return path, raws


def test_older_database_with_a_bad_page_is_carried_over_and_brought_up_to_date(tmp_path, monkeypatch):
    """Its schema step cannot read the page: what lies on others is copied as that version wrote it, and then brought up."""
    path, raws = make_older_office(tmp_path / "office", monkeypatch)
    content = bytearray(path.read_bytes())
    page = content.index(raws[30]) // 4096 * 4096
    content[page] = 0
    path.write_bytes(content)
    readable = [raw for raw in raws if raw not in content[page : page + 4096]]
    with pytest.raises(DatabaseDamaged):
        SqliteStore.open(path)
    repaired = repair(tmp_path / "office")
    desk = OfficeDesk(tmp_path / "office", is_there=True)
    held = [raw for (raw,) in desk.rows("heartbeats", "raw")]
    version = desk.rows("pragma_user_version()")[0][0]
    desk.close()

    assert "database" == repaired.damages[0].table
    assert readable == held
    assert 0 < len(held) < len(raws)
    assert len(sqlite._steps()) == version
    assert 10 == len(_state(tmp_path / "office")[0]["segments"])


def test_database_whose_version_fell_is_not_copied_without_its_newer_tables(tmp_path):
    """Where the version itself is damaged too, nothing is lost by believing it: the file is left as it is."""
    path = make_office(tmp_path / "office")
    change(path, "PRAGMA user_version = 2")
    content = path.read_bytes()
    with pytest.raises(BeyondRepair, match="schema 2"):
        replace_damaged(path, _NOW_MS)

    assert content == path.read_bytes()
    assert [] == list(path.parent.glob("*.damaged-*"))
