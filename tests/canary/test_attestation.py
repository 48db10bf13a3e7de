"""Each fault planted in attestation is caught by the test that promises to catch it."""

import pytest

from tests.office_ingest import test_attestation as office
from tests.planted.attestation import FAULTS
from tests.support.office_desk import OfficeDesk


def _office(test, *more):
    def run(folder):
        desk = OfficeDesk(folder)
        try:
            test(office.Attesting(desk), *more)
        finally:
            desk.close()

    return run


_CLAIMS = dict(office.UNKNOWN_CLAIMS)


def _claim(name):
    return _office(office.check_unknown_claim, name, _CLAIMS[name])


CAUGHT_BY = {
    "pass_over_the_hardware": _claim("hardware"),
    "pass_over_the_image": _claim("image"),
    "pass_over_the_agent": _claim("agent"),
    "pass_over_the_rules": _claim("bundle"),
    "pass_over_debugging": _claim("debug"),
    "pass_over_the_engine": _claim("semantics"),
    "know_every_image": _claim("image"),
    "find_and_withhold_nothing": _office(office.check_withheld),
    "give_view_keys_all_the_same": _office(office.check_withheld),
    "never_close": _office(office.test_claims_that_become_known_end_the_finding),
    "take_what_came_last": _office(office.test_newest_claims_count_in_whatever_order_they_come),
}


def test_every_planted_fault_of_attestation_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_attestation_is_caught(name, tmp_path):
    """The test of the broken promise fails when the promise is broken."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch.setattr)
        with pytest.raises(AssertionError):
            CAUGHT_BY[name](tmp_path)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_attestation_passes_without_the_fault(name, tmp_path):
    """The same test passes on the code as it is."""
    CAUGHT_BY[name](tmp_path)
