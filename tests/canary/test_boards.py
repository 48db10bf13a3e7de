"""Each fault planted in a board's windows or commands is caught by what promises to catch it."""

import pytest

from tests.planted.boards import BOARD_FAULTS


@pytest.mark.canary
@pytest.mark.parametrize("name", BOARD_FAULTS)
def test_fault_planted_in_a_board_is_caught(name, monkeypatch, tmp_path):
    """The check passes on what is there, and fails once the fault is in."""
    plant, check = BOARD_FAULTS[name]
    check(_new(tmp_path / "honest"))
    plant(monkeypatch.setattr)

    # pytest's own failures are no Exception.
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(_new(tmp_path / "planted"))


def _new(folder):
    folder.mkdir()
    return folder
