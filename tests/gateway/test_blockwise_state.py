"""Block-wise transfers that are opened and never ended: what they take of the gateway is bounded, and whoever is honest is served.

The gateway puts no request together out of blocks, so there is nothing half-received: Block1 is refused at its first block, and 4.08 is
never said. Of what goes down block by block only answers are kept, for the case that a request comes again.
"""

import asyncio
import itertools

from gateway.links.remembered import OVERHEAD_BYTES, PEER_BYTES_MAX, Remembered
from gateway.links.server import CoapServer
from protocol import coap
from protocol.blockwise import decode_block, encode_block
from protocol.limits import block_bytes, segment_bytes_max
from tests.gateway.site import segment
from tests.gateway.test_delivery import BODY, NUMBER, offered

PEERS = 300
KEPT_MAX = 64 << 10
PART = f"r/{NUMBER}/0"
FIRST_OF_MANY = encode_block(0, True, 64)


class Flooded:
    """A server beside the gateway's own, over the same site, with little room; and whatever peers are wanted. device: has a release."""

    def __init__(self, running, device):
        self.running, self.device = running, device
        self.answers = {}
        self.server = CoapServer(running.gateway.site, self._keep, remembered=Remembered(bytes_max=KEPT_MAX))
        self._numbers = itertools.count(1)

    def _keep(self, peer, datagram):
        self.answers.setdefault(peer, []).append(coap.decode(datagram))

    def protected(self, code, path, payload=b"", options=()):
        """Return a request of the device, and what opens the answer to it."""
        number = next(self._numbers)
        plain = coap.Message(coap.CON, code, number, b"t", coap.path_options(path) + list(options), payload)
        return self.device.context.protect_request(plain)

    async def ask(self, peer, code, path, payload=b"", options=()):
        """Return the verified answer to a request of the device from any peer."""
        message, exchange = self.protected(code, path, payload, options)
        self.server.feed(peer, coap.encode(message))
        for _ in range(200):
            if self.answers.get(peer):
                break
            await asyncio.sleep(0.01)
        return self.device.context.unprotect_response(self.answers.pop(peer)[0], exchange)

    async def block(self, peer, number):
        """Return the answer to a request for one block of the device's part."""
        return await self.ask(
            peer, coap.GET, PART, options=[(coap.BLOCK2, encode_block(number, False, block_bytes))]
        )

    def strange(self, peer, code, path, payload=b"", options=()):
        """Return the code of what a request without keys is answered at once, None for no answer."""
        message = coap.Message(
            coap.CON,
            code,
            next(self._numbers) & 0xFFFF,
            b"t",
            coap.path_options(path) + list(options),
            payload,
        )
        self.server.feed(peer, coap.encode(message))
        said = self.answers.pop(peer, None)
        return None if said is None else said[0].code


def flooded(site, body):
    """Run an async body(flood) on a gateway that has a release for a device."""

    async def run(running):
        device = await offered(running)
        flood = Flooded(running, device)
        try:
            await body(flood)
        finally:
            await flood.server.close()

    site(run)


def check_open_downloads_are_bounded(site):
    """Open a download from each of many addresses, and many from one; end none, and fetch one whole between."""

    async def body(flood):
        kept, whole = flood.server.remembered, b""
        for n in range(PEERS):
            assert coap.CONTENT == (await flood.block(("192.0.2.1", n), n % 20)).code
            assert kept.bytes <= KEPT_MAX
            if n * block_bytes < len(BODY):
                whole += (await flood.block("honest", n)).payload
        among_all = len(kept)
        for n in range(50):
            assert coap.CONTENT == (await flood.block("one", n % 20)).code
        of_one = sum(size_of(one) for one in kept._peers["one"].exchanges.values())

        assert BODY == whole
        assert KEPT_MAX // (OVERHEAD_BYTES + block_bytes) // 2 < among_all < PEERS
        assert of_one <= PEER_BYTES_MAX
        assert ("192.0.2.1", 0) not in kept._peers

    flooded(site, body)


def size_of(exchange):
    return OVERHEAD_BYTES + len(exchange.answer)


def test_downloads_that_nobody_ends_are_bounded_and_an_honest_one_is_served(site):
    """The oldest answers go first, of all and of each peer; a transfer between is whole, for the device asks for each block."""
    check_open_downloads_are_bounded(site)


def check_open_uploads_hold_nothing(site):
    """Begin uploads in blocks from many addresses, with and without keys, inside and outside of what is protected."""

    async def body(flood):
        counts = flood.running.gateway.health.counts
        before, kept = counts["segments"], flood.server.remembered
        began = {
            flood.strange(("198.51.100.1", n), coap.POST, "s", bytes(64), [(coap.BLOCK1, FIRST_OF_MANY)])
            for n in range(PEERS)
        }
        public = {
            flood.strange(f"198.51.{n}.1", coap.GET, path, bytes(64), [(coap.BLOCK1, FIRST_OF_MANY)])
            for n, path in enumerate(("time", ".well-known/core"))
        }
        strangers = (len(kept), began, public)
        for n in range(40):
            answer = await flood.ask(
                ("192.0.2.2", n), coap.POST, "s", bytes(64), [(coap.BLOCK1, FIRST_OF_MANY)]
            )
            assert coap.BAD_OPTION == answer.code
        outer, _ = flood.protected(coap.POST, "s", segment(0))
        outer.options = coap.sort_options([*outer.options, (coap.BLOCK1, FIRST_OF_MANY)])
        outer.payload = outer.payload[:64]
        flood.server.feed("proxy", coap.encode(outer))

        assert (0, {coap.UNAUTHORIZED}, {coap.BAD_OPTION}) == strangers
        assert coap.BAD_REQUEST == flood.answers["proxy"][0].code
        assert kept.bytes <= KEPT_MAX
        assert before == counts["segments"]
        answer = await flood.ask("honest", coap.POST, "s", segment(0))
        assert (coap.CHANGED, before + 1) == (answer.code, counts["segments"])

    flooded(site, body)


def test_uploads_in_blocks_are_refused_at_their_first_block_and_hold_nothing(site):
    """4.01 without keys, 4.02 with them and on what is public, 4.00 for a piece of what was protected whole; a segment is taken all the same."""
    check_open_uploads_hold_nothing(site)


def test_body_that_is_too_long_is_refused_by_its_code(site):
    """4.13, as RFC 7959 section 2.9.3 says, for what does not fit into a segment."""

    async def body(flood):
        answer = await flood.ask("long", coap.POST, "s", bytes(segment_bytes_max + 1))

        assert coap.TOO_LARGE_ENTITY == answer.code

    flooded(site, body)


def test_last_block_says_that_it_is_the_last_and_one_behind_it_is_refused(site):
    """Who asks beyond the end is refused by 4.00, and nothing is opened for it."""

    async def body(flood):
        last = (len(BODY) - 1) // block_bytes
        number, is_more, _ = decode_block(coap.option((await flood.block("last", last)).options, coap.BLOCK2))

        assert (last, False) == (number, is_more)
        assert coap.BAD_REQUEST == (await flood.block("behind", last + 1)).code

    flooded(site, body)
