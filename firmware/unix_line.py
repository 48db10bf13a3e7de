"""A serial line of this machine, for the agent's SerialLink under MicroPython's unix port."""

import termios

_SPEEDS = 4, 5
_CONTROL = 6


class UnixLine:
    """A tty as a UART: read(n) never waits, write(piece) as long as the line takes.

    path: of the tty. baud: one that termios names. It is opened when it is first used, and anew after an error: a port may come later, and
    go. What is sent meanwhile is lost.
    """

    def __init__(self, path: str, baud: int):
        self._path = path
        self._speed = getattr(termios, "B{}".format(baud), None)
        if self._speed is None:
            raise ValueError("a serial line has no {} baud here".format(baud))
        self._file = None

    def read(self, n: int):
        """Return what has come, at most n bytes, or None."""
        try:
            return self._open().read(n) or None
        except OSError:
            self._close()
            return None

    def write(self, piece: bytes) -> None:
        """Send, or lose."""
        try:
            self._open().write(piece)
        except OSError:
            self._close()

    def _open(self):
        if self._file is None:
            opened = open(self._path, "r+b")
            try:
                self._configure(opened.fileno())
            except OSError:
                opened.close()
                raise
            self._file = opened  # type: ignore[assignment]  # None until then
        return self._file

    def _configure(self, number: int) -> None:
        termios.setraw(number)
        attributes = termios.tcgetattr(number)
        for place in _SPEEDS:
            attributes[place] = self._speed
        # The two that are numbers say how long a read waits, and for how many bytes: not at all.
        control = attributes[_CONTROL]
        attributes[_CONTROL] = [0 if isinstance(item, int) else item for item in control]
        termios.tcsetattr(number, termios.TCSANOW, attributes)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
