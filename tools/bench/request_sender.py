"""Sends prepared requests as fast as they are answered, one outstanding a socket, from a process of its own.

python -m tools.bench.request_sender PORT KIND FILE      prints JSON: seconds, answered, repeated

Everything is made before the clock starts, OSCORE too, so that the server is measured and not this. KIND: oscore (POST /s, after
answering the gateway's Echo), or a path to which a plain confirmable request goes (POST, or PUT with "put:" before it).
"""

import json
import select
import socket
import sys
import time
from itertools import count
from pathlib import Path

from protocol.aes_host import Aes128
from protocol.coap import (
    CON,
    ECHO,
    EMPTY,
    GET,
    NOT_FOUND,
    POST,
    Message,
    decode,
    encode,
    option,
    path_options,
)
from protocol.oscore import OscoreContext
from tools.bench.gateway_front import kid_of, secret_of

PUT = 0x03
_REPEAT_S = 3.0
_GIVEN_UP_S = 60.0
_READ_BYTES = 2048


class Sender:
    """One socket and the requests that go out of it: token -> datagram, in order."""

    def __init__(self, port: int):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.waiting: list[bytes] = []
        self.at = 0

    def send(self) -> None:
        """Send the request that is due, again where it was sent before."""
        self.socket.send(self.waiting[self.at])

    def take(self) -> bool:
        """Take one datagram; return whether it answers the request that is due. Raises RuntimeError: it is refused."""
        raw = self.socket.recv(_READ_BYTES)
        length = raw[0] & 15
        if raw[1] == EMPTY or raw[4 : 4 + length] != self.waiting[self.at][4 : 4 + length]:
            return False
        # An echo gives the request back.
        if raw[1] >> 5 not in (0, 2):
            raise RuntimeError(f"answered {raw[1] >> 5}.{raw[1] & 31:02d}")
        self.at += 1
        return True

    def ask(self, datagram: bytes) -> Message:
        """Send a request and return its answer, whatever it is."""
        for _ in range(5):
            self.socket.send(datagram)
            if select.select([self.socket], [], [], _REPEAT_S)[0]:
                return decode(self.socket.recv(_READ_BYTES))
        raise RuntimeError("the server does not answer")


def prepare_plain(sender: Sender, code: int, path: str, payloads: list[bytes]) -> None:
    """Make plain requests."""
    options = path_options(path)
    for number, payload in enumerate(payloads):
        token = number.to_bytes(2, "big")
        sender.waiting.append(encode(Message(CON, code, number + 1, token, options, payload)))


def prepare_protected(sender: Sender, device: int, payloads: list[bytes]) -> None:
    """Answer the gateway's Echo, then make protected requests."""
    numbers = count()
    context = OscoreContext(Aes128, secret_of(device), kid_of(device), b"", lambda: next(numbers))
    options = path_options("c/0")
    for number in (60_001, 60_002):
        plain = Message(CON, GET, number, b"meet", options)
        message, exchange = context.protect_request(plain)
        answer = context.unprotect_response(sender.ask(encode(message)), exchange)
        options = [*path_options("c/0"), (ECHO, option(answer.options, ECHO) or b"")]
    assert answer.code == NOT_FOUND, answer.code
    for number, payload in enumerate(payloads):
        plain = Message(CON, POST, number + 1, number.to_bytes(2, "big"), path_options("s"), payload)
        sender.waiting.append(encode(context.protect_request(plain)[0]))


def run(senders: list[Sender]) -> dict[str, float]:
    """Send everything and return what it took."""
    poll = select.epoll()
    by_number = {sender.socket.fileno(): sender for sender in senders}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    repeated, left = 0, sum(len(sender.waiting) for sender in senders)
    answered = left
    started = last = time.perf_counter()
    for sender in senders:
        sender.send()
    while left:
        ready = poll.poll(_REPEAT_S)
        if not ready:
            if time.perf_counter() - last > _GIVEN_UP_S:
                raise RuntimeError(f"{left} requests were never answered")
            behind = [sender for sender in senders if sender.at < len(sender.waiting)]
            repeated += len(behind)
            for sender in behind:
                sender.send()
            continue
        last = time.perf_counter()
        for number, _ in ready:
            sender = by_number[number]
            if sender.at < len(sender.waiting) and sender.take():
                left -= 1
                if sender.at < len(sender.waiting):
                    sender.send()
    return {"seconds": time.perf_counter() - started, "answered": answered, "repeated": repeated}


def main(port: int, kind: str, streams: list[list[bytes]]) -> dict[str, float]:
    """Prepare and send; return what it took."""
    senders = [Sender(port) for _ in streams]
    for device, (sender, stream) in enumerate(zip(senders, streams, strict=True)):
        if kind == "oscore":
            prepare_protected(sender, device, stream)
        else:
            verb, _, path = kind.rpartition(":")
            prepare_plain(sender, PUT if verb == "put" else POST, path, stream)
    return run(senders)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[3]).read_text())
    print(
        json.dumps(
            main(int(sys.argv[1]), sys.argv[2], [[bytes.fromhex(raw) for raw in one] for one in given])
        )
    )
