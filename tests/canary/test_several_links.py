"""Each planted fault of a device with several links is caught by the test that guards its promise."""

import pytest

from tests.agent import test_several_links as links
from tests.planted.several_links import FAULTS

# Name of the fault -> the test that catches it.
CAUGHT_BY = {
    "forget_the_request_under_way": links.check_request_under_way_goes_over_the_other_link,
    "never_come_back": links.check_preferred_link_is_looked_at_again_after_a_growing_pause,
    "look_at_the_preferred_link_all_the_time": links.check_preferred_link_is_looked_at_again_after_a_growing_pause,
    "take_the_answer_of_another_exchange": links.check_late_answer_answers_no_other_question,
    "believe_whoever_answers": links.check_who_refuses_without_keys_does_not_hold_a_device,
    "stop_listening_to_the_link_that_was_left": links.check_late_answer_of_the_link_that_was_left_is_taken,
    "keep_a_window_for_each_link": (
        links.check_request_that_was_carried_out_is_not_carried_out_again_over_another_link
    ),
    "take_a_refused_session_for_a_new_one": (
        links.check_request_that_was_carried_out_is_not_carried_out_again_over_another_link
    ),
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, monkeypatch, tmp_path):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises(AssertionError):
        CAUGHT_BY[name](tmp_path)
