"""An agent that cannot run on the board, or is not whole any more, gives way; the one that does run seals, speaks and takes the next release."""

from pathlib import Path

import pytest

from hil_tests.cut_board import CutBoard
from hil_tests.test_cuts import ADOPT, FIRST, HARDWARE
from protocol import adoption
from protocol.manifest import AGENT, RULES
from tests.agent.release_bench import demo_bundle_again, make_release
from tests.agent.test_agent_update import files_of
from tests.agent.way_down import adoptions, make_desk

SECTORS = 12
# Ends a run that hangs, and nothing else.
SECONDS_MAX = 600
# A sample each 0.36 s: a machine that is busy has time for what is tried all the same.
CALM = {**ADOPT, "clock_scale": 100}
SECONDS = 30
SAID = "the next agent runs"
HANG = "while True:\n    pass"
RAISE = "raise RuntimeError('broken')"


class SpoiledBoard(CutBoard):
    """A board whose active slot may be damaged: that is what is tried. known: adoption events that were waited for."""

    known = None

    def _check_cell(self, window):
        pass

    def run_until(self, *steps):
        """Let it live until the newest adoption events, of those that came since the last time, say these steps."""
        known = len(adoptions(self.desk)) if self.known is None else self.known

        def has_come():
            return tuple(step for step, *_ in adoptions(self.desk)[known:])[-len(steps) :] == steps

        self.run_on(has_come, SECONDS_MAX / 2)
        self.known = len(adoptions(self.desk))
        heard = len(self.desk.gateway.heartbeats)
        self.run_on(lambda: len(self.desk.gateway.heartbeats) > heard + 1)

    def reason(self):
        """Return why the newest roll back happened."""
        return [detail for step, _, _, detail in adoptions(self.desk) if step == adoption.ROLLED_BACK][-1]


def offer(desk, number, line, name="clock.py"):
    """Let the gateway hold a release whose agent has a line more."""
    files = files_of(name, line)
    desk.gateway.files[number] = files.bodies
    parts = [demo_bundle_again(number), files.part]
    desk.gateway.releases[number] = make_release(
        number,
        parts,
        ("release", "recovery"),
        hardware=[HARDWARE],
        validity=(0, 1 << 42),
        kinds=[RULES, AGENT],
    )
    desk.gateway.wanted = number


def desk_that_runs(line, name="clock.py"):
    """Return a desk whose device has adopted an agent with a line more; on the desk itself its files are not run."""
    desk = make_desk(sectors=SECTORS, agents=True, **CALM)
    offer(desk, FIRST, line, name)
    desk.run(SECONDS)
    assert desk.cell().version_floor == FIRST
    return desk


def check_it_goes_on(board):
    """The agent that runs takes the next release, and all that was sealed is one chain under the device's keys."""
    offer(board.desk, FIRST + 1, f"print({SAID!r})")
    board.run_until(adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED)
    board.desk.gateway.check_chains()
    board.board.kill()
    # Raises where a seal is not of the device's chain.
    board.check_seals()

    assert SAID in board.board.said


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("line", [RAISE, HANG], ids=["raises", "hangs"])
def test_agent_on_trial_that_cannot_start_gives_way_on_the_board(image, tmp_path, line):
    """It ends, or the watchdog ends it, before it can say anything; the image's agent says so and goes on."""
    desk = make_desk(sectors=SECTORS, agents=True, **CALM)
    offer(desk, FIRST, line, "app.py")
    with SpoiledBoard(Path(image.elf), desk, tmp_path / "flash.bin", 5) as board:
        board.run_until(adoption.STAGED, adoption.TRIAL, adoption.ROLLED_BACK)

        assert board.reason() == (adoption.RESTARTS if line == RAISE else adoption.WATCHDOG)
        check_it_goes_on(board)


@pytest.mark.timeout(SECONDS_MAX)
def test_kept_agent_that_ends_at_every_boot_gives_way_on_the_board(image, tmp_path):
    """A boot loop: after five ends in a row the image's agent runs, says so, and goes on."""
    desk = desk_that_runs(RAISE, "app.py")
    with SpoiledBoard(Path(image.elf), desk, tmp_path / "flash.bin", 6) as board:
        board.run_until(adoption.ROLLED_BACK)

        assert board.board.said.count("RuntimeError: broken") == 5
        assert board.reason() == adoption.RESTARTS
        check_it_goes_on(board)


@pytest.mark.timeout(SECONDS_MAX)
def test_damaged_slot_lets_the_safe_agent_run_on_the_board(image, tmp_path):
    """One bit of one file: the image's agent seals, speaks, and fetches the release anew."""
    desk = desk_that_runs("print('an agent runs')")
    rooms = desk.rooms_image
    at = next(at for at, byte in enumerate(rooms) if byte != 0xFF)
    rooms[at + 5] ^= 4
    with SpoiledBoard(Path(image.elf), desk, tmp_path / "flash.bin", 7) as board:
        board.run_until(adoption.ROLLED_BACK, adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED)

        assert board.reason() == adoption.DAMAGED
        assert "an agent runs" in board.board.said
        check_it_goes_on(board)
