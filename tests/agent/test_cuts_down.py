"""Power cuts at every flash operation of the way down: fetch, stage, switch, confirm, roll back, commands."""

import pytest

from agent.flash import MODES
from tests.agent import cuts_down


@pytest.mark.proves("S11")
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["adopting", "rolling_back", "replacing"])
def test_cut_at_any_operation_of_an_adoption_leaves_the_old_or_the_new_rules(name, mode, depth):
    """
    Never none and never a mixture; the floor never goes back, each step's event is there at least once, and nothing else of the
    journal is lost. Depth 2: the boot after the cut is cut, too.
    """
    story, check = cuts_down.STORIES[name]
    # The longest preparation: of the second cuts each second one.
    step = 2 if (name, depth) == ("replacing", 2) else 1
    cuts = cuts_down.sweep(story, check, mode, step, depth)
    print(f"{name}, {mode}, depth {depth}: {cuts} cuts")

    assert cuts > 25


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_cut_at_any_operation_of_a_command_carries_it_out_once(mode, depth):
    """Exactly one event each, in effect once, and the floor never goes back."""
    story, check = cuts_down.STORIES["commanding"]
    cuts = cuts_down.sweep(story, check, mode, depth=depth)
    print(f"commands, {mode}, depth {depth}: {cuts} cuts")

    assert cuts > 12
