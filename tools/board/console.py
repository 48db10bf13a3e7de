"""The console of a board: its lines as they come, and its prompt where it has one."""

import time
from collections.abc import Iterator
from typing import Any, Self

from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError, printable
from tools.board.find import serial_module

BAUD = 115200
_LOOK_SECONDS = 0.1
_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_ENTER, _LEAVE, _RUN = b"\r\x01", b"\x02", b"\x04"
_ANSWER_SECONDS = 10.0
# A board takes so much at a time without losing any, as mpremote sends it.
_CHUNK = 256
_CHUNK_SECONDS = 0.01
# Longer than any line of ours: noise without an end is shown in pieces.
_LINE_BYTES_MAX = 4096


class Console:
    """An open console. Use with `with`. port: a device, a pty, or an address that pyserial knows, such as socket://HOST:PORT."""

    def __init__(self, port: str):
        serial = serial_module()
        self._port = port
        self._held = b""
        self._error = serial.SerialException
        try:
            self._line: Any = serial.serial_for_url(port, baudrate=BAUD, timeout=_LOOK_SECONDS)
        except (serial.SerialException, ValueError) as error:
            raise self._gone(error, "see that it exists and nobody else holds it") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._line.close()

    def _gone(self, error: Exception, fix: str) -> DiagnosticError:
        said = Diagnostic("board-port", f"the console at {self._port} cannot be used: {error}", fix=fix)
        return DiagnosticError(said, UNREACHABLE)

    def read(self) -> bytes:
        """Return what has come, nothing after a tenth of a second without any. Raises DiagnosticError when it went away."""
        try:
            first = self._line.read(1)
            return first + self._line.read(self._waiting()) if first else b""
        except (self._error, OSError) as error:
            raise self._gone(error, "connect the board again and repeat the command") from None

    def _waiting(self) -> int:
        # A socket tells only whether there is something, and then gives what there is without waiting for more than its timeout.
        return min(self._line.in_waiting or 0, _LINE_BYTES_MAX)

    def write(self, data: bytes) -> None:
        """Type. Raises DiagnosticError when it went away."""
        try:
            self._line.write(data)
        except (self._error, OSError) as error:
            raise self._gone(error, "connect the board again and repeat the command") from None

    def lines(self, seconds: float | None = None) -> Iterator[str]:
        """Give each line, printable, for so long or for ever; what was begun at the end comes last."""
        deadline = None if seconds is None else time.monotonic() + seconds
        held, self._held = self._held, b""
        while deadline is None or time.monotonic() < deadline:
            held += self.read()
            *whole, held = held.split(b"\n")
            yield from (_text(line) for line in whole)
            if len(held) > _LINE_BYTES_MAX:
                yield _text(held)
                held = b""
        if held:
            yield _text(held)

    def ask(self, program: str, seconds: float) -> list[str] | None:
        """Run a program where the board waits at its prompt, and return its lines; None where there is no prompt.

        A program that runs there already is not interrupted.
        """
        self.write(_ENTER)
        heard = self._until(_PROMPT, seconds)
        if _PROMPT not in heard:
            # It runs, and may just have booted: lines() gives that first.
            self._held = heard
            return None
        for at in range(0, len(program), _CHUNK):
            self.write(program.encode()[at : at + _CHUNK])
            time.sleep(_CHUNK_SECONDS)
        self.write(_RUN)
        said = self._until(b"\x04>", _ANSWER_SECONDS)
        self.write(_LEAVE)
        return [_text(line) for line in said.removeprefix(b"OK").replace(b"\x04", b"\n").split(b"\n")[:-1]]

    def _until(self, mark: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        heard = b""
        while mark not in heard and time.monotonic() < deadline:
            heard += self.read()
        return heard


def _text(line: bytes) -> str:
    return printable(line.decode("utf-8", "backslashreplace").strip("\r"))
