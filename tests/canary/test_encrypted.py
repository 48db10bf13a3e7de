"""Each fault planted in encrypted stores is caught by the test that promises to catch it."""

import asyncio
from functools import partial

import pytest

from tests.gateway.site import new_store
from tests.planted.encrypted import FAULTS
from tests.protocol import test_sqlite_backup as backup
from tests.protocol import test_sqlite_key as key
from tests.protocol import test_sqlite_recode as recode
from tests.protocol import test_sqlite_told as told
from tests.support.encrypted import forget, passphrase_file


def _with_store(check):
    """Return run(folder): check(store) of an encrypted store, closed, in a process that knows no key."""

    def run(folder):
        path = folder / "gateway.db"
        key.settle(path, passphrase_file(folder / "passphrase"))
        asyncio.run(new_store(folder).close())
        forget()
        check(path)

    return run


def _plain_is_refused(folder):
    key.test_plain_store_is_refused_where_it_is_to_be_encrypted(
        folder, passphrase_file(folder / "passphrase")
    )


def _spill(store):
    (store.parent / "tmp").mkdir()
    key.check_spill(store, store.parent / "tmp")


# Name of the fault -> what the test says when it catches it, and the test.
CAUGHT_BY = {
    "believe_any_passphrase": ("taken for damage", _with_store(key.check_wrong_passphrase)),
    "use_a_plain_store": ("nothing was refused", _plain_is_refused),
    "leave_the_plain_file": ("left in plain: ['gateway.db.before']", recode.check_nothing_in_plain),
    "copy_without_the_key": ("left in plain: ['gateway.db']", recode.check_nothing_in_plain),
    "spill_to_the_disk": ("temporary files on the disk", _with_store(_spill)),
    "quote_the_passphrase": ("passphrase other in what was said", told.check_nothing_is_told),
    "log_statements": ("key of ", told.check_nothing_is_told),
    "show_the_key_in_its_words": ("key of ", told.check_nothing_is_told),
    "keep_the_key_beside": (" in gateway.db.cipher", told.check_nothing_is_told),
    "tell_of_the_key_when_all_is_done": (
        "does not open after the cut",
        partial(recode.check_cut, name="encrypt", at="named"),
    ),
    "forget_the_old_key_first": (
        "does not open after the cut",
        partial(recode.check_cut, name="rekey", at="made"),
    ),
    "write_over_the_old_file": (
        "does not open after the cut",
        partial(recode.check_cut, name="encrypt", at="made"),
    ),
    "back_up_in_plain": ("the copy is in plain", backup.check_backup_is_one_moment),
    "copy_the_file_as_it_lies": ("", backup.check_backup_is_one_moment),
    "name_a_copy_at_once": ("copy.db", partial(backup.check_cut_leaves_no_copy, at="_copy")),
    "write_over_a_copy": ("store-copy-", backup.check_nothing_is_written_over),
    "look_into_the_file_each_time": ("lost the locks of this process", _with_store(key.check_locks)),
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught_by_name(name, tmp_path, monkeypatch):
    """The test of the broken promise fails, and says which one it is."""
    says, check = CAUGHT_BY[name]
    FAULTS[name](monkeypatch.setattr)
    with pytest.raises(AssertionError) as caught:
        check(tmp_path)
    assert says in str(caught.value)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_a_fault_passes_without_it(name, tmp_path):
    """The same test passes on the code as it is."""
    CAUGHT_BY[name][1](tmp_path)
