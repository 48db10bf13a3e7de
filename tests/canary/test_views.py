"""Each fault planted in view keys is caught by the test that promises to catch it."""

import pytest

from tests.gateway import test_readings as gateway
from tests.office_ingest import test_views as office
from tests.planted.views import GATEWAYS, OFFICES
from tests.support.office_desk import OfficeDesk


def _office(test):
    def run(folder):
        desk = OfficeDesk(folder)
        try:
            test(desk, office.add_device(desk))
        finally:
            desk.close()

    return run


def _gateway(test, *after):
    return lambda folder: test(gateway.runner(folder), *after)


CAUGHT_BY = {
    "give_keys_of_class_office": _office(office.test_a_granted_gateway_gets_single_keys_of_class_site),
    "give_keys_of_any_device": _office(office.test_a_gateway_gets_no_key_of_another_sites_device),
    "give_keys_of_revoked_devices": _office(office.test_a_revoked_device_is_read_no_more),
    "give_without_a_grant": _office(office.test_nothing_is_given_that_nobody_granted),
    "keep_silent_about_a_withdrawn_grant": _office(office.test_a_withdrawn_grant_leaves_nothing),
    "give_them_each_time": _office(office.test_it_is_said_when_it_changed_and_once_a_minute),
    "read_whatever_comes_out": _gateway(gateway.test_a_changed_body_is_not_shown),
    "keep_readings": _gateway(
        gateway.test_a_period_that_is_named_no_more_is_forgotten_with_its_readings, "withdrawn"
    ),
    "keep_the_log": _gateway(
        gateway.test_a_period_that_is_named_no_more_is_forgotten_with_its_readings, "erased"
    ),
    "show_what_came_last": _gateway(gateway.test_an_older_segment_that_comes_late_changes_nothing),
}
FAULTS = {**OFFICES, **GATEWAYS}


def test_every_planted_fault_of_view_keys_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_view_keys_is_caught(name, tmp_path):
    """The test of the broken promise fails when the promise is broken."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch.setattr)
        with pytest.raises(AssertionError):
            CAUGHT_BY[name](tmp_path)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_view_keys_passes_without_the_fault(name, tmp_path):
    """The same test passes on the code as it is."""
    CAUGHT_BY[name](tmp_path)
