"""What holds of plain stores holds of encrypted ones: the ordinary tests of stores again, in a folder in which every store is encrypted.

Left out are tests that change bytes by their place in a plain file, and the sweeps through VFSs of APSW, which knows no cipher: what
they find is how our steps follow each other, and those are the same.
"""

import asyncio
import contextlib
import functools
import inspect
import sqlite3

import pytest

from gateway.store_check import check_file
from office_ingest.receive.keystore import Keystore
from protocol.sqlite_door import READ, open_database
from tests.gateway import test_store, test_store_repair
from tests.gateway.site import new_store
from tests.office_ingest import test_half_repair, test_ingest, test_keystore, test_repair, test_sqlite
from tests.support.device_model import DeviceModel
from tests.support.encrypted import encrypted, is_plain
from tests.support.office_desk import OfficeDesk

GATEWAY = (
    test_store.test_concurrent_segments_share_commits,
    test_store.test_same_digest_again_is_a_duplicate_and_changes_nothing,
    test_store.test_other_digest_for_a_number_is_kept_beside_the_first,
    test_store.test_fork_is_known_after_the_first_was_released,
    test_store.test_segment_leaves_only_when_told_and_receipted,
    test_store.test_office_asks_again_for_what_is_held_and_for_what_is_not,
    test_store.test_state_is_the_same_after_opening_again,
    test_store.test_routine_lane_is_refused_before_the_critical_one,
    test_store.test_second_gateway_on_one_store_is_refused,
    test_store.test_store_of_a_newer_version_is_refused,
    test_store.test_store_is_closed_to_others_and_leaves_no_old_bytes,
    test_store_repair.test_store_says_that_it_is_one,
    test_store_repair.test_sequence_is_not_given_out_again_after_a_repair,
    test_store_repair.test_mistake_in_a_schema_step_repairs_nothing,
)
OFFICE = (
    test_repair.test_repair_cut_at_any_commit_is_gone_on_with,
    test_repair.test_finding_of_what_is_whole_again_ends,
    test_repair.test_count_of_quarantine_is_mended,
    functools.partial(test_half_repair.test_what_an_office_takes_after_a_cut_repair_stays, at="named"),
    test_sqlite.test_commit_waits_for_the_disk,
    test_sqlite.test_opening_again_changes_nothing,
    test_sqlite.test_newer_file_is_refused,
    test_sqlite.test_failed_transaction_leaves_nothing,
    test_ingest.test_segments_are_stored_and_receipted,
    test_ingest.test_same_segment_twice_is_one_row,
    test_ingest.test_fork_keeps_both_and_stops_receipts,
    test_ingest.test_restart_changes_nothing,
    test_ingest.test_what_is_receipted_is_committed,
    test_keystore.test_erased_period_is_gone_for_good,
    test_keystore.test_device_is_enrolled_once,
)

SEGMENTS = 60


def _name(promise):
    return getattr(promise, "func", promise).__name__


@pytest.mark.parametrize("promise", [*GATEWAY, *OFFICE], ids=_name)
def test_promise_of_a_store_holds_of_an_encrypted_one(promise, tmp_path, monkeypatch):
    """Custody, commits in groups, forks, room, repair, schema steps, receipts and keys: nothing depends on the file being plain."""
    with encrypted(tmp_path):
        offered = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
        asked = inspect.signature(promise).parameters
        if "desk" in asked:
            offered["desk"] = desk = OfficeDesk(tmp_path)
        if "desk" in asked and "device" in asked:
            offered["device"] = DeviceModel()
            desk.add(offered["device"])
        if "keystore" in asked:
            offered["keystore"] = Keystore.create(tmp_path / "keystore.db")
            offered["device"] = DeviceModel()
            offered["device"].enrol(offered["keystore"])
        given = {name: offered[name] for name in asked if name not in getattr(promise, "keywords", {})}
        promise(**given)
        made = list(tmp_path.rglob("*.db"))

        assert made
        assert [] == [path for path in made if is_plain(path)]


def _rows(path):
    """Return the segments that can be read one by one, each through a connection of its own."""
    found = set()
    for number in range(SEGMENTS):
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(open_database(path, READ)) as one:
            found.update(one.execute("SELECT raw FROM segments WHERE rowid = ?", (number + 1,)).fetchall())
    return found


def test_bad_page_of_an_encrypted_store_costs_what_lies_on_it(tmp_path):
    """SQLCipher reads nothing more through a connection that met a bad page: the repair goes on, and carries over all other rows."""
    with encrypted(tmp_path):
        path = test_store_repair.fill(tmp_path, SEGMENTS)
        whole = path.read_bytes()
        pages = len(whole) // test_store_repair.PAGE_BYTES
        lost = []
        for page in range(2, pages + 1):
            path.write_bytes(whole)
            test_store_repair.break_page(path, page)
            if not check_file(path):
                continue
            there = _rows(path)
            asyncio.run(new_store(tmp_path).close())
            assert there <= _rows(path), f"page {page}: rows that can be read are gone"
            assert [] == check_file(path)
            lost.append(SEGMENTS - len(there))

    assert any(0 < count < SEGMENTS for count in lost), lost


def test_bad_first_page_of_an_encrypted_store_begins_it_anew(tmp_path):
    """With it the list of tables is gone. The damaged file stays beside it; devices still have what was not receipted."""
    with encrypted(tmp_path):
        path = test_store_repair.fill(tmp_path, 3)
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        asyncio.run(new_store(tmp_path).close())

        assert set() == _rows(path)
        assert [1] == [len(list(tmp_path.glob("gateway.db.damaged-*")))]
        assert [] == check_file(path)
