"""One serial line of a board as its far end sees it, listened to all the time.

Something has to listen: where nobody reads, the socket fills after a few hundred bytes, each written by itself, and the
emulator then holds the board back. No wire does that.
"""

import socket
import threading
import time


class Stream:
    """heard: everything that came, from the start on. end: the other end of the pair, for the emulator to inherit."""

    def __init__(self):
        self._ours, self.end = socket.socketpair()
        self.heard = b""
        self._is_over = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                piece = self._ours.recv(65536)
            except OSError:
                piece = b""
            with self._news:
                self.heard += piece
                self._is_over = self._is_over or not piece
                self._news.notify_all()
            if not piece:
                return

    def wait(self, length: int, seconds: float) -> bool:
        """Wait until more than length bytes were heard, the far end has gone, or the time is up; say whether more were."""
        with self._news:
            self._news.wait_for(lambda: len(self.heard) > length or self._is_over, seconds)
            return len(self.heard) > length

    def is_over(self, seconds: float) -> bool:
        """Say whether the far end has gone, or goes within so many seconds."""
        with self._news:
            return self._news.wait_for(lambda: self._is_over, seconds)

    def quiet(self, seconds: float) -> bytes:
        """Listen for so long, and return what came meanwhile."""
        before = len(self.heard)
        time.sleep(seconds)
        return self.heard[before:]

    def send(self, data: bytes) -> None:
        """Send to the board."""
        self._ours.sendall(data)

    def close(self) -> None:
        """End it; what was heard stays."""
        # A close alone would leave the thread in recv().
        try:
            self._ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self._ours.close()
