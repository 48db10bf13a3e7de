"""Each fault planted in the page is caught by the test that promises to catch it."""

import pytest

from office_ingest.show import service
from tests.office_ingest.show import (
    test_boards,
    test_findings,
    test_inputs,
    test_live,
    test_order,
    test_recents,
    test_site,
    test_snapshot,
    test_strange_devices,
)
from tests.office_ingest.show.conftest import NOW_MS, Page
from tests.office_ingest.show.test_live import hasty
from tests.planted.page import FAULTS
from tools.page_fleet import make_office

# Fixture of the page's own tests.
__all__ = ["hasty"]


def _with_page(test, *arguments):
    def run(folder):
        page = Page(folder)
        try:
            test(page, *arguments)
        finally:
            page.room.close()

    return run


def _refuses_others(_folder):
    # The name that the test imported is the real one; what the service calls is asked here.
    kept, test_site.is_loopback = test_site.is_loopback, service.is_loopback
    try:
        test_site.test_an_address_that_others_reach_is_not_this_machines_own("0.0.0.0")
    finally:
        test_site.is_loopback = kept


def _keeps_up(folder):
    fleet = make_office(folder, devices=40, now_ms=NOW_MS)
    test_snapshot.test_reading_what_was_written_since_gives_what_reading_everything_gives(fleet, 0)


def _alone(test, *arguments):
    return lambda _folder: test(*arguments)


def _far_in_time(page):
    test_strange_devices.test_time_beyond_every_calendar(test_strange_devices.Liar(page))


def _with_desk(test, *arguments):
    def with_page(page):
        desk = test_recents.Desk(page)
        try:
            test(desk, *arguments)
        finally:
            desk.close()

    return _with_page(with_page)


def _kept_of_devices(folder):
    with pytest.MonkeyPatch.context() as patch:
        _with_desk(test_recents.test_what_is_kept_of_a_device_is_what_is_read_anew, patch, 0, 32)(folder)


def _with_troubles(test):
    def with_page(page):
        troubles = test_findings.Troubles(page)
        try:
            test(troubles)
        finally:
            troubles.close()

    return _with_page(with_page)


CAUGHT_BY = {
    "count_adoption_events": _with_page(test_site.test_rollout_page_counts_only_sealed_heartbeats),
    "answer_any_name": _with_page(
        test_site.test_a_name_that_is_not_this_machine_gets_nothing, "evil.example"
    ),
    "send_no_policy": _with_page(test_site.test_every_answer_carries_the_policy, "/"),
    "show_markup": _with_page(test_site.test_what_people_wrote_is_never_markup),
    "listen_anywhere": _refuses_others,
    "open_for_writing": _with_page(test_site.test_the_page_cannot_write_to_the_database),
    "keep_trouble": _keeps_up,
    "end_at_what_fails": _alone(test_live.go_on_after, "render"),
    "see_parts_only": _alone(
        test_live.test_viewer_fetches_the_page_again_where_anything_else_of_it_changed, "text"
    ),
    "overlook_attributes": _alone(
        test_live.test_viewer_fetches_the_page_again_where_anything_else_of_it_changed, "class"
    ),
    "hold_the_quick_up": _alone(test_live.test_viewer_who_stalls_holds_nobody_up),
    "keep_what_nobody_views": _alone(test_live.test_nothing_is_kept_of_a_page_that_nobody_views),
    "trust_the_calendar": _with_page(_far_in_time),
    "show_what_was_erased": _with_desk(test_recents.test_an_erased_key_takes_what_was_shown_with_it),
    "keep_what_was_erased": _with_desk(test_recents.test_an_erased_key_leaves_no_reading_in_memory),
    "keep_written_readings": _with_desk(test_recents.test_an_erased_key_leaves_no_reading_in_memory),
    "keep_readings": _kept_of_devices,
    "count_lanes_once": _kept_of_devices,
    "keep_findings": _with_troubles(test_findings.test_findings_are_written_anew_when_they_changed),
    "keep_orders": _with_page(test_order.check_orders, 0),
    "keep_standing": _with_page(test_site.test_a_device_that_falls_back_is_no_longer_counted),
    "keep_written_findings": _with_troubles(test_findings.test_findings_are_written_anew_when_they_changed),
    "count_in_only": _keeps_up,
    "count_from_the_top": _alone(
        test_inputs.test_each_part_of_a_histogram_is_the_part_that_the_device_counted
    ),
    "show_enough_where_nobody_knows": _with_page(
        test_inputs.test_page_of_a_device_shows_its_counts_and_what_it_has_left
    ),
    "watch_the_database_alone": _with_page(test_boards.test_a_board_that_is_heard_is_a_change),
    "show_who_is_done": _with_page(test_boards.test_the_command_on_the_page_admits_the_board),
    "admit_like_anybody": _with_page(test_boards.test_the_command_on_the_page_admits_the_board),
}


def test_every_planted_fault_of_the_page_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_the_page_is_caught(name, tmp_path, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises(
        (AssertionError, KeyError, OverflowError, TimeoutError, ValueError, pytest.fail.Exception)
    ):
        CAUGHT_BY[name](tmp_path / "office")


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_the_page_passes_without_the_fault(name, tmp_path):
    """The same test passes on the page as it is."""
    CAUGHT_BY[name](tmp_path / "office")
