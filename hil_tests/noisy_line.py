"""Joins the data line of a board with a pty that a gateway opens, through noise that a seed repeats."""

import threading

from hil_tests.stream import Stream
from tests.support.serial_lines import Noise, Plug

_LOOK_SECONDS = 0.01


class NoisyLine:
    """Runs from the beginning to close(). one_of: one byte of so many is spoiled, in each direction.

    spoiled: how many bytes were.
    """

    def __init__(self, line: Stream, plug: Plug, one_of: int, seed: int):
        self._line = line
        self._plug = plug
        self._noise = Noise(one_of, seed), Noise(one_of, seed + 1)
        self._is_open = True
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._up, self._down)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def spoiled(self) -> int:
        """Bytes that arrived as others."""
        return sum(noise.spoiled for noise in self._noise)

    def close(self) -> None:
        """End it."""
        self._is_open = False
        for thread in self._threads:
            thread.join()

    def _up(self) -> None:
        at = 0
        while self._is_open:
            if self._line.wait(at, _LOOK_SECONDS):
                piece = self._line.heard[at:]
                at += len(piece)
                self._plug.write(self._noise[0](piece))

    def _down(self) -> None:
        while self._is_open:
            piece = self._plug.read(4096)
            if piece is None:
                threading.Event().wait(_LOOK_SECONDS)
                continue
            try:
                self._line.send(self._noise[1](piece))
            except OSError:
                # The board has lost its power.
                return
