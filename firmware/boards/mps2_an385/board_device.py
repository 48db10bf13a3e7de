"""Builds the board for the agent that was chosen, and runs it. Imported after the choice, so that `agent` is that one."""

import asyncio
import gc
import os
import time

import machine

from agent.aes import Aes128
from agent.app import Agent
from agent.board import Board, measure_heap
from agent.config import Config
from agent.links.serial import SerialLink
from agent.schema import read_schema
from agent.sensors.recording import Recording
from protocol.attestation import DISABLED, ENABLED

_ROM = "/rom/"
_DATA_LINE = 1
# Collecting only when nothing is left scatters what lives over the whole heap, and then no release is read in one piece.
_COLLECT_BYTES = 16384


def _read(name: str) -> bytes:
    with open(_ROM + name, "rb") as file:
        return file.read()


def _starve(names) -> None:
    # Who is not fed any more resets; nothing else is to be done here.
    print("watchdog: no sign of life from " + ", ".join(names))


def build_board(items: dict, flash, agents: tuple, machine_facts: tuple) -> Board:
    """Return the board that this machine is. agents: (rooms, choice). machine_facts: (reset cause, feed, digest of the image)."""
    schema = _read("schema.cbor")
    board = Board(
        flash,
        SerialLink(machine.UART(_DATA_LINE)),
        Recording(_ROM + "recording.csv", len(read_schema(schema)), items.get("recording_offset", 0)),
        lambda action, value: None,
        time.ticks_ms,
        time.ticks_diff,
        asyncio.sleep_ms,
        os.urandom,
        Aes128,
        schema,
        _read("bundle.cbor"),
    )
    rooms, choice = agents
    choice.tell(board, rooms)
    board.restart = machine.reset  # type: ignore[attr-defined]  # the stubs are those of the unix port
    board.reset_cause, board.feed, digest = machine_facts
    board.image_digest = digest
    # Only a development image keeps asserts, and only its console takes Python.
    board.debug = ENABLED if __debug__ else DISABLED
    board.agent_digest = board.agent or digest
    board.free_heap = gc.mem_free
    board.heap = measure_heap
    board.starve = _starve
    return board


def run_agent(items: dict, flash, agents: tuple, machine_facts: tuple) -> None:
    """Boot the agent and run it until something ends it."""
    agent = Agent(Config(items), build_board(items, flash, agents, machine_facts))
    gc.threshold(_COLLECT_BYTES)
    gc.collect()
    text = "device {} runs, boot {}, {} bytes of heap free"
    print(text.format(items["device"], agent.boot, gc.mem_free()))
    asyncio.run(agent.run())
