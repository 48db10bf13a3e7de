"""Power cuts at every flash operation of the way down: fetch, stage, switch, confirm, roll back, commands, other keys.

Here the whole agent is cut: what its parts say to each other. What a cut leaves of a page, whole, half or as noise, and a second cut
in the recovery, is the business of tests/cuts, over the same cell, slots and journal. So each operation is cut in the torn way, which
leaves the most to find, alone and with a second cut, and in one of the other two ways: `make sweep`. `make test` cuts one operation in
five, alone and with a second cut. With OUTSTATION_SOAK set, all in all ways.
"""

import pytest

from agent.flash import MODES
from tests.agent import cuts_down
from tests.soak import IS_SOAK

# (way, first operation, step, depth)
SAMPLES = [("torn", 0, 5, 1), ("torn", 2, 5, 2)]
SWEEPS = [("torn", 0, 1, 1), ("torn", 0, 1, 2), ("clean", 0, 2, 1), ("noise", 1, 2, 1)]
SOAK = [(mode, 0, 1, depth) for mode in MODES for depth in (1, 2)]
WAYS = SOAK if IS_SOAK else SAMPLES + [pytest.param(*way, marks=pytest.mark.sweep) for way in SWEEPS]
NAMES = ["way", "first", "step", "depth"]


@pytest.mark.proves("S11")
@pytest.mark.parametrize(NAMES, WAYS)
@pytest.mark.parametrize(
    "name", ["adopting", "rolling_back", "replacing", "updating", "updating_in_vain", "failing"]
)
def test_cut_at_any_operation_of_an_adoption_leaves_the_old_or_the_new_rules(name, way, first, step, depth):
    """
    Never none and never a mixture; the floor never goes back, each step's event is there at least once, and nothing else of the
    journal is lost. Depth 2: the boot after the cut is cut, too.
    """
    story, check = cuts_down.STORIES[name]
    cuts = cuts_down.sweep(story, check, way, step, depth, first)
    print(f"{name}, {way}, from {first} by {step}, depth {depth}: {cuts} cuts")

    assert cuts > 25 // step


@pytest.mark.parametrize(NAMES, WAYS)
def test_cut_at_any_operation_of_a_command_carries_it_out_once(way, first, step, depth):
    """Exactly one event each, in effect once, and the floor never goes back."""
    story, check = cuts_down.STORIES["commanding"]
    cuts = cuts_down.sweep(story, check, way, step, depth, first)
    print(f"commands, {way}, from {first} by {step}, depth {depth}: {cuts} cuts")

    assert cuts > 12 // step


@pytest.mark.parametrize(NAMES, WAYS)
@pytest.mark.parametrize("name", ["relinking", "relinking_again"])
def test_cut_at_any_operation_of_a_relink_leaves_a_link_that_is_served(name, way, first, step, depth):
    """The link of before or the next one, though the one of before ends as soon as the office hears of the other."""
    story, check = cuts_down.STORIES[name]
    cuts = cuts_down.sweep(story, check, way, step, depth, first)
    print(f"{name}, {way}, from {first} by {step}, depth {depth}: {cuts} cuts")

    assert cuts >= 12 // step


@pytest.mark.parametrize(NAMES, WAYS)
def test_cut_at_any_operation_of_a_rekey_leaves_the_old_keys_or_the_new(way, first, step, depth):
    """Never none and never a mixture: one event, all that was sealed arrives, and at the end no key of before is on flash."""
    story, check = cuts_down.STORIES["rekeying"]
    cuts = cuts_down.sweep(story, check, way, step, depth, first)
    print(f"rekey, {way}, from {first} by {step}, depth {depth}: {cuts} cuts")

    assert cuts > 20 // step
