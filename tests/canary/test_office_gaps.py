"""Each fault planted in accepting gaps is caught by the test that promises to catch it."""

import pytest

from tests.office_ingest import test_gaps_accepted as gaps
from tests.office_ingest.conftest import desk
from tests.office_ingest.govern import test_gaps_cli as commands
from tests.office_ingest.govern.conftest import field
from tests.office_ingest.govern.test_gaps_cli import lost
from tests.office_ingest.test_gaps_accepted import device
from tests.planted.office_gaps import FAULTS

# Fixtures of the office's own tests, so that the very same checks run here.
__all__ = ["desk", "device", "field", "lost"]

CAUGHT_BY = {
    "accept_what_is_not_pruned": gaps.test_only_what_the_device_has_no_longer_can_be_accepted,
    "accept_what_was_shown": gaps.test_what_was_shown_and_is_no_longer_pruned_is_not_accepted,
    "forget_acceptances_at_restart": gaps.test_receipts_go_on_above_what_was_accepted,
    "overlook_another_process": gaps.test_receipts_go_on_above_what_was_accepted,
    "count_accepted_as_held": gaps.test_accepted_gap_is_wanted_no_more_and_stays_a_gap,
    "refuse_what_was_accepted": gaps.test_segment_of_an_accepted_gap_that_comes_all_the_same_is_stored,
    "want_what_was_accepted": gaps.test_accepted_gap_is_wanted_no_more_and_stays_a_gap,
    "believe_a_changed_acceptance": gaps.test_acceptance_that_its_disk_changed_excuses_nothing_more,
    "lose_acceptances_in_a_repair": gaps.test_repaired_file_knows_what_was_accepted,
}
ASKED = "accept_without_asking"


def test_every_planted_fault_of_acceptance_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted([*CAUGHT_BY, ASKED])


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(CAUGHT_BY))
def test_planted_fault_is_caught(name, desk, device, monkeypatch):
    """The office's test fails against the broken office."""
    FAULTS[name](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        CAUGHT_BY[name](desk, device)


@pytest.mark.canary
def test_planted_fault_of_the_question_is_caught(lost, monkeypatch):
    """The command's test fails against the command that does not ask."""
    FAULTS[ASKED](monkeypatch.setattr)
    with pytest.raises(AssertionError):
        commands.test_accept_says_what_never_comes_and_asks(lost, monkeypatch)
