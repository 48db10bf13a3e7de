"""Each fault planted in adoption and commands is caught by the test that promises to catch it."""

import pytest

from agent.flash import PowerCut
from tests.planted.agent_update import AGENT_UPDATE_FAULTS
from tests.planted.way_down import WAY_DOWN_FAULTS

FAULTS = {**WAY_DOWN_FAULTS, **AGENT_UPDATE_FAULTS}


@pytest.mark.canary
@pytest.mark.parametrize("name", FAULTS)
def test_fault_planted_in_the_way_down_is_caught(name, monkeypatch):
    """The named test passes on the agent as it is, and fails once the fault is in."""
    plant, check = FAULTS[name]
    check()
    plant(monkeypatch.setattr)

    with pytest.raises((AssertionError, ValueError)) as caught:
        check()
    assert not isinstance(caught.value, PowerCut)
