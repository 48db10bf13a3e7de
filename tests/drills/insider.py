"""Somebody who has one device's link secret, and no seal: what he says is authenticated, and nonsense."""

import asyncio
import random

from protocol import coap
from protocol.aes_host import Aes128
from protocol.errors import ProtocolError
from protocol.oscore import OscoreContext
from protocol.settings import read_settings
from tests.drills.strangers import open_socket
from tools.device import LinkSecret


class Insider:
    """A CoAP client with true keys. link: link.toml of a device that does not run."""

    def __init__(self, port, link):
        secret = read_settings(link, LinkSecret)
        self._numbers = iter(range(1 << 20))
        self._context = OscoreContext(
            Aes128, bytes.fromhex(secret.secret), bytes.fromhex(secret.kid), b"", lambda: next(self._numbers)
        )
        self._socket = open_socket(port)
        self._ids = 0
        self.codes = {}

    async def say(self, code, path, payload, options=()):
        """Send a request, shake hands by Echo where asked, and count the code of the answer; None: there was none."""
        answer = await self._ask(code, path, payload, list(options))
        echo = None if answer is None else coap.option(answer.options, coap.ECHO)
        if echo is not None:
            answer = await self._ask(code, path, payload, [*options, (coap.ECHO, echo)])
        said = None if answer is None else coap.code_text(answer.code)
        self.codes[said] = self.codes.get(said, 0) + 1

    async def _ask(self, code, path, payload, options):
        self._ids = self._ids + 1 & 0xFFFF
        plain = coap.Message(coap.CON, code, self._ids, b"in", coap.path_options(path) + options, payload)
        message, exchange = self._context.protect_request(plain)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, coap.encode(message))
        try:
            async with asyncio.timeout(2.0):
                answer = coap.decode(await loop.sock_recv(self._socket, 2048))
            return self._context.unprotect_response(answer, exchange)
        except (TimeoutError, ProtocolError, OSError):
            return None

    def close(self):
        self._socket.close()


async def talk_nonsense(port, link, count, chance: random.Random, samples, claims):
    """Say so much nonsense under true keys; return how often each code was answered.

    samples: true segments. claims: (path, raw) of what another device sealed, said as it is and under these keys.
    """
    insider = Insider(port, link)
    paths = ("s", "h", "x", "r/1", "r/4294967296", "r/1/0", "c/1", "c/-1")
    try:
        for path in ("s", "h"):
            await insider.say(coap.POST, path, chance.randbytes(40))
        for index in range(count):
            raw = bytearray(
                chance.choice(samples) if samples and index % 2 else chance.randbytes(chance.randrange(600))
            )
            if raw:
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
            path = chance.choice(paths)
            code = chance.choice((coap.POST, coap.POST, coap.GET, coap.FETCH))
            options = (
                [(chance.choice((coap.BLOCK2, 65, 2049)), chance.randbytes(chance.randrange(5)))]
                if index % 5 == 0
                else []
            )
            await insider.say(code, path, bytes(raw), options)
        for path, raw in claims:
            await insider.say(coap.POST, path, raw)
    finally:
        insider.close()
    return insider.codes
