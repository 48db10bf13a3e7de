"""The whole loop on the board: a rule is changed at the office, comes down the serial line, decides, and its decision is replayed."""

import asyncio

import pytest

from hil_tests.whole_loop import broken_links, go_round
from tests.planted.whole_loop import BOARD_FAULTS, OFFICE_FAULTS

SECONDS_MAX = 400


def check(loop):
    """Return the proof of a loop that went round. Raises AssertionError with every link that did not hold."""
    found, proof = broken_links(loop)
    assert not found, "\n".join(found)
    return proof


@pytest.mark.proves("S07")
@pytest.mark.timeout(SECONDS_MAX)
def test_changed_rule_decides_on_the_board_and_the_office_replays_its_decision(image, tmp_path, figures):
    """Before it the old threshold decides and after it the new one, by the readings; the replay runs over the switch without a gap.

    Whoever replays under another bundle than the one that decided is caught over the same evidence.
    """
    loop = asyncio.run(go_round(tmp_path, image))
    proof = check(loop)
    figures["whole_loop"] = {
        "frames": loop.frames,
        "samples": len(loop.samples),
        "decisions": proof.figures["decisions"],
        "decisions_replayed_equal": proof.figures["decisions_replayed_equal"],
        "run_replay_coverage": proof.figures["run_replay_coverage"],
    }

    for plant, says in OFFICE_FAULTS.values():
        with pytest.MonkeyPatch.context() as patch:
            plant(patch.setattr)
            with pytest.raises(AssertionError, match=says):
                check(loop)


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("name", BOARD_FAULTS)
def test_fault_planted_in_the_boards_agent_breaks_the_loop_by_name(development, tmp_path, name):
    """An agent that says it adopted, and did not, is found out by its own decisions."""
    lines, says = BOARD_FAULTS[name]
    loop = asyncio.run(go_round(tmp_path, development, lines))

    with pytest.raises(AssertionError, match=says):
        check(loop)
