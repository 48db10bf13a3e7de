"""Joins the data line of a board with a gateway that listens on UDP: frames become datagrams, and datagrams frames.

It can spoil bytes on the wire, in either direction, as noise does.
"""

import socket
import threading

from hil_tests.stream import Stream
from protocol.slipmux import COAP, FrameReader, encode_frame

_LOOK_SECONDS = 0.01


class Bridge:
    """Runs from the beginning to close(). noise: of each so many bytes one is spoiled, None: none.

    spoiled, carried: how many bytes were, and how many datagrams got through to the gateway.
    """

    def __init__(self, line: Stream, gateway: tuple[str, int], noise: int | None = None):
        self.spoiled = 0
        self.carried = 0
        self._line = line
        self._noise = noise
        self._passed = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(gateway)
        self._socket.settimeout(_LOOK_SECONDS)
        self._is_open = True
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._up, self._down)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._is_open = False
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _wire(self, piece: bytes) -> bytes:
        if self._noise is None:
            return piece
        # By count, so that a run of any length has its share; a repeated frame is hit at another place, or not at all.
        spoiled = bytearray(piece)
        for at in range(-self._passed % self._noise, len(spoiled), self._noise):
            spoiled[at] ^= 0x10
            self.spoiled += 1
        self._passed += len(piece)
        return bytes(spoiled)

    def _up(self) -> None:
        reader = FrameReader()
        at = 0
        while self._is_open:
            if not self._line.wait(at, _LOOK_SECONDS):
                continue
            piece = self._line.heard[at:]
            at += len(piece)
            for kind, content in reader.feed(self._wire(piece)):
                if kind == COAP:
                    self._send(content)

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
            self.carried += 1
        except ConnectionRefusedError:
            # No gateway there yet: what UDP tells of it is as good as a lost datagram.
            return

    def _down(self) -> None:
        while self._is_open:
            try:
                datagram = self._socket.recv(65536)
            except (TimeoutError, ConnectionRefusedError):
                continue
            try:
                self._line.send(self._wire(encode_frame(datagram)))
            except OSError:
                # The board has lost its power.
                return
