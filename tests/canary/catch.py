"""What canaries of one shape share: each planted fault has a test that fails with the fault in and passes without it."""

import pytest

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


def on_desk(test):
    """Return run(folder): test(desk) of an office in that folder."""

    def run(folder):
        desk = OfficeDesk(folder)
        try:
            test(desk)
        finally:
            desk.close()

    return run
