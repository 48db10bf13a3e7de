"""Each fault planted in what waits for a window is caught by the test that promises to catch it."""

from tests.agent import test_bulk as agent
from tests.canary.catch import canaries
from tests.gateway import test_bulk as gateway
from tests.planted.bulk import FAULTS


def _of(test):
    return lambda folder: test()


_BACKLOG = _of(agent.check_backlog_waits_and_critical_does_not)
CAUGHT_BY = {
    "hold_what_is_critical": _BACKLOG,
    "send_a_backlog_outside": _BACKLOG,
    "fetch_releases_outside": _of(agent.test_release_waits_for_its_window),
    "wait_for_a_window_that_never_comes": _of(agent.check_ring_that_fills_opens_the_window),
    "open_while_no_time_is_known": _of(
        agent.test_own_window_is_shut_until_the_time_is_known_and_then_as_the_day_has_it
    ),
    "forget_what_a_command_opened": _of(agent.test_persons_command_opens_the_window_for_an_urgent_release),
    "go_on_as_the_dear_link_said": _of(agent.test_cheap_link_is_told_by_its_first_answer),
    "close_at_midnight": _of(gateway.check_window_over_midnight),
    "say_it_of_every_link": _of(gateway.check_each_link_has_its_own_window),
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
