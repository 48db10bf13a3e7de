"""Runs in a process of its own: starts a gateway's sessions again and again, kills each start, prints every nonce used.

usage: python -m tests.gateway.restart_program FOLDER RESTARTS SEED [FAULT]
Each start is a forked child that ends by os._exit: often in the middle of a commit, before or after it is durable.
One line for each protected message that had a sequence number of its own: name of the keys in hex, a space, the number.
"""

import os
import random
import sqlite3
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.config import Link
from gateway.sessions import Challenged, Sessions, context_name
from protocol import coap
from protocol.aes_host import Aes128
from protocol.oscore import OscoreContext, decode_option
from tests.gateway.site import Counter, device_id, new_store, secret_of

LINK = Link(device_id(), b"\x01", secret_of())
REQUESTS_MAX = 50


def dying_connection(chance):
    """Return a way to connect whose commits sometimes end the process, before or after they are durable."""

    class Connection(sqlite3.Connection):
        def execute(self, sql, *parameters):
            if sql == "COMMIT" and random.random() < chance:
                os._exit(1)
            result = super().execute(sql, *parameters)
            if sql == "COMMIT" and random.random() < chance:
                os._exit(1)
            return result

    return lambda path: sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=Connection
    )


class NoLimit(SystemClock):
    """A clock that runs so fast that no challenge is refused."""

    def __init__(self):
        self.now = 0

    def monotonic(self):
        self.now += 10
        return self.now


def one_start(folder, id_context, sequence, out):
    """Let a device talk to a fresh start of the gateway until it is killed."""
    store = new_store(folder, connect=dying_connection(0.05), seed=1)
    sessions = Sessions(store, [LINK], secret=os.urandom(32), clock=NoLimit())
    device = OscoreContext(Aes128, LINK.secret, LINK.kid, b"", Counter(sequence), id_context=id_context)
    name = context_name(LINK, id_context).hex()
    for _ in range(random.randrange(REQUESTS_MAX)):
        plain = coap.Message(coap.CON, coap.POST, 1, b"", coap.path_options("h"), b"")
        request, _ = device.protect_request(plain)
        try:
            # Never answers the Echo: each request costs the gateway a sequence number.
            sessions.open(request)
        except Challenged as challenge:
            piv, _, _ = decode_option(coap.option(challenge.message.options, coap.OSCORE))
            os.write(out, f"{name} {int.from_bytes(piv, 'big')}\n".encode())
    os._exit(0)


def main():
    folder, restarts, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if len(sys.argv) > 4:
        from tests.planted.gateway import FAULTS

        FAULTS[sys.argv[4]](setattr)
    random.seed(seed)
    id_context = None
    for start in range(restarts):
        random.seed(seed * 1000 + start)
        if random.random() < 0.05:
            id_context = random.randbytes(8)
        child = os.fork()
        if child == 0:
            one_start(folder, id_context, start * REQUESTS_MAX, sys.stdout.fileno())
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
