"""Each fault planted in what a device gives up when it runs short is caught by the test that guards against it."""

import pytest

from tests.planted.degradation import DEGRADATION_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", DEGRADATION_FAULTS)
def test_named_test_catches_the_planted_fault(name, monkeypatch):
    """It fails with the fault, by a broken promise and not by a mistake in the fault."""
    plant, check = DEGRADATION_FAULTS[name]
    plant(monkeypatch.setattr)

    with pytest.raises(AssertionError):
        check()
