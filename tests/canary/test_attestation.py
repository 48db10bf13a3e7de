"""Each fault planted in attestation is caught by the test that promises to catch it."""

from tests.canary.catch import canaries, on_desk
from tests.office_ingest import test_attestation as office
from tests.planted.attestation import FAULTS


def _office(test, *more):
    return on_desk(lambda desk: test(office.Attesting(desk), *more))


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
    "hand_down_keys_all_the_same": _office(office.check_rekey_waits),
    "never_close": _office(office.test_claims_that_become_known_end_the_finding),
    "take_what_came_last": _office(office.test_newest_claims_count_in_whatever_order_they_come),
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
