"""Each fault planted in the links that the office tells is caught by the test that promises to catch it."""

from protocol.errors import ProtocolError
from tests.canary.catch import canaries, on_desk
from tests.gateway import test_link_set as gateway
from tests.gateway import test_sessions
from tests.office_ingest import test_api
from tests.office_ingest import test_links as office
from tests.planted.links_told import FAULTS


def _office(test):
    return on_desk(lambda desk: test(office.Told(desk)))


def _api(desk):
    with test_api.calling(desk) as call:
        test_api.check_token_opens_no_links(call)


def _gateway(test, *after, listed=()):
    return lambda folder: test(gateway.runner(folder, listed), *after)


def _large_site(told):
    """What has no room is refused by who would send it."""
    try:
        office.check_large_site_in_steps(told)
    except ProtocolError as error:
        raise AssertionError(str(error)) from None


_GONE = _gateway(
    gateway.test_a_device_that_the_set_no_longer_names_is_gone_whatever_the_file_says,
    listed=[gateway.link(1)],
)
CAUGHT_BY = {
    "tell_every_site": _office(office.test_a_gateway_gets_the_links_of_its_own_site),
    "tell_revoked_devices": _office(office.test_a_revoked_device_is_gone_with_the_next_answer),
    "tell_all_each_time": _office(office.test_only_differences_travel),
    "remember_what_was_once_so": _office(office.test_a_device_that_moved_is_its_new_sites_alone),
    "tell_who_shows_a_token": on_desk(_api),
    "believe_the_file": _GONE,
    "keep_the_log_of_links": _GONE,
    "take_whatever_comes_out": _gateway(
        gateway.test_what_does_not_fit_changes_nothing_and_is_asked_for_whole, "mark"
    ),
    "reuse_the_requests_nonce": test_sessions.check_no_nonce_of_two_gateways,
    "tell_the_first_of_a_large_site": _office(office.check_large_site_in_steps),
    "tell_a_large_site_at_once": _office(_large_site),
    "wait_a_minute_for_the_next_step": _gateway(gateway.check_asks_again_after_a_change),
    "forget_the_set": _gateway(gateway.test_a_set_counts_at_once_and_after_a_restart),
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
