"""Each planted fault of a search for the gateway is caught by the test that guards its promise."""

import pytest

from tests.gateway import test_discovery as discovery
from tests.gateway.conftest import certificates, files, site
from tests.planted.discovery import FAULTS

# Fixtures of the gateway's own tests, so that the very same checks run here.
__all__ = ["certificates", "files", "site"]

_REFUSES = discovery.IMPOSTERS["refuses"]
# Name of the fault -> the test that catches it.
CAUGHT_BY = {
    "never_join": discovery.check_device_without_an_address_finds_its_gateway,
    "believe_who_answered_first": lambda site: discovery.check_imposter_is_left(site, _REFUSES),
    "ask_who_was_left_again": lambda site: discovery.check_imposter_is_left(site, _REFUSES),
    "take_an_answer_to_no_question": discovery.check_only_what_answers_the_question_is_heard,
    "stay_with_the_known_address": discovery.check_device_whose_gateway_is_not_there_looks_for_it,
    "answer_a_group_whatever_is_public": (
        discovery.check_group_is_answered_only_what_is_here_and_never_amplified
    ),
    "take_a_group_for_one": discovery.check_group_is_answered_only_what_is_here_and_never_amplified,
}


def test_every_planted_fault_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@discovery.needs_groups
@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_caught(name, monkeypatch, site):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    with pytest.raises(AssertionError):
        CAUGHT_BY[name](site)
