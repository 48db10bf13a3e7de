"""Each fault planted in the office is caught by the test that promises to catch it."""

import pytest

from tests.office_ingest import test_ingest, test_replay
from tests.office_ingest.conftest import desk
from tests.office_ingest.test_ingest import device
from tests.planted.office import FAULTS
from tests.support.deciding_device import BUNDLE, DecidingDevice

# Fixtures of the office's own tests, so that the very same checks run here.
__all__ = ["desk", "device"]


def _decides(desk):
    """Return a device that decides, as test_replay's own fixture makes it."""
    deciding = DecidingDevice(5)
    desk.add(deciding)
    desk.registry.add_bundle(BUNDLE)
    deciding.start()
    return deciding


CAUGHT_BY = {
    "receipt_before_commit": test_ingest.test_what_is_receipted_is_committed,
    "accept_unverified_duplicate": test_ingest.test_refused_bytes_are_never_a_duplicate,
    "forged_first_takes_place": test_ingest.test_forged_segment_first_does_not_take_the_place,
    "skip_generation_check": test_ingest.test_wrong_generation_is_quarantined,
    "receipt_over_gap": test_ingest.test_receipt_waits_for_the_first_missing_number,
    "ignore_tombstone_mismatch": lambda desk, device: (
        test_ingest.test_tombstone_that_contradicts_what_is_held_excuses_nothing(
            desk, device, "before", "stone"
        )
    ),
    "lose_fork": test_ingest.test_fork_keeps_both_and_stops_receipts,
    "replay_ignores_registers": lambda desk, device: (
        test_replay.test_step_replay_finds_a_decision_that_the_rules_do_not_make(desk, _decides(desk))
    ),
    "heartbeat_counter_not_checked": test_ingest.test_older_heartbeat_is_refused,
    "head_not_compared": lambda desk, device: test_ingest.test_head_with_another_digest_is_a_fork(
        desk, device, "segment"
    ),
    "keep_memory_after_a_failed_batch": test_ingest.test_full_disk_keeps_nothing_and_answers_nothing,
}


def test_every_planted_fault_of_the_office_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_the_office_is_caught(name, desk, device, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises((AssertionError, KeyError)):
        CAUGHT_BY[name](desk, device)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_the_office_passes_without_the_fault(name, desk, device):
    """The same test passes on the office as it is."""
    CAUGHT_BY[name](desk, device)
