"""Each fault planted in changing a view class is caught by the test that promises to catch it."""

from tests.agent import test_view_class as agent
from tests.canary.catch import canaries
from tests.office_ingest import test_view_class as office
from tests.planted.view_class import FAULTS


def _agent(test):
    return lambda folder: test()


def _office(test):
    return lambda folder: test(office.Changed(folder))


_RESTARTS = _agent(agent.check_restarts_neither_forget_nor_hurry)
_CHANGES = _agent(agent.check_class_changes_with_the_next_period)
_FOUND = _office(office.check_class_that_was_forgotten_is_found)
CAUGHT_BY = {
    "change_within_a_period": _CHANGES,
    "forget_the_class_in_force": _RESTARTS,
    "forget_the_class_over_a_restart": _RESTARTS,
    "change_the_critical_lane_too": _agent(agent.test_critical_lane_keeps_its_class),
    "say_done_and_do_nothing": _CHANGES,
    "take_orders_of_anybody": _agent(agent.check_gateway_cannot_open_a_lane),
    "believe_what_it_said": _FOUND,
    "expect_it_at_once": _FOUND,
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
