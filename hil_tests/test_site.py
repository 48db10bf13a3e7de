"""The whole agent on a board, its data line in a real gateway's serial port, and a real office: and every byte of it proved.

The board is killed on the way and started again. In the end its flash is handed to the agent's process on a desk, which drains
it: the same bytes, carried on by the same code on another machine.
"""

import asyncio
import random
import socket
import sqlite3
from contextlib import contextmanager
from functools import partial

import pytest

from hil_tests.noisy_line import NoisyLine
from hil_tests.provisioned import know_image, use_port
from hil_tests.qemu import Qemu
from tests.site.harness import JOURNAL_SECTORS, lay_out, proved, stop_all, until
from tests.support.serial_lines import Plug
from tools.image.control import Control
from tools.image.flashfile import make_flash, read_window
from tools.ports import free_port

WINDOW_SECTORS = 4 + JOURNAL_SECTORS + 32
SEGMENTS = 15
SEED = 7


def held(site):
    """Return how many segments the office has of the one device."""
    with sqlite3.connect(f"file:{site.office_folder / 'office.db'}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM segments").fetchone()[0]


def has_segments(site, count):
    """Say whether the office has so many."""
    return held(site) >= count


@contextmanager
def board_at(port, image, flash, noise):
    """Start a board whose data line is the gateway's port: a socket, or with noise a pty behind it. Give (board, noise or None)."""
    if noise is None:
        with Qemu(image.elf, flash, line_port=port) as board:
            yield board, None
        return
    with Qemu(image.elf, flash) as board, NoisyLine(board.line, port, noise, SEED) as line:
        yield board, line


@pytest.mark.timeout(240)
@pytest.mark.parametrize("noise", [None, 2000])
def test_events_of_the_board_reach_the_office_whole(image, tmp_path, figures, noise):
    """Over a clean and over a noisy line, with a loss of power on the way: nothing recorded is missing, doubled or altered."""

    async def run():
        site = await lay_out(tmp_path, 1, samples_per_s=10, ack_timeout_ms=1000)
        port = free_port(socket.SOCK_STREAM) if noise is None else Plug(tmp_path / "ttyUSB0")
        use_port(site.gateway_folder, f"socket://127.0.0.1:{port}" if noise is None else port.path)
        know_image(site.office_folder, image)
        try:
            await site.office.start()
            await site.gateway.start()
            flash = tmp_path / "flash.bin"
            desk = tmp_path / "device-1"
            make_flash(desk / "device.toml", flash, random.Random(SEED).randbytes(32))
            spoiled = 0
            for boot in (1, 2):
                enough = held(site) + SEGMENTS
                with board_at(port, image, flash, noise) as (board, line):
                    board.wait_for(f"runs, boot {boot},")
                    await until(partial(has_segments, site, enough), "the office has too few segments")
                    board.kill()
                    spoiled += line.spoiled if line else 0
            assert noise is None or spoiled > 0
            with Control(flash) as control:
                figures[f"site_flash_counts_noise_{noise}"] = control.counts()._asdict()
            (desk / "flash.bin").write_bytes(read_window(flash, WINDOW_SECTORS))
            # Over UDP, to the same gateway.
            await site.devices[0].start()
            await stop_all(site)
            return proved(site)
        finally:
            await site.close()

    proof = asyncio.run(run())

    assert sum(lane.recorded for lane in proof.lanes) == sum(lane.held for lane in proof.lanes) > 0
