"""Each planted fault under the gateway's links is caught by the test that guards its promise."""

import pytest

from tests.gateway import test_bad_networks, test_server
from tests.planted.links import FAULTS

# Name of the fault -> the test that catches it.
CAUGHT_BY = {
    "carry_out_again_after_a_separate_response": test_server.check_slow_answer_goes_by_itself,
    "say_at_length_to_strangers": test_server.check_stranger_is_never_sent_more_than_he_may,
    "remember_without_bound": test_server.check_memory_is_bounded,
    "acknowledge_nothing_early": test_server.check_slow_answer_goes_by_itself,
    "take_any_devices_echo": test_bad_networks.check_echo_is_for_one_context_and_one_start,
    "take_an_echo_of_before": test_bad_networks.check_echo_is_for_one_context_and_one_start,
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
        CAUGHT_BY[name](*([tmp_path] if "echo" in name else []))
