"""Each fault planted in the office's way down is caught by the test that promises to catch it."""

import pytest

from tests.office_ingest import test_cli as cli
from tests.office_ingest import test_takings as takings
from tests.office_ingest import test_verify_down as down
from tests.office_ingest.conftest import desk
from tests.planted.office_down import FAULTS

# Fixture of the office's own tests, so that the very same checks run here.
__all__ = ["desk"]


def _answered_twice(desk, fleet):
    takings.test_command_that_is_answered_twice_keeps_its_first_answer_and_is_told(desk, fleet, 1)


def _lived(test, *more):
    """Run a test of the auditor's walk, whose fleet has lived."""
    return lambda desk, fleet: test(desk, down.lived(desk, fleet), *more)


CAUGHT_BY = {
    "count_adoption_events": takings.test_rollout_counts_sealed_heartbeats_only,
    "list_half_signed": takings.test_half_signed_release_is_not_rolled_out,
    "serve_any_site": takings.test_gateway_of_another_site_gets_nothing,
    "reuse_command_numbers": takings.test_numbers_of_commands_rise_and_never_repeat,
    "name_answered_commands": takings.test_command_is_sealed_for_one_device_and_named_until_it_is_answered,
    "mean_every_cohort": takings.test_answer_names_the_release_wanted_on_each_device_that_beats,
    "never_see_drift": takings.test_rules_that_nobody_can_account_for_are_found_within_two_heartbeats_and_cleared,
    "keep_drift": takings.test_rules_that_nobody_can_account_for_are_found_within_two_heartbeats_and_cleared,
    "want_the_lowest": takings.test_highest_signed_release_that_is_meant_and_rolled_out_is_wanted,
    "answer_any_demand": takings.test_answer_to_another_demand_is_a_finding_and_answers_nothing,
    "explain_by_history": takings.test_older_rules_that_decide_again_without_a_word_are_drift,
    "keep_the_last_answer": _answered_twice,
    "believe_any_rules_of_a_release": _lived(
        down.test_trial_of_a_release_brings_the_rules_of_that_release_and_no_others
    ),
    "name_every_release": takings.test_past_decision_resolves_to_its_bundle_its_release_and_its_signer,
    "forget_the_signers": takings.test_past_decision_resolves_to_its_bundle_its_release_and_its_signer,
    "show_a_promise_as_running": cli.test_device_that_runs_what_is_wanted_is_shown_so,
    "believe_adoptions": _lived(down.test_changed_adoption_is_named, "step"),
    "believe_answers": _lived(down.test_changed_answer_to_a_command_is_named, "verdict", 2),
    "believe_added_rows": _lived(down.test_added_answer_to_a_command_is_named),
    "believe_deleted_rows": _lived(down.test_added_and_deleted_adoptions_are_named),
    "believe_reports": _lived(down.test_changed_report_is_named, "version"),
    "believe_issued_commands": _lived(
        down.test_issued_command_whose_row_differs_from_its_sealed_bytes_is_named, "until_ms", 5
    ),
    "believe_any_seal_of_a_command": _lived(down.test_issued_command_that_another_key_sealed_is_named),
    "miss_no_number": _lived(down.test_deleted_command_that_nobody_answered_leaves_a_hole_in_the_numbers),
}


def test_every_planted_fault_of_the_way_down_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_the_way_down_is_caught(name, desk, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    fleet = takings.make_fleet(desk)
    FAULTS[name](monkeypatch.setattr)
    # What the office had in memory was made before the fault.
    desk.start()

    # ValueError: not the one finding that the test unpacks.
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        CAUGHT_BY[name](desk, fleet)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_the_way_down_passes_without_the_fault(name, desk):
    """The same test passes on the office as it is."""
    CAUGHT_BY[name](desk, takings.make_fleet(desk))
