"""The agent that a provisioned board runs, built as board_main builds it, but over a clock that only we move: nothing waits."""

import hashlib

import board_flash
import board_main
from board_device import build_board

from agent.app import Agent
from agent.board import POWER
from agent.config import Config


class Steps:
    """A clock of milliseconds. Half a step on, so that each instant of a sample is over."""

    def __init__(self, step_ms):
        self._step_ms = step_ms
        self.steps = 0

    def ticks_ms(self):
        """Return the time."""
        return self.steps * self._step_ms + self._step_ms // 2


def boot(items, clock, point, move=None):
    """Boot, and return (agent, flash). point(name): told of kill points. move(action, value): the actuators, None: the board's own."""
    digest = hashlib.sha256(board_flash.image()).digest()
    flash, rooms, choice = board_main.choose(items, POWER)
    board = build_board(items, flash, (rooms, choice), (POWER, lambda: None, digest))
    board.ticks_ms = clock.ticks_ms
    board.point = point
    if move is not None:
        board.move = move
    return Agent(Config(items), board), flash


def sample_once(agent, clock, samples=1):
    """Let the agent take the samples that are due next in one turn, and do what follows from them."""
    clock.steps += samples
    agent._take_turn()
