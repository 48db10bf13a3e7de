"""The board loses its power within hundreds of flash operations, of every kind and in every way, and recovers from each.

With OUTSTATION_SOAK set (`make soak-hil`), ten times as often.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.layout import RING_SECTOR
from hil_tests.cut_board import CutBoard
from protocol.manifest import AGENT, RULES
from tests.agent.desk import Desk
from tests.agent.release_bench import demo_bundle_again, faulting_bundle, make_release
from tests.agent.test_agent_update import files_of
from tests.agent.way_down import make_desk
from tests.soak import IS_SOAK

TIMES = 10 if IS_SOAK else 1
SECONDS_MAX = 600 * TIMES
HARDWARE = "mps2_an385"
SETTINGS = {"hardware": HARDWARE, "heartbeat_ms": 200, "exchange_idle_ms": 10, "ack_timeout_ms": 1000}
# A sample each 18 ms, a seal each 37, and keys of a new period each 3.6 seconds.
BUSY = {**SETTINGS, "clock_scale": 2000, "routine_seal_ms": 75_000, "period_s": 7200}
# A sample each 72 ms, so that there is time for what is fetched.
ADOPT = {
    **SETTINGS,
    "clock_scale": 500,
    "trial": {"min_ms": 50, "min_samples": 2, "limit_ms": 30_000},
    "fetch": {"retry_ms": 50},
}
FIRST = 7
# Most of a boot is a look at the ring: a small one is cut more often in the same time, and goes round sooner.
ADOPT_SECTORS = 12
JOURNAL = {f"{area} {kind}" for area in ("cell", "keys", "ring") for kind in ("program", "erase")}
# Cells and keys are erased so seldom that one board looks for that.
OFTEN = JOURNAL - {"cell erase", "keys erase"}
RINGS = [(1, 4, JOURNAL), (4, 5, OFTEN), (5, 8, OFTEN)]
ADOPTION = {"slots program", "slots erase", "cell program", "ring program"}
UPDATE = {"rooms program", "slots program"}
# What chance has not cut by then is cut within so many more. Of 140 cuts about two fall into an erase of keys: none in all these is no chance.
MORE = 400


def cut_often(
    board: CutBoard,
    cuts: int,
    places: set[str],
    name: str,
    figures: dict,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Cut the power so often and at these places, let the board live on after the last one, and look at everything that was promised."""
    started = time.monotonic()
    while board.tally.cuts < cuts or (board.tally.cuts < cuts + MORE and places - board.tally.places.keys()):
        # Programs of the cell are cut all the time, its erase is one in sixteen of them.
        board.aims_at_the_cell = (
            board.tally.cuts >= cuts and "cell erase" in places - board.tally.places.keys()
        )
        board.cut()
        between()
    # The boot after the last cut may be over already: heartbeats tell that the device lives on.
    heard = len(board.desk.gateway.heartbeats)
    board.run_on(lambda: len(board.desk.gateway.heartbeats) > heard + 1)
    board.desk.gateway.check_chains()
    figures["cuts"] = {
        name: {
            **vars(board.tally),
            "seconds": round(time.monotonic() - started, 1),
            "processor_s": board.processor_s(),
        }
    }
    assert "Traceback" not in board.board.said
    assert places <= board.tally.places.keys()
    assert min(board.tally.modes.values()) > cuts // 5


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize(("seed", "ring", "places"), RINGS)
def test_journal_is_whole_after_every_cut(image, tmp_path, figures, seed, ring, places):
    """Append, seal, prune, key evolution, period switches and checkpoints, on a ring so small that it goes round many times."""
    desk = Desk(RING_SECTOR + ring, **BUSY)
    with CutBoard(Path(image.elf), desk, tmp_path / "flash.bin", seed) as board:
        cut_often(board, 140 * TIMES, places, f"journal, ring of {ring}", figures)
        board.board.kill()
        generation = board.check_seals()
        board.check_keys_gone()

    assert generation > 3


class Releases:
    """Offers a device one release after the other: the next when the one before has ended. make(number): the release."""

    def __init__(self, board: CutBoard, make: Callable[[int], tuple]):
        self._board = board
        self._make = make
        self.confirmed: list[int] = []
        self.refused: list[int] = []
        self.number = FIRST - 1
        self.offer_next()

    def offer_next(self) -> None:
        """Name the next release."""
        self.number += 1
        gateway = self._board.desk.gateway
        gateway.releases[self.number] = self._make(self.number)
        gateway.wanted = self.number

    def look(self) -> None:
        """Offer the next release if this one has ended."""
        cell = self._board.cell()
        if cell.version_floor == self.number:
            self.confirmed.append(self.number)
        elif cell.rejected == self.number:
            self.refused.append(self.number)
        else:
            return
        self.offer_next()


def _rules(number: int) -> tuple:
    body = faulting_bundle(number, after=1) if number % 4 == 3 else demo_bundle_again(number)
    return make_release(number, body, hardware=[HARDWARE], validity=(0, 1 << 42))


@pytest.mark.timeout(SECONDS_MAX)
def test_old_or_new_rules_decide_after_every_cut_of_adoptions(image, tmp_path, figures):
    """Releases are fetched, staged, tried, confirmed and rolled back one after the other; what the cell names is whole, the floor rises only."""
    desk = make_desk(sectors=ADOPT_SECTORS, **ADOPT)
    with CutBoard(Path(image.elf), desk, tmp_path / "flash.bin", 2, 3, 10) as board:
        releases = Releases(board, _rules)
        cut_often(board, 60 * TIMES, ADOPTION, "adoption", figures, releases.look)
        last = releases.number
        board.run_on(lambda: last in (board.cell().version_floor, board.cell().rejected))
        releases.look()
        if not releases.confirmed:
            # Three starts end a trial, and cuts may have ended every one.
            board.run_on(lambda: releases.look() or bool(releases.confirmed))

    assert releases.confirmed and releases.refused


def _agents(board: CutBoard) -> Callable[[int], tuple]:
    def make(number: int) -> tuple:
        files = files_of("clock.py", f"print('agent {number} runs')")
        board.desk.gateway.files[number] = files.bodies
        parts = [demo_bundle_again(number), files.part]
        signers = ("release", "recovery")
        return make_release(
            number, parts, signers, hardware=[HARDWARE], validity=(0, 1 << 42), kinds=[RULES, AGENT]
        )

    return make


@pytest.mark.timeout(SECONDS_MAX)
def test_whole_agent_runs_after_every_cut_of_its_update(image, tmp_path, figures):
    """The agent is replaced by others from releases: the image's, or one whose every file is whole, runs after each cut, and the last is kept."""
    desk = make_desk(sectors=ADOPT_SECTORS, agents=True, **ADOPT)
    with CutBoard(Path(image.elf), desk, tmp_path / "flash.bin", 3, 2, 10) as board:
        releases = Releases(board, _agents(board))
        cut_often(board, 30 * TIMES, UPDATE, "agent", figures, releases.look)
        last = releases.number
        board.run_on(lambda: board.cell().version_floor == last, SECONDS_MAX / 2)

    assert f"agent {last} runs" in board.board.said
