"""Each fault planted in who may do what is caught by the test that promises to catch it."""

import pytest

from office_ingest.founding import found_office
from tests.office_ingest import test_people as people
from tests.office_ingest import test_permissions as commands
from tests.office_ingest.show import test_login as login
from tests.office_ingest.show.conftest import Page
from tests.planted.permissions import FAULTS
from tests.support.office_desk import OfficeDesk


def _with_settings(test, *after):
    return lambda folder, *_: test(found_office(folder / "office", now_ms=1, port=0), *after)


def _asked(test, *after):
    def run(folder, *_):
        desk = OfficeDesk(folder)
        asked = people.make_asked(desk)
        try:
            test(asked, *after)
        finally:
            asked.worker.shutdown()
            desk.close()

    return run


def _guarded(test, *after):
    def run(folder, *_):
        page = Page(folder / "office", devices=4)
        guarded = login.Guarded(page)
        try:
            test(guarded, *after)
        finally:
            guarded.close()
            page.room.close()

    return run


def _alone(test):
    return lambda *_: test()


def _told(test):
    return lambda folder, patch, capsys: test(found_office(folder / "office", now_ms=1, port=0), capsys)


def _patched(test):
    return lambda folder, patch, capsys: test(found_office(folder / "office", now_ms=1, port=0), patch)


CAUGHT_BY = {
    "leave_a_command_undeclared": _alone(commands.test_every_command_declares_what_it_needs),
    "leave_a_route_undeclared": _asked(people.test_every_route_declares_what_it_needs),
    "let_the_undeclared_pass": _asked(people.test_a_route_that_declares_nothing_answers_nobody),
    "let_every_command_pass": _with_settings(
        commands.test_every_command_lets_pass_who_may_and_nobody_else, "viewer"
    ),
    "let_every_token_pass": _asked(people.test_every_route_for_every_role, "viewer"),
    "widen_a_role": _with_settings(commands.test_every_command_lets_pass_who_may_and_nobody_else, "operator"),
    "forget_that_tokens_end": _asked(people.test_a_token_is_good_until_its_last_millisecond),
    "forget_that_tokens_are_revoked": _asked(people.test_a_revoked_token_is_useless_at_once),
    "believe_a_changed_row": _asked(people.test_a_row_that_was_changed_lets_nobody_in, {"role": "admin"}),
    "compare_the_identity_only": _asked(people.test_no_route_answers_without_a_token),
    "keep_the_token": _asked(people.test_only_the_hash_is_kept),
    "show_all_sites": _asked(people.test_a_token_of_one_site_sees_that_site_alone),
    "write_nothing_down": _told(commands.test_what_changes_is_written_down_before_and_after),
    "believe_the_environment": _patched(commands.test_the_user_is_the_operating_systems_not_the_environments),
    "open_a_page": _guarded(login.test_no_page_without_a_token),
    "leave_a_page_undeclared": _guarded(login.test_every_role_may_read_every_page, "viewer"),
    "take_any_form": _guarded(
        login.test_another_pages_form_signs_nobody_in_or_out, {"Sec-Fetch-Site": "cross-site"}
    ),
    "keep_a_session_of_a_revoked_token": _guarded(login.test_a_session_ends_with_its_token),
}


def test_every_planted_fault_of_permissions_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_permissions_is_caught(name, tmp_path, capsys):
    """The test of the broken promise fails when the promise is broken."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch.setattr)
        with pytest.raises((AssertionError, KeyError)):
            CAUGHT_BY[name](tmp_path, patch, capsys)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_permissions_passes_without_the_fault(name, tmp_path, capsys):
    """The same test passes on the office as it is."""
    with pytest.MonkeyPatch.context() as patch:
        CAUGHT_BY[name](tmp_path, patch, capsys)
