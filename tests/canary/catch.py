"""What canaries of one shape share: each planted fault has a test that fails with the fault in and passes without it."""

import pytest

from tests.agent import cuts_down
from tests.support.office_desk import OfficeDesk


def canaries(faults, caught_by):
    """Return the three tests of a register of faults. faults: name -> plant(put); caught_by: name -> run(folder), the test that catches it."""

    def test_every_planted_fault_has_its_test():
        """A fault without a test that catches it would prove nothing."""
        assert sorted(faults) == sorted(caught_by)

    @pytest.mark.canary
    @pytest.mark.parametrize("name", sorted(faults))
    def test_planted_fault_is_caught(name, tmp_path):
        """The test of the broken promise fails when the promise is broken."""
        with pytest.MonkeyPatch.context() as patch:
            faults[name](patch.setattr)
            with pytest.raises(AssertionError):
                caught_by[name](tmp_path)

    @pytest.mark.canary
    @pytest.mark.parametrize("name", sorted(faults))
    def test_test_of_a_fault_passes_without_it(name, tmp_path):
        """The same test passes on the code as it is."""
        caught_by[name](tmp_path)

    return (
        test_every_planted_fault_has_its_test,
        test_planted_fault_is_caught,
        test_test_of_a_fault_passes_without_it,
    )


def of_a_device(faults, caught_by):
    """Return the test of a register of faults of the device, whose tests need nothing. faults: as above; caught_by: name -> test()."""

    @pytest.mark.canary
    @pytest.mark.parametrize("name", sorted(faults))
    def test_fault_planted_in_the_device_is_caught(name, monkeypatch):
        """The device's test fails against the broken device."""
        faults[name](monkeypatch.setattr)
        with pytest.raises(AssertionError):
            caught_by[name]()

    return test_fault_planted_in_the_device_is_caught


def of_cuts(faults, story, errors):
    """Return the test of a register of faults that only a cut shows: the sweep over all cuts of a story of tests.agent.cuts_down ends in one of errors."""

    @pytest.mark.canary
    @pytest.mark.parametrize("name", sorted(faults))
    def test_fault_that_only_a_cut_shows_is_caught(name, monkeypatch):
        """What is neither as before nor as after is found by the sweep over all cuts."""
        faults[name](monkeypatch.setattr)
        with pytest.raises(errors):
            cuts_down.sweep(*cuts_down.STORIES[story], "torn")

    return test_fault_that_only_a_cut_shows_is_caught


def on_desk(test):
    """Return run(folder): test(desk) of an office in that folder."""

    def run(folder):
        desk = OfficeDesk(folder)
        try:
            test(desk)
        finally:
            desk.close()

    return run
