"""Each fault planted in the links that the office tells is caught by the test that promises to catch it."""

import pytest

from tests.gateway import test_link_set as gateway
from tests.gateway import test_sessions
from tests.office_ingest import test_api
from tests.office_ingest import test_links as office
from tests.planted.links_told import FAULTS
from tests.support.office_desk import OfficeDesk


def _office(test):
    def run(folder):
        desk = OfficeDesk(folder)
        try:
            test(office.Told(desk))
        finally:
            desk.close()

    return run


def _api(folder):
    desk = OfficeDesk(folder)
    with test_api.calling(desk) as call:
        test_api.check_token_opens_no_links(call)
    desk.close()


def _gateway(test, *after, listed=()):
    return lambda folder: test(gateway.runner(folder, listed), *after)


_GONE = _gateway(
    gateway.test_a_device_that_the_set_no_longer_names_is_gone_whatever_the_file_says,
    listed=[gateway.link(1)],
)
CAUGHT_BY = {
    "tell_every_site": _office(office.test_a_gateway_gets_the_links_of_its_own_site),
    "tell_revoked_devices": _office(office.test_a_revoked_device_is_gone_with_the_next_answer),
    "tell_all_each_time": _office(office.test_only_differences_travel),
    "remember_what_was_once_so": _office(office.test_a_device_that_moved_is_its_new_sites_alone),
    "tell_who_shows_a_token": _api,
    "believe_the_file": _GONE,
    "keep_the_log_of_links": _GONE,
    "take_whatever_comes_out": _gateway(
        gateway.test_what_does_not_fit_changes_nothing_and_is_asked_for_whole, "mark"
    ),
    "reuse_the_requests_nonce": test_sessions.check_no_nonce_of_two_gateways,
    "forget_the_set": _gateway(gateway.test_a_set_counts_at_once_and_after_a_restart),
}


def test_every_planted_fault_of_told_links_has_its_test():
    """A fault without a test that catches it would prove nothing."""
    assert sorted(FAULTS) == sorted(CAUGHT_BY)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_planted_in_told_links_is_caught(name, tmp_path):
    """The test of the broken promise fails when the promise is broken."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch.setattr)
        with pytest.raises(AssertionError):
            CAUGHT_BY[name](tmp_path)


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_test_of_told_links_passes_without_the_fault(name, tmp_path):
    """The same test passes on the code as it is."""
    CAUGHT_BY[name](tmp_path)
