"""The model gateway behind a real UDP socket of the loopback, for devices that are processes."""

import socket
import threading
import time

from tests.agent.desk import DEVICE, DOWNLINK, KID, RATCHETS, SEAL_KEYS, SECRET
from tests.agent.model_gateway import ModelGateway


class _WallClock:
    """The clock of this machine, as the model gateway reads it."""

    @property
    def now(self):
        return time.monotonic()

    def wall_ms(self):
        return time.time_ns() // 1_000_000


class UdpGateway:
    """Serves in a thread while it is entered. model: the ModelGateway; a broken promise inside is raised on leaving."""

    def __init__(self):
        self.model = ModelGateway(_WallClock(), DEVICE, KID, SECRET, SEAL_KEYS, RATCHETS, DOWNLINK)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self._is_ending = False
        self._failure = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._is_ending = True
        self._thread.join()
        self._socket.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self):
        while not self._is_ending:
            try:
                datagram, address = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            try:
                self.model.send(datagram)
            except Exception as failure:  # noqa: BLE001 - raised again on leaving
                self._failure = failure
                return
            while self.model.queue:
                self._socket.sendto(self.model.queue.popleft(), address)
