"""The keywords of Renode's tester that our suites use, over QEMU: same names, same arguments, same meaning.

What differs: seconds are those of the wall, and no keyword returns what it heard, since the names of the parts of that result
are not the same in all versions of the tester. Meaning: UartKeywords.cs and RenodeKeywords.cs of Renode.
"""

import re
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from robot.api.deco import keyword, library

from hil_tests.qemu import Qemu

_FLASH_START = 0x21000000
_CONSOLE = "sysbus.uart0"
_SECONDS = 8.0
_MACHINE = "mps2_an385.resc"


class Console:
    """What a tester reads of the console, over all starts of its board: as on a wire, what nobody has read yet stays."""

    def __init__(self, board: Qemu, seconds: float):
        self.seconds = seconds
        self._before = ""
        self._at = 0
        self._board = board

    @property
    def said(self) -> str:
        """All that was said so far. Latin-1: a byte is a character, however far a text has come."""
        return self._before + self._board.console.heard.decode("latin-1")

    def attach(self, board: Qemu) -> None:
        """Go on with a board that was started anew."""
        self._before = self.said
        self._board = board

    def find(self, is_wanted: Callable[[str], bool], seconds: float, unfinished: bool = False) -> str | None:
        """Return the next wanted line, and read on behind it; None where none comes. unfinished: also a line without its end."""
        deadline = time.monotonic() + seconds
        while True:
            length = len(self._board.console.heard)
            found = self._look(is_wanted, unfinished)
            left = deadline - time.monotonic()
            if found is not None or left <= 0 or not self._board.console.wait(length, left):
                return found

    def _look(self, is_wanted: Callable[[str], bool], unfinished: bool) -> str | None:
        at = self._at
        for line in self.said[at:].splitlines(keepends=True):
            at += len(line)
            if (unfinished or line.endswith("\n")) and is_wanted(line.rstrip("\r\n")):
                self._at = at
                return line
        return None


@library(scope="GLOBAL")
class Keywords:
    """One board at a time: begun with a script, ended by Reset Emulation."""

    def __init__(self):
        self._forget()

    def _forget(self) -> None:
        self._variables: dict[str, str] = {}
        self._folder: Path | None = None
        self._board: Qemu | None = None
        self._tester: Console | None = None

    # The frame of a suite.

    @keyword
    def setup(self) -> None:
        """Begin a suite."""
        self.reset_emulation()

    @keyword
    def teardown(self) -> None:
        """End a suite."""
        self.reset_emulation()

    @keyword
    def test_teardown(self) -> None:
        """End a test."""
        self.reset_emulation()

    # The emulation.

    @keyword
    def reset_emulation(self) -> None:
        """Forget the board and all that was said to it."""
        if self._board is not None:
            self._board.close()
        if self._folder is not None:
            shutil.rmtree(self._folder)
        self._forget()

    @keyword
    def execute_script(self, path: str) -> None:
        """Make the board that the script describes, stopped; its flash is a copy of the file, as Renode's is."""
        if Path(path).name != _MACHINE:
            raise AssertionError(f"QEMU has no board of {path}: there is {_MACHINE}")
        self._folder = Path(tempfile.mkdtemp(prefix="outstation-robot-"))
        shutil.copyfile(self._variables["flash"], self._flash)
        self._power_on()
        self._board.process.send_signal(signal.SIGSTOP)

    @keyword
    def start_emulation(self) -> None:
        """Let the board run, or run on."""
        self._board.process.send_signal(signal.SIGCONT)

    @keyword
    def execute_command(self, command: str) -> str:
        """Carry out one of the few commands that our suites give, and return what the monitor would print."""
        for pattern, carry_out in (
            (r"\$(\w+)=@(.+)", self._variables.__setitem__),
            (r"machine Reset", self._reset),
            (r"pause", lambda: self._board.process.send_signal(signal.SIGSTOP)),
            (r"sysbus\.ram ZeroAll", lambda: self._board.kill()),
            (r"sysbus ReadDoubleWord (0x[0-9A-Fa-f]+)", self._read_word),
        ):
            found = re.fullmatch(pattern, command)
            if found:
                return carry_out(*found.groups()) or ""
        raise AssertionError(f"no command of ours over QEMU: {command}")

    @property
    def _flash(self) -> Path:
        return self._folder / "flash.bin"

    def _power_on(self) -> None:
        self._board = Qemu(Path(self._variables["elf"]), self._flash)

    def _reset(self) -> None:
        if self._board.process.poll() is None:
            self._board.reset()
            return
        # It was killed: memory is lost, and this is the power coming back.
        self._board.close()
        self._power_on()
        self._tester.attach(self._board)

    def _read_word(self, address: str) -> str:
        with self._flash.open("rb") as file:
            file.seek(int(address, 16) - _FLASH_START)
            return f"0x{struct.unpack('<I', file.read(4))[0]:08X}\n"

    # The console.

    @keyword
    def create_terminal_tester(self, uart: str, timeout: float = _SECONDS) -> None:
        """Listen to the console. timeout: of every wait that names none."""
        if uart != _CONSOLE:
            raise AssertionError(f"over QEMU {_CONSOLE} alone is listened to, not {uart}")
        self._tester = Console(self._board, timeout)

    @keyword
    def wait_for_line_on_uart(
        self,
        content: str,
        timeout: float | None = None,
        treatAsRegex: bool = False,
        includeUnfinishedLine: bool = False,
    ) -> None:
        """Wait for a line that has the content in it."""
        seconds = self._tester.seconds if timeout is None else timeout
        if self._tester.find(_matcher(content, treatAsRegex), seconds, includeUnfinishedLine) is None:
            raise AssertionError(f"no {content!r} in {seconds:g} s. Full report:\n{self._tester.said}")

    @keyword
    def wait_for_next_line_on_uart(self, timeout: float | None = None) -> None:
        """Wait for any line."""
        self.wait_for_line_on_uart("", timeout)

    @keyword
    def wait_for_prompt_on_uart(self, prompt: str, timeout: float | None = None) -> None:
        """Wait for a text that ends no line."""
        self.wait_for_line_on_uart(prompt, timeout, includeUnfinishedLine=True)

    @keyword
    def should_not_be_on_uart(
        self,
        content: str,
        timeout: float | None = None,
        treatAsRegex: bool = False,
        includeUnfinishedLine: bool = False,
    ) -> None:
        """Fail if a line has the content in it, from what is unread to the end of the time."""
        seconds = self._tester.seconds if timeout is None else timeout
        found = self._tester.find(_matcher(content, treatAsRegex), seconds, includeUnfinishedLine)
        if found is not None:
            raise AssertionError(f"Unexpected entry has been found on UART: {found.rstrip()}")

    @keyword
    def test_if_uart_is_idle(self, timeout: float) -> None:
        """Fail if anything is said in this time."""
        said = self._board.quiet(timeout)
        if said:
            raise AssertionError(f"the console is not idle: {said!r}")

    @keyword
    def send_key_to_uart(self, c: str) -> None:
        """Press one key, given as a number."""
        self._board.type(bytes([int(c, 0)]))

    @keyword
    def write_char_on_uart(self, c: str) -> None:
        """Press one key, given as a character."""
        self._board.type(c.encode())

    @keyword
    def write_line_to_uart(self, content: str = "", waitForEcho: bool = True) -> None:
        """Type a line."""
        self._board.type(content.encode() + b"\r")
        if waitForEcho:
            self.wait_for_line_on_uart(content, includeUnfinishedLine=True)


def _matcher(content: str, is_regex: bool) -> Callable[[str], bool]:
    if is_regex:
        return lambda line: re.search(content, line) is not None
    return lambda line: content in line
