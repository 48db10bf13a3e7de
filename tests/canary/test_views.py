"""Each fault planted in view keys is caught by the test that promises to catch it."""

from tests.canary.catch import canaries, on_desk
from tests.gateway import test_readings as gateway
from tests.office_ingest import test_views as office
from tests.planted.views import GATEWAYS, OFFICES


def _office(test):
    return on_desk(lambda desk: test(desk, office.add_device(desk)))


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

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
