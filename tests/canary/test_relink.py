"""Each fault planted in giving a device another link is caught by the test that promises to catch it."""

import pytest

from agent.keystore import KeyFault
from tests.agent import test_relink as device
from tests.canary.catch import of_a_device, of_cuts
from tests.gateway import test_sessions as gateway
from tests.gateway.test_sessions import bench
from tests.office_ingest import test_relink as office
from tests.office_ingest.conftest import desk
from tests.office_ingest.test_attestation import Attesting, check_relink_waits
from tests.office_ingest.test_relink import pair
from tests.planted.relink import CUTS, DEVICE, GATEWAY, OFFICE, UNKNOWN

# Fixtures of the very tests, so that they run here as they run there.
__all__ = ["bench", "desk", "pair"]

DEVICE_CAUGHT_BY = {
    "believe_an_answer_over_the_link_of_before": device.check_answer_over_the_link_of_before_proves_nothing,
    "forget_a_root_for_the_next_agent": device.check_root_refused_where_the_active_agent_would_forget_it,
    "go_over_for_good": device.test_gateway_that_does_not_serve_the_next_link_yet_keeps_its_device,
    "never_go_back_to_the_next": device.test_next_link_is_tried_again_while_the_link_of_before_answers,
    "go_on_in_the_same_numbers": device.test_going_back_and_forth_between_links_uses_no_nonce_twice,
    "say_nothing_of_it": device.test_device_takes_another_link_says_so_and_asks_over_it_alone,
    "leave_links_behind_in_a_move": device.test_link_stays_when_all_keys_become_others,
    "keep_the_link_of_before": device.test_link_is_given_again_and_again,
    "take_an_agent_that_forgets_it": device.test_release_with_an_agent_that_would_forget_the_link_is_refused,
    "never_mind_the_image": device.test_relink_is_refused_where_the_image_would_forget_it,
}
OFFICE_CAUGHT_BY = {
    "give_a_settled_number_again": office.check_number_given_again,
    "end_it_with_the_answer": office.test_answer_alone_ends_no_link,
    "end_it_when_given": office.test_both_links_are_told_until_the_other_one_was_heard,
    "believe_any_number": office.test_heartbeat_of_another_relink_ends_no_link,
    "wait_for_what_was_refused": office.test_relink_that_a_device_refused_leaves_the_link_of_before,
    "give_up_with_the_time": office.test_relink_whose_time_is_over_may_have_been_taken,
    "pass_over_holes": office.test_answer_behind_a_hole_says_nothing_of_an_earlier_relink,
    "give_both_at_once": office.test_rekey_and_relink_wait_for_each_other,
    "never_mind_the_gateways": office.test_site_with_a_gateway_that_is_told_no_links_gets_none,
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(DEVICE) == sorted(DEVICE_CAUGHT_BY)
    assert sorted(OFFICE) == sorted(OFFICE_CAUGHT_BY)


test_fault_planted_in_the_device_is_caught = of_a_device(DEVICE, DEVICE_CAUGHT_BY)


test_fault_that_only_a_cut_shows_is_caught = of_cuts(CUTS, "relinking_again", (AssertionError, KeyFault))


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(OFFICE))
def test_fault_planted_in_the_office_is_caught(name, pair, monkeypatch):
    """The office's test fails against the broken office."""
    OFFICE[name](monkeypatch.setattr)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        OFFICE_CAUGHT_BY[name](pair)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_fault_planted_in_what_is_withheld_is_caught(name, desk, monkeypatch):
    """A link goes to a device that runs what is not known."""
    UNKNOWN[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        check_relink_waits(Attesting(desk))


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(GATEWAY))
def test_fault_planted_in_the_gateway_is_caught(name, bench, monkeypatch):
    """The gateway's test fails against the broken gateway."""
    GATEWAY[name](monkeypatch.setattr)
    with pytest.raises((AssertionError, gateway.Refused, pytest.fail.Exception)):
        gateway.check_both_links_count(bench)
