"""Each fault planted under the power cuts, the counters and the decoders is caught by the sweep that guards against it."""

import pytest

from tests.cuts.counters import run_cycles
from tests.cuts.parts import PARTS
from tests.cuts.sweep import CutFailure, sweep
from tests.planted.cuts import CUT_FAULTS

CUTS = 2000
CYCLES = 300


def _catch(catcher):
    """Run a sweep, or the counters; raise AssertionError if they find something."""
    if catcher == "counters":
        cycles = run_cycles(CYCLES)
        assert cycles.reused == 0, f"{cycles.reused} nonces were used twice"
    else:
        sweep(PARTS[catcher], CUTS)


@pytest.mark.canary
@pytest.mark.parametrize("name", CUT_FAULTS)
def test_fault_planted_under_the_cuts_is_caught(name, monkeypatch):
    """A promise is found broken, and the failure says how to see it again."""
    plant, catcher = CUT_FAULTS[name]
    plant(monkeypatch.setattr)

    with pytest.raises(AssertionError) as caught:
        _catch(catcher)
    assert catcher == "counters" or isinstance(caught.value, CutFailure)
    assert not isinstance(caught.value.__cause__, (NameError, TypeError)), caught.value


@pytest.mark.canary
@pytest.mark.parametrize("catcher", sorted({catcher for _, catcher in CUT_FAULTS.values()}))
def test_same_cuts_find_nothing_without_a_fault(catcher):
    """What the canaries look at is whole."""
    _catch(catcher)
