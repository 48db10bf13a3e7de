"""Boards of silicon as processes of MicroPython over fakes: provisioned, booted, and what they said."""

import os
import subprocess
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil_tests.provisioned import lay_out_folder
from tools.board.setup import plan_setup, write_programs
from tools.board.table import SILICON
from tools.upy import ROOT, micropython_command, micropython_environment

PROGRAM = Path(__file__).resolve().parent / "program.py"
FIRMWARE = ROOT / "firmware"


class FakeBoard:
    """One board. folder: its flash and its file system."""

    def __init__(self, name: str, folder: Path):
        self.board = SILICON[name]
        self.root = folder / "files"
        self.root.mkdir(parents=True)
        self.flash = folder / "flash"

    def start(self, programs=(), console: int | None = None, **variables: str) -> subprocess.Popen:
        """Start MicroPython on it; its console is standard output, or both ways the master of a pty."""
        words = [*micropython_command(), "-X", "heapsize=24m", str(PROGRAM), f"{self.root}/"]
        words += [",".join(self.board.folders), *map(str, programs)]
        environment = {**micropython_environment(ROOT, FIRMWARE), "FLASH": str(self.flash), **variables}
        return subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.PIPE if console is None else console,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL if console is None else console,
            text=True,
        )

    @contextmanager
    def on_pty(self, **variables: str) -> Iterator[str]:
        """Run it with its console on a pty, and give the name of that."""
        master, slave = os.openpty()
        tty.setraw(slave)
        process = self.start(console=master, **variables)
        try:
            yield os.ttyname(slave)
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)

    def wait_for_prompt(self) -> None:
        """Wait until it has begun to wait for a person."""
        while not (self.root / "prompt").exists():
            time.sleep(0.05)

    def run(self, programs=(), **variables: str) -> str:
        """Run it to its end, and return what it said."""
        process = self.start(programs, **variables)
        with process:
            try:
                return process.communicate(timeout=60)[0]
            finally:
                process.kill()

    def hear(self, mark: str, **variables: str) -> str:
        """Run it until it says a line that holds mark, then take its power; return what it said."""
        said = ""
        process = self.start(**variables)
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if mark in line:
                    break
            process.kill()
        return said

    def provision(self, config: Path, folder: Path, replace: bool = False) -> str:
        """Run what mpremote would run on the board."""
        folder.mkdir(exist_ok=True)
        setup = plan_setup(config, self.board, replace)
        return self.run(write_programs(setup, folder))


def make_config(
    folder: Path,
    board_toml: str = '[wifi]\nssid = "site"\nkey = "a long secret"\n',
    hardware: str = "rpi_pico_w",
    policy: Path | None = None,
) -> Path:
    """Make a provisioned device with a board.toml, and return its device.toml. policy: None for the demonstration's."""
    lay_out_folder(folder, hardware, policy)
    (folder / "device" / "board.toml").write_text(board_toml)
    return folder / "device" / "device.toml"
