"""Each fault planted in giving a device other keys is caught by the test that promises to catch it."""

from functools import partial

import pytest

from agent.keystore import KeyFault
from protocol.errors import ProtocolError
from tests.agent import test_rekey as device
from tests.canary.catch import of_a_device, of_cuts
from tests.office_ingest import test_rekey as office
from tests.office_ingest.test_rekey import lagging, long_lived, pair
from tests.planted.rekey import CUTS, DEVICE, LAGGING, LONG_LIVED, OFFICE

# Fixtures of the very tests, so that they run here as they run there.
__all__ = ["lagging", "long_lived", "pair"]

DEVICE_CAUGHT_BY = {
    "leave_the_keys_of_before": device.test_keys_of_before_are_gone_from_the_flash_and_nothing_there_opens_the_command,
    "intend_in_memory": partial(
        device.test_end_at_any_point_of_a_rekey_is_gone_on_with_at_the_next_boot, "before_carry_out"
    ),
    "count_keys_alone": device.test_intent_outlives_a_cut_of_keys_that_move,
    "listen_to_the_old_key": device.test_commands_and_receipts_go_on_under_the_new_downlink_key,
    "begin_anywhere": partial(
        device.test_rekey_that_does_not_begin_above_what_is_in_use_is_refused, [4, 0, 64, 7, 9]
    ),
}
OFFICE_CAUGHT_BY = {
    "take_routine_events_along": office.test_everything_before_during_and_after_is_held_and_verified,
    "leave_receipts_as_they_are": office.test_receipts_of_the_old_epoch_are_sealed_anew,
    "remember_keys_over_a_rekey": office.test_old_epoch_that_comes_after_the_proof_spoils_no_key,
    "answer_of_the_newest_epochs_alone": office.test_receipts_of_every_epoch_that_came_are_given,
    "take_above_the_named_head": office.test_copied_flash_can_add_nothing_to_the_epoch_of_before,
    "begin_epochs_under_keys_of_before": lambda pair: (
        office.test_heartbeat_under_keys_of_before_shuts_no_device_out(pair, 9)
    ),
    "tell_nobody_of_what_lies_above": office.test_copied_flash_that_came_first_is_told_of,
    "walk_past_the_named_heads": office.test_copied_flash_that_came_first_is_told_of,
    "lose_the_view_keys_of_before": office.test_keys_of_before_stay_for_what_was_sealed_before,
    "owe_in_memory": office.test_batch_that_fails_behind_the_proof_is_made_good_by_the_next,
    "throw_old_downlink_keys_away": office.test_everything_before_during_and_after_is_held_and_verified,
    "wait_for_what_was_refused": office.test_rekey_that_a_device_refused_is_forgotten,
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(DEVICE) == sorted(DEVICE_CAUGHT_BY)
    assert sorted(OFFICE) == sorted(OFFICE_CAUGHT_BY)


test_fault_planted_in_the_device_is_caught = of_a_device(DEVICE, DEVICE_CAUGHT_BY)


test_fault_that_only_a_cut_shows_is_caught = of_cuts(
    CUTS, "rekeying", (AssertionError, KeyFault, ProtocolError)
)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(LAGGING))
def test_fault_planted_in_how_far_a_generation_may_be_is_caught(name, lagging, monkeypatch):
    """A lane that lags behind is refused."""
    LAGGING[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        office.test_lane_that_lags_far_behind_the_other_takes_other_keys_too(lagging, 1)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(LONG_LIVED))
def test_fault_planted_in_how_long_ends_are_known_is_caught(name, long_lived, monkeypatch):
    """What a copy of the first keys sealed is taken."""
    LONG_LIVED[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        office.test_end_of_an_epoch_holds_however_many_came_since(long_lived)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(OFFICE))
def test_fault_planted_in_the_office_is_caught(name, pair, tmp_path, monkeypatch):
    """The office's test fails against the broken office."""
    OFFICE[name](monkeypatch.setattr)
    test = OFFICE_CAUGHT_BY[name]
    more = (tmp_path,) if "tmp_path" in test.__code__.co_varnames[: test.__code__.co_argcount] else ()
    with pytest.raises((AssertionError, ProtocolError)):
        test(pair, *more)
