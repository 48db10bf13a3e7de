"""Each fault planted in the office is caught by the test that promises to catch it."""

import pytest

from protocol.keys import CRITICAL
from tests.office_ingest import (
    test_app,
    test_half_repair,
    test_ingest,
    test_levels,
    test_lives,
    test_metrics,
    test_repair,
    test_replay,
    test_restored,
    test_takeover,
)
from tests.office_ingest.conftest import desk
from tests.office_ingest.test_ingest import device
from tests.planted.office import FAULTS
from tests.support.deciding_device import AT_BOOT, BUNDLE, COUNTED, DecidingDevice
from tests.support.office_desk import OfficeDesk

NEW_EPOCH = test_lives.test_new_epoch_of_a_device_that_was_put_back_begins_anew_and_is_replayed_whole
TWO_LIVES = test_lives.test_two_lives_in_one_epoch_are_one_finding

# Fixtures of the office's own tests, so that the very same checks run here.
__all__ = ["desk", "device"]


def _decides(desk):
    """Return a device that decides, as test_replay's own fixture makes it."""
    deciding = DecidingDevice(5)
    desk.add(deciding)
    desk.registry.add_bundle(BUNDLE)
    deciding.start()
    return deciding


def _replays(test, *more):
    """Run a test of replay with a device whose releases the office holds."""
    return lambda desk, device: test(desk, test_replay.know(desk, _decides(desk)), *more)


def _lived(test, *more):
    """Run a test of a device whose flash is put back."""
    return lambda desk, device: test(desk, test_lives.make_device(desk, 5), *more)


def _kept(beats):
    return lambda desk, device: test_restored.test_what_is_kept_of_a_device_that_was_put_back_agrees(
        desk, device, beats
    )


def _carried_over(desk, device):
    """Run the test of the schema step beside the desk's own files."""
    folder = desk.folder / "older"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        test_restored.test_heartbeats_of_an_older_file_are_carried_over(folder, patch)


def _elsewhere(check, *more):
    """Run a check in a folder beside the desk's own files."""
    return lambda desk, device: check(desk.folder / "office", *more)


def _cut(desk, device):
    """Cut a repair at its commits, beside the desk's own files."""
    folder = desk.folder / "cuts"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        test_repair.check_cuts(folder, patch.setattr)


def _in_levels(test):
    """Run a test of levels in a folder beside the desk's own files."""

    def run(desk, device):
        (desk.folder / "levels").mkdir()
        test(desk.folder / "levels")

    return run


def _on_a_site(check):
    """Run a check of an office and its device in a folder of its own."""

    def run(desk, device):
        with test_app.make_site(desk.folder / "office") as site:
            check(site)

    return run


def _scraped(test):
    """Run a test of metrics in a folder beside the desk's own files."""

    def run(desk, device):
        (desk.folder / "scraped").mkdir()
        asked = test_metrics.make_scraped(OfficeDesk(desk.folder / "scraped"))
        try:
            test(asked)
        finally:
            asked.worker.shutdown()

    return run


CAUGHT_BY = {
    "count_every_site": _scraped(test_metrics.test_a_token_of_one_site_reads_that_site_alone),
    "count_what_is_over": _scraped(test_metrics.test_a_finding_that_is_over_is_not_counted),
    "forget_that_levels_end": _in_levels(
        test_levels.test_finding_opens_when_a_level_rises_and_closes_when_it_is_back
    ),
    "forget_the_pace_at_a_restart": _on_a_site(test_app.check_pace),
    "believe_an_earlier_boot": _on_a_site(test_app.check_pace_of_an_earlier_boot),
    "believe_the_pace_for_ever": _on_a_site(test_app.check_seen_pace),
    "take_silence_for_enough": _in_levels(test_levels.test_heartbeat_without_health_ends_and_begins_nothing),
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
    "receipt_the_generation_of_any_epoch": (
        test_restored.test_receipt_names_the_generation_of_its_own_epoch_and_those_before
    ),
    "keep_memory_after_a_failed_batch": test_ingest.test_full_disk_keeps_nothing_and_answers_nothing,
    "stop_at_a_switch": _replays(test_replay.test_run_goes_on_under_each_bundle_that_takes_over),
    "take_any_checkpoints_bundle": _replays(
        test_replay.test_checkpoint_of_another_bundle_without_a_word_is_not_taken_up, COUNTED
    ),
    "take_any_bundle_at_boot": _replays(
        test_replay.test_checkpoint_of_another_bundle_without_a_word_is_not_taken_up, AT_BOOT
    ),
    "take_any_told_bundle": _replays(test_replay.test_roll_back_leads_to_the_bundle_before_and_to_no_other),
    "remember_what_was_told": _replays(test_replay.test_old_event_excuses_no_later_switch),
    "take_a_believed_trial_for_what_was_before": lambda desk, device: (
        test_takeover.test_trial_told_only_when_it_was_rolled_back_explains_the_rules_before_it()
    ),
    "believe_the_state_of_a_checkpoint": _replays(
        test_replay.test_takeover_with_registers_or_gates_of_its_own_is_found
    ),
    "pass_over_commands": _replays(test_replay.test_run_goes_on_over_commands),
    "know_losses_by_critical_events_alone": _replays(
        test_replay.test_missing_critical_segments_excuse_a_switch_though_routine_ones_among_them_are_held
    ),
    "go_on_over_an_epoch": _lived(NEW_EPOCH, 1, 3),
    "leave_out_what_goes_back": _lived(NEW_EPOCH, 1, 3),
    "overlook_orders_used_again": _lived(NEW_EPOCH, 3, 0),
    "blame_a_run_over_two_lives": _lived(TWO_LIVES, CRITICAL, False),
    "notice_two_lives_where_they_meet": _lived(TWO_LIVES, CRITICAL, True),
    "excuse_an_epoch_by_two_lives": _lived(test_lives.test_what_was_wrong_before_two_lives_is_still_found),
    "take_orders_for_rising_over_epochs": _lived(
        test_lives.test_row_of_a_body_that_was_erased_is_left_alone_though_orders_went_back
    ),
    "order_heartbeats_by_boot": test_restored.test_device_that_was_put_back_is_heard_from_its_new_epoch_on,
    "hear_an_older_epoch": test_restored.test_heartbeat_of_an_older_epoch_stays_a_replay,
    "know_heartbeats_by_boot_and_counter": (
        test_restored.test_same_boot_and_counter_of_another_epoch_is_no_clone
    ),
    "show_the_heartbeat_of_another_epoch": (
        test_restored.test_evidence_about_a_head_is_the_heartbeat_of_its_own_epoch
    ),
    "forget_the_newest_epochs_heartbeats": _kept(70),
    "compare_reports_with_the_highest_boot": _kept(1),
    "forget_heartbeats_at_a_schema_step": _carried_over,
    "repair_in_steps": _cut,
    "forget_a_repair_that_was_cut_off": _cut,
    "repair_without_a_mark": _cut,
    "advise_a_repair_for_ever": lambda desk, device: test_repair.test_what_no_repair_mends_is_said_so(
        desk.folder, "UPDATE devices SET name = 'pomp'"
    ),
    "open_beside_a_cut_repair": _elsewhere(test_half_repair.check_refused),
    "serve_before_a_cut_repair_is_carried_on": _elsewhere(
        test_half_repair.check_what_is_taken_stays, "named"
    ),
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
