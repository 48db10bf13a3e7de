"""Each fault planted in the device's storage is caught by the check that guards against it."""

import pytest

from tests.agent import power_cuts
from tests.planted.device import DEVICE_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", DEVICE_FAULTS)
def test_check_of_the_storage_catches_the_planted_fault(name, monkeypatch):
    """The check fails with the fault, by a broken promise and not by chance of time or order."""
    plant, check = DEVICE_FAULTS[name]
    plant(monkeypatch.setattr)

    with pytest.raises(Exception) as caught:
        power_cuts.run_check(check)
    assert not isinstance(caught.value, (NameError, ImportError)), caught.value


@pytest.mark.canary
@pytest.mark.parametrize("check", sorted({check for _, check in DEVICE_FAULTS.values()}))
def test_check_of_the_storage_passes_without_a_fault(check):
    """The same checks pass on the real storage."""
    assert power_cuts.run_check(check) > 0
