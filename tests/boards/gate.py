"""A gateway for boards without keys, alone on a UDP port: it hands an admission on, block by block."""

import socket
import threading
from typing import Self

from protocol import coap
from protocol.admission import parse_announcement
from protocol.blockwise import decode_block, encode_block
from protocol.limits import admission_block_bytes


class AdmissionGate:
    """Use with `with`. sealed: the admission that everybody gets. heard: (board, hardware) of each announcement."""

    def __init__(self, sealed: bytes):
        self._sealed = sealed
        self.heard: set[tuple[bytes, str]] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # An empty datagram ends the thread, which no closed socket would wake.
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            datagram, board = self._socket.recvfrom(2048)
            if not datagram:
                return
            self._socket.sendto(self._answer(coap.decode(datagram)), board)

    def _answer(self, request: coap.Message) -> bytes:
        said = parse_announcement(request.payload).fields
        self.heard.add((said.board, said.hardware))
        number = decode_block(coap.option(request.options, coap.BLOCK2))[0]
        start, stop = number * admission_block_bytes, (number + 1) * admission_block_bytes
        block = encode_block(number, stop < len(self._sealed), admission_block_bytes)
        answer = coap.Message(coap.ACK, coap.CONTENT, request.message_id, request.token)
        answer.options = [(coap.BLOCK2, block)]
        answer.payload = self._sealed[start:stop]
        return coap.encode(answer)
