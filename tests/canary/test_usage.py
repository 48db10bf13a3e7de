"""Each fault planted in counting what devices move is caught by the test that promises to catch it."""

from gateway.errors import OfficeUnreachable
from tests.canary.catch import canaries
from tests.gateway import test_usage as gateway
from tests.office_ingest import test_usage as office
from tests.planted.usage import FAULTS


def _office(test):
    return lambda folder: test(office.Counted(folder))


def _gateway(test, *after):
    return lambda folder: test(gateway.runner(folder), *after)


CAUGHT_BY = {
    "add_what_is_told_again": _office(office.check_told_twice_counts_once),
    "believe_whatever_came_last": _office(office.check_told_twice_counts_once),
    "let_one_gateway_speak_for_all": _office(office.check_gateways_add_up),
    "take_all_lives_for_one": _office(office.check_a_gateway_that_lost_its_store_loses_no_day),
    "take_any_number_of_lives": _office(office.check_a_lying_gateway_is_bounded),
    "begin_in_the_life_of_before": _gateway(gateway.test_totals_of_a_lost_store_count_beside_what_was_told),
    "count_replays_as_repetitions": lambda folder: (
        gateway.check_replays_cost_a_device_no_more_than_its_own_repetitions()
    ),
    "believe_what_was_challenged": lambda folder: gateway.check_old_requests_are_nobodys(),
    "never_close_a_budget": _office(office.check_over_budget_opens_and_closes),
    "count_the_request_alone": lambda folder: gateway.test_each_repetition_costs_what_it_moves(),
    "begin_at_nothing": _gateway(
        gateway.test_an_office_that_does_not_hear_is_told_later, OfficeUnreachable("gone")
    ),
    "load_what_was_kept_twice": _gateway(gateway.test_totals_are_of_a_device_a_day_and_a_link),
    "count_the_day_of_the_start": _gateway(gateway.test_totals_are_of_a_device_a_day_and_a_link),
    "forget_what_was_not_told": _gateway(
        gateway.test_an_office_that_does_not_hear_is_told_later, OfficeUnreachable("gone")
    ),
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
