"""The commands of `outstation device` at the console of the emulated board: a production image, and one that takes Python."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import tty
from contextlib import contextmanager

from protocol.diagnostic import FINDING, OK
from tools.device_types import ROOT
from tools.image.flashfile import make_flash

_LOOK_S = 0.02


@contextmanager
def on_pty(board, replay):
    """Give the name of a pty that is the board's console. replay: begin, once somebody types, with all that it has said."""
    master, slave = os.openpty()
    tty.setraw(slave)
    is_over = threading.Event()

    def up():
        seen = 0 if replay else len(board.console.heard)
        while not is_over.is_set():
            if replay and not typed.is_set():
                typed.wait(_LOOK_S)
                continue
            board.console.wait(seen, _LOOK_S)
            piece = board.console.heard[seen:]
            seen += len(piece)
            if piece:
                os.write(master, piece)

    def down():
        while not is_over.is_set():
            keys = os.read(master, 256)
            if keys and not is_over.is_set():
                board.type(keys)
                typed.set()

    typed = threading.Event()
    threads = [threading.Thread(target=work, daemon=True) for work in (up, down)]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        is_over.set()
        # Wakes the reader.
        os.write(slave, b"\n")
        for thread in threads:
            thread.join(10)
        os.close(slave)
        os.close(master)


def outstation(*words):
    """Run a command in a process of its own, as a person does."""
    command = [sys.executable, "-m", "tools.cli", "device", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90)


def test_diagnose_understands_the_board(image, start, device_flash, figures):
    """A production image tells its boot, and answers nothing; nothing of it is interrupted."""
    board = start(image, device_flash)
    board.wait_for(r"runs, boot 1")
    with on_pty(board, replay=True) as port:
        said = outstation("diagnose", "--port", port, "--seconds", "5", "--json")

    report = json.loads(said.stdout)
    figures["diagnose_of_the_emulated_board"] = {
        name: report[name] for name in ("board", "micropython", "boot", "reset_cause", "heap_free")
    }
    assert said.returncode == OK, said.stdout + said.stderr
    assert (report["board"], report["boot"], report["reset_cause"]) == ("mps2_an385", 1, "power")
    assert report["image"] == image.sha256[:16]
    assert report["prompt"] is False
    assert len(re.findall("runs, boot", board.said)) == 1


def test_diagnose_says_that_nobody_provisioned_the_board(image, start, blank_flash):
    """With exit code 1 and what is to be done."""
    board = start(image, blank_flash)
    board.wait_for("not provisioned")
    with on_pty(board, replay=True) as port:
        said = outstation("diagnose", "--port", port, "--seconds", "3")

    assert said.returncode == FINDING
    assert "look at: it has no keys and settings" in said.stdout


def test_diagnose_asks_a_board_that_waits(development, start, device_flash):
    """A development image is at its prompt: it says the same of itself, and is at its prompt afterwards."""
    board = start(development, device_flash)
    board.wait_for(">>> ")
    with on_pty(board, replay=False) as port:
        said = outstation("diagnose", "--port", port, "--json")
        again = outstation("diagnose", "--port", port, "--json")

    report = json.loads(said.stdout)
    assert (report["prompt"], report["board"], report["provisioned"]) == (True, "mps2_an385", True)
    assert report["image"] == development.sha256[:16]
    assert json.loads(again.stdout)["prompt"] is True


def test_logs_show_a_boot(image, start, device_flash):
    """The reset button is pressed while somebody watches."""
    board = start(image, device_flash)
    board.wait_for(r"runs, boot 1")
    with on_pty(board, replay=False) as port:
        button = threading.Thread(target=lambda: (time.sleep(2), board.reset()))
        button.start()
        said = outstation("logs", "--port", port, "--seconds", "8")
        button.join()

    assert said.returncode == OK
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} outstation device on mps2_an385: ", said.stdout, re.MULTILINE)
    assert "runs, boot 2" in said.stdout


def test_provisioned_flash_file_is_one_that_the_board_runs(image, start, site_folder, tmp_path):
    """`device provision` makes what the other tests start from."""
    config = site_folder / "device" / "device.toml"
    made = outstation("provision", "mps2_an385", "--config", config, "--flash-file", tmp_path / "made.bin")
    make_flash(config, tmp_path / "other.bin")

    assert made.returncode == OK, made.stderr
    start(image, tmp_path / "made.bin").wait_for(r"runs, boot 1")


def test_journal_of_a_board_that_waits_is_read_over_its_console(
    image, development, start, device_flash, tmp_path
):
    """What a production image recorded, read at the prompt of a development image: the journal of the flash file, without a key."""
    board = start(image, device_flash)
    board.wait_for(r"runs, boot 1")
    time.sleep(5)
    board.kill()
    board = start(development, device_flash)
    board.wait_for(">>> ")
    with on_pty(board, replay=False) as port:
        said = outstation("journal", "--port", port, "--out", tmp_path / "out.bin", "--json")
    there = outstation("journal", device_flash, "--json")

    assert said.returncode == OK, said.stderr
    heads, lanes = json.loads(said.stdout), json.loads(there.stdout)
    assert heads == lanes and heads["lanes"]
    assert (tmp_path / "out.bin").read_bytes()[: 4 * 4096] == b"\xff" * 4 * 4096
