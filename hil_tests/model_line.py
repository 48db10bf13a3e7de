"""The far end of a board's data line: frames become datagrams for a gateway in this process, and its answers frames."""

import threading

from hil_tests.stream import Stream
from protocol.slipmux import COAP, FrameReader, encode_frame
from tests.agent.model_gateway import ModelGateway

_LOOK_SECONDS = 0.005


class ModelLine:
    """Runs from the beginning to close(). failure: what the gateway raised, if it did; it then answers no more."""

    def __init__(self, line: Stream, gateway: ModelGateway):
        self.failure: Exception | None = None
        self._line = line
        self._gateway = gateway
        self._at = len(line.heard)
        self._reader = FrameReader()
        self._is_open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._is_open = False
        self._thread.join()

    def start_anew(self) -> None:
        """Forget what a board that lost its power had begun to say."""
        self._reader = FrameReader()

    def _serve(self) -> None:
        while self._is_open and self.failure is None:
            if not self._line.wait(self._at, _LOOK_SECONDS):
                continue
            piece = self._line.heard[self._at :]
            self._at += len(piece)
            for kind, content in self._reader.feed(piece):
                if kind == COAP:
                    self._answer(content)

    def _answer(self, datagram: bytes) -> None:
        try:
            self._gateway.send(datagram)
        except Exception as failure:  # noqa: BLE001 - a thread of ours: who waits for the board raises it again
            self.failure = failure
            return
        while self._gateway.queue:
            try:
                self._line.send(encode_frame(self._gateway.queue.popleft()))
            except OSError:
                # The board has lost its power.
                return
