"""Protect a request that carries a full segment, and open the answer that carries a receipt."""

from agent.aes import Aes128
from hil_tests.workloads.clock import cost, priced
from protocol.coap import CHANGED, CON, POST, URI_PATH, Message
from protocol.limits import segment_bytes_max
from protocol.oscore import OscoreContext, ReplayWindow

RECEIPT_BYTES = 80
REQUEST = Message(CON, POST, 1, b"\x01\x02", [(URI_PATH, b"s")], bytes(segment_bytes_max))


def context(sender, recipient):
    """Return one side."""
    numbers = iter(range(1000))
    return OscoreContext(Aes128, b"s" * 16, sender, recipient, lambda: next(numbers))


def protect(client):
    """Protect one request."""
    client.protect_request(REQUEST)


def measure():
    """Return instructions and bytes of heap by name."""
    client, server = context(b"\x01\x02", b""), context(b"", b"\x01\x02")
    request, exchange = client.protect_request(REQUEST)
    read, theirs = server.unprotect_request(request, ReplayWindow())
    assert read.payload == REQUEST.payload
    answer = Message(CON, CHANGED, 1, b"\x01\x02", [], bytes(RECEIPT_BYTES))
    response = server.protect_response(answer, theirs)
    found = priced("protect", cost(protect, client))
    found.update(priced("open", cost(client.unprotect_response, response, exchange)))
    return found
