"""Each fault planted in adoption and commands is caught by the test that promises to catch it."""

import pytest

from agent.flash import PowerCut
from tests.planted.way_down import WAY_DOWN_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", WAY_DOWN_FAULTS)
def test_fault_planted_in_the_way_down_is_caught(name, monkeypatch):
    """The named test passes on the agent as it is, and fails once the fault is in."""
    plant, check = WAY_DOWN_FAULTS[name]
    check()
    plant(monkeypatch.setattr)

    with pytest.raises((AssertionError, ValueError)) as caught:
        check()
    assert not isinstance(caught.value, PowerCut)
