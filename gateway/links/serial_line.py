"""One serial line: opened, listened to, written to, and opened again when it went away.

pyserial opens and configures the port; bytes are then moved on its file descriptor by the event loop, never by a thread, and
nothing here waits for one line while another has something to say (docs/decisions/0036-serial-ports-on-the-loop.md).
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.links.line_quality import AWAY, LineQuality, finding
from protocol.coap import datagram_bytes_max
from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError
from protocol.slipmux import encode_frame

# Before a port is looked for again: doubles from one to the other. A node that appears is found within the longer one.
RETRY_S_MIN = 0.1
RETRY_S_MAX = 2.0
# One look at a line. What it holds is delivered, one datagram a turn of the loop, before the next look.
READ_BYTES = 1024
# Answers that wait for a line that is slower than they come; what finds no room is lost, and asked for again.
WAITING_BYTES_MAX = 8192
# Start bit, eight bits, stop bit.
_BITS_A_BYTE = 10
# A line may bring twice what its baud rate carries, for clocks differ; one that is no real line, and brings more, is made to wait.
_PACE = 2
# So much it may be ahead: what a driver's buffer holds, at the usual rates.
_AHEAD_S = 0.25

Feed = Callable[[str, bytes], None]


def open_port(port: str, baud: int) -> Any:
    """Return an open pyserial port, for us alone. port: a device, or socket://HOST:PORT. Raises OSError or ValueError."""
    import serial

    # For it to be told from a device: a socket knows no locks.
    more = {} if "://" in port else {"exclusive": True}
    return serial.serial_for_url(port, baudrate=baud, timeout=0, write_timeout=0, **more)


def require_pyserial() -> None:
    """Raise DiagnosticError (exit 3) where pyserial is not installed."""
    try:
        import serial  # noqa: F401 -- whether it is there is the question
    except ModuleNotFoundError:
        said = "serial ports are configured, and pyserial is not installed"
        fix = "pip install 'outstation[links]', or remove [[serial]]"
        raise DiagnosticError(Diagnostic("links-missing", said, fix=fix), UNREACHABLE) from None


class SerialLine:
    """One line. tell(diagnostic): hears what a person must mend, once each time.

    name: of the peer, for logs and as its address. Counts, all rising: sent (frames), unsent (answers that found no room or no
    line), losses (times it went away); quality has those of what it brought.
    """

    def __init__(self, port: str, baud: int, tell: Callable[[Diagnostic], None]):
        self.port = port
        self.baud = baud
        self.name = f"serial:{port}"
        self.quality = LineQuality()
        self.sent = 0
        self.unsent = 0
        self.losses = 0
        self._feed: Feed = _nobody
        self._tell = tell
        self._said = ""
        self._reason = "not opened yet"
        self._fd: int | None = None
        self._gone: asyncio.Event = asyncio.Event()
        self._arrived: deque[bytes] = deque()
        self._waiting = bytearray()
        self._is_full = False
        self._free_at = 0.0
        self._retry_s = RETRY_S_MIN

    @property
    def state(self) -> str:
        """AWAY, or what the line brings: see line_quality."""
        return AWAY if self._fd is None else self.quality.state

    def document(self) -> dict[str, Any]:
        """Return state and counts for `status`."""
        quality = self.quality
        return {
            "port": self.port,
            "baud": self.baud,
            "state": self.state,
            "reason": self._reason,
            "received_bytes": quality.received_bytes,
            "frames": quality.frames,
            "spoiled": quality.spoiled,
            "skipped": quality.skipped,
            "sent": self.sent,
            "unsent": self.unsent,
            "losses": self.losses,
        }

    async def run(self, feed: Feed) -> None:
        """Keep the line open until cancelled. feed(name, datagram): takes what arrives."""
        self._feed = feed
        while True:
            try:
                handle = await self._open()
            except (OSError, ValueError) as error:
                self._be_away(_why(error))
            else:
                try:
                    await self._use(handle)
                finally:
                    self._detach()
                    # Closing a socket:// sleeps.
                    await asyncio.shield(asyncio.to_thread(_close, handle))
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(2 * self._retry_s, RETRY_S_MAX)

    def send(self, datagram: bytes) -> None:
        """Send one datagram, at once or never."""
        if self._fd is None or len(datagram) > datagram_bytes_max:
            self.unsent += 1
            return
        frame = encode_frame(datagram)
        if len(self._waiting) + len(frame) > WAITING_BYTES_MAX:
            self.unsent += 1
            return
        self._waiting += frame
        self.sent += 1
        if not self._is_full:
            self._write()

    # ---- open and away

    async def _open(self) -> Any:
        # In a thread: a socket:// connects, and a driver may take its time.
        opening = asyncio.get_running_loop().run_in_executor(None, open_port, self.port, self.baud)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def _use(self, handle: Any) -> None:
        self._gone.clear()
        self._reason = ""
        self._waiting.clear()
        self.quality.begin()
        self._fd = handle.fileno()
        loop = asyncio.get_running_loop()
        self._free_at = loop.time()
        loop.add_reader(self._fd, self._read)
        await self._gone.wait()

    def _detach(self) -> None:
        if self._fd is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        self._fd = None
        self._is_full = False
        self._arrived.clear()

    def _lose(self, reason: str) -> None:
        self.losses += 1
        self._detach()
        self._be_away(reason)
        self._gone.set()

    def _be_away(self, reason: str) -> None:
        self._reason = reason
        self._say(AWAY)

    def _say(self, state: str) -> None:
        """Tell a person what is to be mended; once, until it is another thing, or mended."""
        if state == self._said:
            return
        self._said = state
        said = finding(self.document())
        if said is not None:
            self._tell(said)

    # ---- what comes

    def _read(self) -> None:
        assert self._fd is not None
        try:
            piece = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(_why(error))
            return
        if not piece:
            self._lose("its far end is gone")
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        self._retry_s = RETRY_S_MIN
        spent_s = len(piece) * _BITS_A_BYTE / (_PACE * self.baud)
        self._free_at = max(self._free_at, loop.time() - _AHEAD_S) + spent_s
        self._arrived.extend(self.quality.hear(piece))
        self._say(self.quality.state)
        self._hand_over()

    def _hand_over(self) -> None:
        """Deliver one datagram, so that each line and socket has its turn between two of them; then listen again."""
        if self._fd is None:
            return
        loop = asyncio.get_running_loop()
        if self._arrived:
            loop.call_soon(self._hand_over)
            self._feed(self.name, self._arrived.popleft())
        elif self._free_at > loop.time():
            loop.call_at(self._free_at, self._hand_over)
        else:
            loop.add_reader(self._fd, self._read)

    # ---- what goes

    def _write(self) -> None:
        assert self._fd is not None
        try:
            done = os.write(self._fd, self._waiting)
        except (BlockingIOError, InterruptedError):
            done = 0
        except OSError as error:
            self._lose(_why(error))
            return
        del self._waiting[:done]
        loop = asyncio.get_running_loop()
        if self._waiting and not self._is_full:
            loop.add_writer(self._fd, self._write)
        elif not self._waiting and self._is_full:
            loop.remove_writer(self._fd)
        self._is_full = bool(self._waiting)


def _why(error: Exception) -> str:
    """Return why a port cannot be used; pyserial's own words name it twice."""
    number = getattr(error, "errno", None)
    if number == errno.EAGAIN:
        return "another program holds it"
    return os.strerror(number) if number else str(error)


def _nobody(_peer: str, _datagram: bytes) -> None:
    raise AssertionError("a line was read before it was run")


def _close(handle: Any) -> None:
    try:
        handle.close()
    except OSError:
        # It is gone already.
        return


def _close_unwanted(opening: "asyncio.Future[Any]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())
