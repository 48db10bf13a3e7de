"""Each fault planted in what gateways remember of leaves that sign is caught by the test that promises to catch it."""

from tests.canary.catch import canaries
from tests.office_ingest import test_witness as judge
from tests.office_ingest.test_witness import Restored
from tests.planted.witness import FAULTS


def _in(check):
    return lambda folder: check(Restored(folder))


CAUGHT_BY = {
    "trust_the_database_alone": _in(judge.check_both_put_back_are_found),
    "ask_nobody": _in(judge.check_both_put_back_are_found),
    "look_at_numbers_alone": _in(judge.check_leaf_twice_is_told),
    "believe_a_gateways_word": _in(judge.check_nobodys_word_counts),
    "tell_nobody": _in(judge.check_every_gateway_is_told),
    "count_who_was_asked_as_heard": _in(judge.check_nobodys_word_counts),
    "hear_for_ever": _in(judge.check_unheard_office_does_not_sign),
    "skip_to_what_was_seen": _in(judge.check_skipped_leaf_was_never_used),
    "let_a_successor_begin_again": _in(judge.check_successor_signs_for_one_successor),
    "remember_in_memory": _in(judge.check_both_put_back_are_found),
    "believe_the_disk": _in(judge.check_torn_row_is_told_again),
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
