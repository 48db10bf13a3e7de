"""Each fault planted in a driver is caught by the test that promises to catch it."""

import pytest

from tests.planted.sensors import SENSOR_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", SENSOR_FAULTS)
def test_fault_planted_in_a_driver_is_caught(name, monkeypatch):
    """The named test passes on the driver as it is, and fails once the fault is in."""
    plant, check = SENSOR_FAULTS[name]
    check()
    plant(monkeypatch.setattr)

    with pytest.raises((AssertionError, OSError, ValueError)):
        check()
