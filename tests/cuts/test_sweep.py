"""Power cuts at every flash operation of random histories, and once more inside the recovery. OUTSTATION_CUTS sets how many."""

import os

import pytest

from agent.flash import MODES
from tests.cuts.parts import PARTS, share
from tests.cuts.sweep import CutFailure, Name, parse_name, replay, sweep

CUTS = int(os.environ.get("OUTSTATION_CUTS", "10000"))
SEED = int(os.environ.get("OUTSTATION_SEED", "1"))

# Where a sweep must have cut: programs and erases of everything that a part writes.
PLACES = {
    "journal": {f"{area} {kind}" for area in ("cell", "keys", "ring") for kind in ("program", "erase")},
    "cell": {"cell program", "cell erase"},
    "keys": {"keys program", "keys erase"},
    "slots": {"cell program", "cell erase", "slots program", "slots erase"},
}


@pytest.mark.proves("S26")
@pytest.mark.timeout(0 if CUTS > 20_000 else 300)
@pytest.mark.parametrize("name", PARTS)
def test_cut_at_every_operation_and_again_in_the_recovery_breaks_no_promise(name):
    """
    Nothing acknowledged is lost, the chain verifies, keys and counters never go back, a key that was given up cannot be read in
    raw flash, and the old or the new release decides, whole.
    """
    tally = sweep(PARTS[name], share(name, CUTS), SEED, all_pairs=CUTS > 100_000)
    print(f"{name}: {tally}, from seed {SEED}")

    assert tally.cuts >= share(name, CUTS)
    assert set(tally.places) == PLACES[name]
    assert tally.second_cuts > tally.cuts // 3
    assert min(tally.modes.values()) > tally.cuts // 5


def test_same_seed_gives_the_same_cuts():
    """A history and the flash after each of its cuts depend on the seed alone."""
    images = []
    for _ in range(2):
        part = Remembering()
        sweep(part, 40)
        images.append(part.images)

    assert images[0] == images[1]
    assert len({bytes(image) for image in images[0]}) > 20


class Remembering(type(PARTS["cell"])):
    """The cell's part, which keeps the flash that each cut left."""

    def __init__(self):
        self.images = []

    def recover(self, device):
        self.images.append(bytes(device.flash.image))
        super().recover(device)


class Forgetful(type(PARTS["cell"])):
    """A part that finds a promise broken at one cut inside a recovery."""

    def check(self, device):
        super().check(device)
        if device.cell.boot == 17:
            raise AssertionError("the boot count is seventeen")


def test_failure_names_a_command_that_repeats_it():
    """What is printed is all that it takes to see the same failure again."""
    with pytest.raises(CutFailure) as first:
        sweep(Forgetful(), 5000)
    name = parse_name(str(first.value).rsplit(" ", 1)[1])
    with pytest.raises(CutFailure) as second:
        replay(Forgetful(), name)

    assert "python -m tests.cuts --replay cell:" in str(first.value)
    assert str(second.value) == str(first.value)


@pytest.mark.parametrize(
    "name", [Name("cell", 3, 4, MODES[1]), Name("journal", 3, 4, MODES[2], (0, MODES[0]))]
)
def test_name_of_a_cut_comes_back_from_its_text(name):
    """A name is written and read the same way, with and without a second cut."""
    assert parse_name(str(name)) == name


@pytest.mark.parametrize("text", ["", "cell:1:2", "cell:1:2:wet", "cell:1:2:torn:3", "cell:x:2:torn"])
def test_text_that_names_no_cut_is_refused(text):
    """A word too many or too few, or a mode that there is not."""
    with pytest.raises(ValueError):
        parse_name(text)
