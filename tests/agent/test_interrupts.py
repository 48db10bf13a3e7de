"""Ctrl-C is seen by a device's loop, at a moment that the loop chooses: whatever MicroPython was doing, its heap is whole."""

import os
import signal
import subprocess
import sys

import pytest

from protocol.diagnostic import OK
from tools import interrupts
from tools.device_types import ROOT
from tools.upy import firmware_folder, micropython_command, micropython_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signalfd is Linux's")

# Nearly all of its time it collects garbage.
_PROGRAM = """
import asyncio, gc, sys
from unix_interrupts import interrupts_of
kept = [[number, str(number)] for number in range(20000)]

async def main(interrupts):
    for count in range(int(sys.argv[2])):
        seen = asyncio.create_task(interrupts.next())
        print("ready", count)
        while not seen.done():
            gc.collect()
            await asyncio.sleep(0)
    # Room for all this is nowhere but in a heap that is whole.
    print("ended", sum([len(bytes(1000)) for _ in range(20000)]), len(kept))

asyncio.run(main(interrupts_of(sys.argv[3:])))
"""
_COUNT = 5


def _become(words):
    """Hold interrupts back and run MicroPython in place of this process, as `outstation device run` does."""
    number = interrupts.hold_interrupts()
    words = [*words, *([] if number is None else [str(number)])]
    os.execve(words[0], words, micropython_environment(ROOT, firmware_folder()))


def check_interrupts_in_a_collection(folder):
    """Interrupt a process that collects garbage all the time, several times: each is seen once, and there is room for what comes after."""
    program = folder / "collect.py"
    program.write_text(_PROGRAM)
    words = [*micropython_command(), "-X", "heapsize=8m", str(program), "settings", str(_COUNT)]
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            _become(words)
        finally:
            # Never on as a second pytest.
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = []
        for line in said:
            lines.append(line.strip())
            if line.startswith("ready"):
                os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == OK, lines
    assert lines == [*(f"ready {count}" for count in range(_COUNT)), "ended 20000000 20000"]


@pytest.mark.timeout(120)
def test_interrupt_in_a_collection_leaves_the_heap_whole(tmp_path):
    """KeyboardInterrupt in the middle of a collection would leave it locked: MemoryError for whatever comes then."""
    check_interrupts_in_a_collection(tmp_path)


def test_what_is_held_back_reaches_nobody_but_who_reads():
    """The process that holds an interrupt back goes on; the file gives it once, of the length that the device reads."""
    program = (
        "import os, signal\n"
        "from tools.interrupts import hold_interrupts\n"
        "number = hold_interrupts()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print(len(os.read(number, 128)), os.get_inheritable(number), 'goes on')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )

    assert (ended.returncode, ended.stdout) == (OK, "128 True goes on\n"), ended.stderr
