"""One emulated board: a QEMU process with a flash file, a console, a data line and a monitor."""

import re
import signal
import subprocess
import time
from pathlib import Path

from hil_tests.stream import Stream
from tools.image.flashfile import FLASH_FILE_BYTES

LINE_SECONDS_MAX = 60.0
_TAIL_LINES = 40


class BoardSilent(AssertionError):
    """The board did not say what it should in time, or ended before."""


class Qemu:
    """A running board. Use with `with`: nothing of it is left behind.

    elf: the image. flash: a flash file of 16 MiB, which outlives the process as real flash outlives power.
    instructions_shift: with it, time is counted in instructions, 2**shift ns each, and does not depend on the host.
    line_port: with it, the data line is a TCP port of this machine, for a gateway's socket://127.0.0.1:PORT, and `line` hears nothing.
    console, line: Streams.
    """

    def __init__(
        self, elf: Path, flash: Path, instructions_shift: int | None = None, line_port: int | None = None
    ):
        self._read_to = 0
        self.console, self.line, self._monitor = Stream(), Stream(), Stream()
        ends = {"console": self.console.end, "line": self.line.end, "monitor": self._monitor.end}
        words = [
            *("qemu-system-arm", "-machine", "mps2-an385,memory-backend=psram", "-nodefaults"),
            *("-object", f"memory-backend-file,id=psram,size={FLASH_FILE_BYTES},mem-path={flash},share=on"),
            *("-kernel", str(elf), "-display", "none", "-semihosting-config", "enable=on,target=native"),
        ]
        for name, end in ends.items():
            where = f"fd={end.fileno()}"
            if name == "line" and line_port is not None:
                where = f"host=127.0.0.1,port={line_port},server=on,wait=off"
            words += ["-chardev", f"socket,id={name},{where}"]
        words += ["-serial", "chardev:console", "-serial", "chardev:line", "-mon", "chardev=monitor"]
        if instructions_shift is not None:
            words += ["-icount", f"shift={instructions_shift},sleep=off"]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[end.fileno() for end in ends.values()],
        )
        for end in ends.values():
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the board, if it still runs, and give everything back."""
        self.kill()
        for stream in (self.console, self.line, self._monitor):
            stream.close()

    @property
    def said(self) -> str:
        """All that the console has said."""
        return self.console.heard.decode("utf-8", "backslashreplace")

    def wait_for(self, pattern: str, seconds: float = LINE_SECONDS_MAX) -> re.Match[str]:
        """Return the next match of a regular expression in what the console says. Raises BoardSilent."""
        deadline = time.monotonic() + seconds
        expression = re.compile(pattern, re.MULTILINE)
        while True:
            length = len(self.console.heard)
            found = expression.search(self.said, self._read_to)
            if found:
                self._read_to = found.end()
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not self.console.wait(length, left):
                raise BoardSilent(f"no {pattern!r} from the board: {self.tail()}")

    def quiet(self, seconds: float) -> str:
        """Listen for so long, and return what the console said meanwhile."""
        return self.console.quiet(seconds).decode("utf-8", "backslashreplace")

    def tail(self) -> str:
        """Return the end of what the board said, for people."""
        return "\n" + "\n".join(self.said.splitlines()[-_TAIL_LINES:])

    def type(self, keys: bytes) -> None:
        """Type on the console."""
        self.console.send(keys)

    def reset(self) -> None:
        """Press the reset button: memory stays as it is, as on a board."""
        self._monitor.send(b"system_reset\n")

    def kill(self) -> None:
        """Take the power away, now."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_exit(self, seconds: float = LINE_SECONDS_MAX) -> int:
        """Return the status with which the emulator ended by itself. Raises BoardSilent."""
        if not self.console.is_over(seconds):
            raise BoardSilent(f"the board still runs: {self.tail()}")
        return self.process.wait(seconds)


class Repl:
    """The console of a development image: runs Python on the board."""

    def __init__(self, board: Qemu):
        self.board = board
        board.wait_for(">>> ")
        board.type(b"\x01")
        board.wait_for(r"raw REPL; CTRL-B to exit\r\n>")

    def run(self, source: str, seconds: float = LINE_SECONDS_MAX) -> str:
        """Run source on the board and return what it printed. Raises BoardSilent with its traceback if it raised."""
        self.start(source)
        found = self.board.wait_for(r"((?s:.*?))\x04((?s:.*?))\x04>", seconds)
        if found[2]:
            raise BoardSilent(found[1] + found[2])
        return found[1]

    def start(self, source: str) -> None:
        """Start source on the board and do not wait for its end."""
        self.board.type(source.encode() + b"\x04")
        self.board.wait_for("OK")
