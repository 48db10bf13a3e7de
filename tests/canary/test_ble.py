"""Each planted fault of the link over BLE is caught by the test that guards its promise."""

import pytest

from tests.agent import test_ble_link as at_device
from tests.agent.test_ble_link import Desk
from tests.gateway import test_ble as over_air
from tests.gateway import test_ble_turns as turns
from tests.planted.ble import FAULTS

# Name of the fault -> what runs the test that catches it.
CAUGHT_BY = {
    "join_halves_of_two_connections": lambda: (
        at_device.test_half_of_a_frame_is_never_joined_with_what_a_later_connection_brings(Desk())
    ),
    "take_bytes_of_either_connection": lambda: (
        at_device.test_bytes_read_while_the_connection_ends_are_nobodys(Desk())
    ),
    "say_again_what_was_answered": lambda: at_device.test_answered_frame_is_not_said_again(Desk()),
    "leave_the_repetition_to_time": lambda: (
        at_device.test_unanswered_frame_is_said_again_whole_when_a_connection_opens(Desk())
    ),
    "go_on_where_the_last_connection_ended": lambda: (
        at_device.test_unanswered_frame_is_said_again_whole_when_a_connection_opens(Desk())
    ),
    "speak_before_anybody_listens": lambda: at_device.test_nothing_is_said_before_the_central_has_written(
        Desk()
    ),
    "forget_the_header_of_a_piece": lambda: at_device.test_frame_leaves_in_pieces_that_fit_the_connection(
        Desk(), 60
    ),
    "skip_the_piece_that_finds_no_room": lambda: at_device.test_stack_without_room_gets_the_rest_later(
        Desk()
    ),
    "keep_a_central_that_never_answers": lambda: at_device.test_central_that_says_nothing_is_sent_away(
        Desk()
    ),
    "read_all_connections_as_one_stream": (
        over_air.test_halves_of_a_frame_from_two_connections_are_never_joined
    ),
    "send_old_answers_into_a_new_connection": (
        over_air.test_answer_of_an_ended_connection_is_not_sent_into_the_next
    ),
    "serve_by_name": lambda: turns.test_each_of_many_has_as_many_turns_as_any_other(0),
    "believe_every_advertiser": turns.test_strangers_without_number_leave_devices_half_of_the_turns,
    "never_end_a_turn": lambda: over_air.test_more_devices_than_connections_have_their_turns(1),
    "scan_once": over_air.test_adapter_that_is_pulled_off_is_found_again,
    "ask_a_refused_stranger_for_ever": turns.test_turns_that_bring_nothing_become_rare,
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises((AssertionError, TimeoutError)):
        CAUGHT_BY[name]()
