"""Each planted fault of Ctrl-C at a device's process is caught by the test that guards its promise."""

from tests.agent.test_interrupts import check_interrupts_in_a_collection
from tests.canary.catch import canaries
from tests.planted.interrupts import FAULTS

CAUGHT_BY = {
    "raise_in_the_middle": check_interrupts_in_a_collection,
    "forget_to_hand_over": check_interrupts_in_a_collection,
}

(
    test_every_planted_fault_has_its_test,
    test_planted_fault_is_caught,
    test_test_of_a_fault_passes_without_it,
) = canaries(FAULTS, CAUGHT_BY)
