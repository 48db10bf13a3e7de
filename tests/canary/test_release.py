"""Each fault planted in releases and their signer is caught by the test that promises to catch it."""

import shutil

import pytest

from protocol.cbor import Simple
from tests.both import test_lms as lms
from tests.both import test_release as release
from tests.office_ingest.govern import test_signer as signer
from tests.planted import release as planted
from tests.rules import test_widening as widening

# A fraction of the histories finds each fault.
_FEW = 300


def _histories(tmp_path):
    signer.check_histories(_FEW)


def _restored(tmp_path):
    signer.test_restored_backup_is_refused_by_what_was_published(_key(tmp_path), tmp_path)


def _second(tmp_path):
    signer.test_second_signer_is_refused_while_the_first_lives(_key(tmp_path))


def _forked(tmp_path):
    signer.test_forked_child_signs_nothing(_key(tmp_path))


def _key(tmp_path):
    shutil.rmtree(tmp_path / "key", ignore_errors=True)
    shutil.rmtree(tmp_path / "backup", ignore_errors=True)
    signer.make_key(tmp_path / "key", now_ms=5, **signer.SMALL)
    return tmp_path / "key"


def _plain(test):
    return lambda tmp_path: test()


def _changed(condition):
    test = widening.test_a_condition_of_replacing_that_is_dropped_or_changed_widens
    return lambda tmp_path: test(condition)


_ATTACKS = _plain(release.test_a_device_adopts_what_is_meant_for_it_and_refuses_every_attack)
CATCHERS = [
    (planted.sign_before_reserve, _histories),
    (planted.forget_directory_sync, _histories),
    (planted.write_count_in_place, _histories),
    (planted.allow_restored_backup, _histories),
    (planted.allow_restored_backup, _restored),
    (planted.two_signers, _second),
    (planted.forked_signer, _forked),
    (planted.skip_signature_check, _ATTACKS),
    (planted.skip_signature_check, _plain(release.test_no_bit_of_a_release_is_free)),
    (planted.skip_path_check, _plain(lms.test_no_bit_of_a_signature_is_free)),
    (planted.skip_checksum, _plain(lms.test_golden_signatures_hold)),
    (planted.skip_digest_check, _ATTACKS),
    (planted.count_one_signer_twice, _ATTACKS),
    (planted.forget_floor, _ATTACKS),
    (planted.forget_time, _ATTACKS),
    (planted.forget_target, _ATTACKS),
    (planted.reset_for_every_floor, _ATTACKS),
    (planted.skip_part_digest, _plain(release.test_parts_that_the_manifest_does_not_name_are_refused)),
    (planted.overlook_a_wider_gate, _plain(widening.test_each_way_to_widen_a_gate_is_named)),
    (planted.overlook_another_condition, _changed([11, Simple(0), 6])),
    (planted.overlook_a_dropped_condition, _changed(None)),
]


@pytest.mark.canary
@pytest.mark.parametrize(("plant", "catcher"), CATCHERS, ids=lambda f: f.__name__)
def test_planted_fault_of_a_release_is_caught(plant, catcher, monkeypatch, tmp_path):
    """The named test passes on the code as it is and fails once the fault is in."""
    catcher(tmp_path)
    plant(monkeypatch)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        catcher(tmp_path)
