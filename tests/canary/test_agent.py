"""Each fault planted in the agent is caught by the test that promises to catch it."""

import pytest

from tests.agent import test_app, test_journal, test_recorder
from tests.both import test_run
from tests.planted.agent import AGENT_FAULTS, BOOT_FAULTS, RUN_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", AGENT_FAULTS)
def test_fault_planted_in_the_agent_is_caught(name, monkeypatch):
    """The named test passes on the agent as it is, and fails once the fault is in."""
    plant, check = AGENT_FAULTS[name]
    catcher = getattr(test_app, check, None) or getattr(test_recorder, check)
    catcher()
    plant(monkeypatch.setattr)

    # ValueError: the rules refuse a tick that goes back, before anything is asserted.
    with pytest.raises((AssertionError, ValueError)):
        catcher()


@pytest.mark.canary
@pytest.mark.parametrize("name", RUN_FAULTS)
def test_fault_planted_in_the_open_run_is_caught(name, monkeypatch):
    """The named test passes on the run as it is, and fails once the fault is in."""
    plant, check = RUN_FAULTS[name]
    catcher = getattr(test_run, check)
    catcher()
    plant(monkeypatch.setattr)

    with pytest.raises(AssertionError):
        catcher()


@pytest.mark.canary
@pytest.mark.parametrize("name", BOOT_FAULTS)
def test_fault_planted_in_the_boot_of_the_journal_is_caught(name):
    """The named test passes on the boot as it is, and fails once the fault is in."""
    plant, check = BOOT_FAULTS[name]
    catcher = getattr(test_journal, check)
    with pytest.MonkeyPatch.context() as patch:
        catcher(patch)
    with pytest.MonkeyPatch.context() as patch:
        plant(patch.setattr)
        with pytest.raises(AssertionError):
            catcher(patch)
