"""A board whose agent has a fault planted is caught by the cuts, by name; without one they find nothing."""

from pathlib import Path

import pytest

from hil_tests.cut_board import CutBoard
from hil_tests.test_cuts import FIRST, HARDWARE, SETTINGS
from protocol.manifest import AGENT, RULES
from tests.agent.release_bench import make_release
from tests.agent.test_agent_update import files_of
from tests.agent.way_down import BODY, make_desk
from tests.planted.board_cuts import BOARD_FAULTS

SECTORS = 9
SEED = 9
# A fault that is not seen by then is not seen.
CUTS_MAX = 150
CUTS = 12
# Of virtual time: the agent is adopted, and the ring goes round.
SECONDS = 10
SECONDS_MAX = 240
BUSY = {**SETTINGS, "clock_scale": 2000, "routine_seal_ms": 75_000, "trial": {"min_ms": 50, "min_samples": 2}}


def desk_with_agent(name: str, lines: str):
    """Return a desk whose device has adopted an agent with lines more in one file; it is given no receipts."""
    desk = make_desk(sectors=SECTORS, agents=True, **BUSY)
    files = files_of(name, lines)
    desk.gateway.releases[FIRST] = make_release(
        FIRST,
        [BODY, files.part],
        ("release", "recovery"),
        hardware=[HARDWARE],
        validity=(0, 1 << 42),
        kinds=[RULES, AGENT],
    )
    desk.gateway.files[FIRST] = files.bodies
    desk.gateway.gives_receipts = False
    desk.run(SECONDS)
    assert desk.cell().version_floor == FIRST
    return desk


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("name", BOARD_FAULTS)
def test_fault_planted_in_a_boards_agent_is_caught_by_the_cuts(image, tmp_path, figures, name):
    """A mistake somebody could make in good faith: what breaks is said."""
    file, lines, says = BOARD_FAULTS[name]
    desk = desk_with_agent(file, lines)
    with CutBoard(Path(image.elf), desk, tmp_path / "flash.bin", SEED) as board:
        with pytest.raises(AssertionError, match=says):
            for _ in range(CUTS_MAX):
                board.cut()
        figures["cuts_until_caught"] = {name: board.tally.cuts}


@pytest.mark.timeout(SECONDS_MAX)
def test_same_cuts_find_nothing_in_an_agent_that_is_whole(image, tmp_path):
    """The agent of a release recovers as the image's does."""
    desk = desk_with_agent("clock.py", "print('no fault')")
    with CutBoard(Path(image.elf), desk, tmp_path / "flash.bin", SEED) as board:
        for _ in range(CUTS):
            board.cut()
        board.desk.gateway.check_chains()
        assert "no fault" in board.board.said
