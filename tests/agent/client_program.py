"""Runs the device's CoAP client on either runtime: `client_program.py PORT FIRST_SEQUENCE ACK_TIMEOUT_MS PATH:BYTES ...`.

Prints one JSON line for each request and one with the counters. Started by test_coap_client.py.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
from binascii import hexlify

from agent.coap_client import CoapClient, LinkDown, LinkRefused
from agent.links.udp import UdpLink
from protocol import coap
from protocol.oscore import OscoreContext

try:
    import cryptolib  # noqa: F401  only MicroPython has it
except ImportError:
    from protocol.aes_host import Aes128
else:
    from agent.aes import Aes128

if hasattr(time, "ticks_ms"):
    ticks_ms = time.ticks_ms
else:

    def ticks_ms():
        return time.monotonic_ns() // 1000000 & 0x3FFFFFFF


def _sequence(first):
    numbers = iter(range(first, first + 1000))
    return lambda: next(numbers)


async def _ask(client, order):
    path, size = order.split(":")
    payload = bytes([n & 0xFF for n in range(int(size))])
    try:
        response = await client.request(coap.POST, path, payload)
    except LinkRefused as error:
        return {"error": "refused", "code": error.code}
    except LinkDown as error:
        return {"error": "down", "text": str(error)}
    return {
        "code": coap.code_text(response.code),
        "max_age_s": coap.max_age_s(response.options),
        "is_intact": response.payload == hashlib.sha256(payload).digest(),
        "payload": hexlify(response.payload).decode(),
    }


async def main(port, first, wait_ms, orders):
    link = UdpLink("127.0.0.1", port)
    context = OscoreContext(Aes128, b"link secret 0001", b"\x07", b"", _sequence(first))
    client = CoapClient(
        link,
        context,
        ticks_ms,
        os.urandom,
        ack_timeout_ms=wait_ms,
        retransmit_max=2,
        separate_timeout_ms=1000,
    )
    for order in orders:
        print(json.dumps(await _ask(client, order)))
    counters = {
        "requests": client.requests,
        "retransmissions": client.retransmissions,
        "refused": client.refused,
    }
    counters["sent_bytes"] = link.sent_bytes
    counters["received_bytes"] = link.received_bytes
    counters["lost"] = link.lost
    print(json.dumps(counters))
    link.close()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
