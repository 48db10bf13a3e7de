"""Each fault planted in the office's command line is caught by the test that promises to catch it."""

import pytest

from protocol.command import LATE
from tests.office_ingest.govern import test_command_cli as commands
from tests.office_ingest.govern import test_rollout_cli as rollouts
from tests.office_ingest.govern.conftest import field
from tests.planted.office_cli import FAULTS

# Fixture of the office's own tests, so that the very same checks run here.
__all__ = ["field"]


def _late(field, monkeypatch):
    commands.test_wait_ends_with_one_where_it_was_not_carried_out(field, monkeypatch, LATE, None, "late")


CAUGHT_BY = {
    "take_silence_for_an_answer": commands.test_wait_that_is_over_without_an_answer_says_try_again,
    "take_any_answer_for_done": _late,
    "last_ten_minutes_always": lambda field, _: commands.test_for_says_how_long_it_may_be_carried_out(
        field, "90s", 90_000
    ),
    "take_any_time": lambda field, _: commands.test_for_that_is_no_time_is_refused(field, "31d"),
    "say_halted_only": lambda field, _: rollouts.test_halted_release_is_wanted_no_more_and_can_be_resumed(
        field
    ),
    "hide_refusals": lambda field, _: rollouts.test_status_ends_with_one_where_a_device_refused(field),
    "roll_out_what_expired": lambda field, _: rollouts.test_what_cannot_be_rolled_out_is_said(field),
}


def test_every_planted_fault_of_the_command_line_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_the_command_line_is_caught(name, field, monkeypatch):
    """The test of the broken promise fails when the promise is broken."""
    FAULTS[name](monkeypatch.setattr)

    # KeyError, ValueError: a document of another schema came than the test takes apart.
    with pytest.raises((AssertionError, KeyError, ValueError)):
        CAUGHT_BY[name](field, monkeypatch)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_the_command_line_passes_without_the_fault(name, field, monkeypatch):
    """The same test passes on the commands as they are."""
    CAUGHT_BY[name](field, monkeypatch)
