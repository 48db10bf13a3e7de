"""Power cuts at every flash operation of the storage, and a second one inside the recovery.

Of these scenarios `make sweep` cuts each operation in the torn way, which leaves the most to find, and in one of the other two, and
`make test` one in five; tests/cuts cuts random histories of the same parts in all three. With OUTSTATION_SOAK set, these in all three
ways, too.
"""

import pytest

from agent.flash import MODES
from tests.agent import power_cuts
from tests.soak import IS_SOAK

# (way, first operation, step)
SAMPLES = [("torn", 0, 5)]
SWEEPS = [("torn", 0, 1), ("clean", 0, 2), ("noise", 1, 2)]
SOAK = [(mode, 0, 1) for mode in MODES]
WAYS = SOAK if IS_SOAK else SAMPLES + [pytest.param(*way, marks=pytest.mark.sweep) for way in SWEEPS]


@pytest.mark.proves("S26")
@pytest.mark.parametrize(("way", "first", "step"), WAYS)
@pytest.mark.parametrize("name", power_cuts.SCENARIOS)
def test_cut_at_any_operation_keeps_every_promise_of_the_journal(name, way, first, step):
    """
    After a cut at any program or erase, and another in the recovery, every sealed event is there or said to be pruned, the
    chain closes, no number, order or key goes back, one sector is free, and the device goes on.
    """
    prepared, steps = power_cuts.SCENARIOS[name]()

    assert power_cuts.sweep(prepared, steps, modes=(way,), first=first, step=step) > 5 // step


def test_cut_at_any_operation_never_turns_the_cell_back():
    """Whatever a store that returned has said, every later load says it, or more."""
    assert power_cuts.check_cell() > 200


def test_cut_at_any_operation_loses_no_key_and_keeps_no_old_one():
    """Each chain stands where its last returned step left it, or one further, and nothing before it is readable in raw flash."""
    assert power_cuts.check_keystore() > 500


def test_page_that_does_not_keep_its_bytes_costs_nothing_but_itself():
    """A segment whose read-back differs is programmed again further on, under the same number."""
    assert power_cuts.check_bad_pages() == 32


def test_segment_without_its_last_bytes_is_not_taken_for_one():
    """A tag that was cut anywhere is no seal; the number is used again."""
    assert power_cuts.check_torn_tags() == 32


def test_full_routine_segment_is_close_to_its_limit():
    """Readings that hardly change and readings that jump fill their segments alike."""
    assert power_cuts.check_fill() == 16
