"""Each planted fault of a board's way to its keys is caught by the test that guards its promise."""

import pytest

from agent import newcomer
from office_ingest.govern.admissions import Admissions
from tests.agent import test_newcomer as board
from tests.canary.catch import on_desk
from tests.gateway import test_newcomers as gateway
from tests.gateway.conftest import certificates, files, site
from tests.office_ingest import test_admissions as office
from tests.office_ingest import test_announcement_api as calls
from tests.planted.newcomers import FAULTS

# Fixtures of the gateway's own tests, so that the very same checks run here.
__all__ = ["certificates", "files", "site"]


def _at_office(check):
    run = on_desk(lambda desk: check(desk, Admissions(desk.store, desk.keystore)))
    return lambda use: run(use("tmp_path"))


def _with_a_token(desk):
    with calls.brings(desk) as bringing:
        calls.check_token_brings_no_boards(bringing)


# Name of the fault -> the test that catches it.
CAUGHT_BY = {
    "believe_any_admission": lambda use: board.check_false_admission_is_not_taken("changed"),
    "put_the_settings_in_place_first": lambda use: board.check_power_cut_leaves_a_board_or_a_device(),
    "keep_every_stranger": lambda use: gateway.check_flood_of_forgeries_hides_no_board(),
    "keep_the_first_strangers": lambda use: gateway.check_flood_of_forgeries_hides_no_board(),
    "hand_on_before_the_link_is_told": lambda use: gateway.check_board_is_given_what_it_was_admitted_with(),
    "keep_every_board": lambda use: gateway.check_many_boards_leave_room_for_strangers(),
    "ask_of_known_boards_first": lambda use: gateway.check_many_boards_leave_room_for_strangers(),
    "answer_in_long_blocks": lambda use: gateway.check_smallest_announcement_gets_every_block(use("site")),
    "show_whoever_is_named": _at_office(office.check_forged_announcement_is_nobodys),
    "tell_every_gateway": _at_office(office.check_admission_stays_at_its_site),
    "tell_who_shows_a_token": lambda use: on_desk(_with_a_token)(use("tmp_path")),
    "keep_the_secret": _at_office(office.check_secret_ends_when_the_device_is_heard),
    "seal_other_keys": _at_office(office.check_board_gets_the_keys_that_the_office_keeps),
    "take_a_yes_for_the_first": _at_office(office.check_decided_meanwhile),
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, monkeypatch, request):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)
    # The board's test took the name before the fault was in.
    monkeypatch.setattr(board, "install", newcomer.install)

    with pytest.raises(AssertionError):
        CAUGHT_BY[name](request.getfixturevalue)
