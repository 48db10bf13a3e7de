"""The security state between this device and its gateway: nothing of it is kept, so that nothing of it can go back.

A flash image that was put back or copied looks like any other at boot; numbers counted on flash would then be used twice. So each
boot takes a fresh ID Context, which makes other keys, and its sequence numbers start at 0; the gateway asks for Echo once. The same
where a gateway says twice that it does not know us, and where the office tells that this flash was put back.

An ID Context is made of the boot count and of random bytes: a generator of random numbers that repeats itself after a reset does
no harm, as long as the flash was not put back as well.

Source: SPEC.md section 6; RFC 8613 sections 7.5 and B.2 (the idea), 3.2 (keys from the ID Context).
"""

import hashlib

from agent.coap_client import CoapClient
from protocol._const import const
from protocol.oscore import OscoreContext, id_context_bytes

_RANDOM_BYTES = const(16)


def fresh_context(boot: int, random_bytes) -> bytes:
    """Return an ID Context under which nobody has sent anything."""
    return hashlib.sha256(boot.to_bytes(4, "big") + random_bytes(_RANDOM_BYTES)).digest()[:id_context_bytes]


class Session:
    """Requests to the gateway. link, boot, aes, random_bytes, ticks_ms: handed in; secret: 16 bytes; kid: sender ID.

    renewals: how often it was begun anew in this boot.
    """

    def __init__(
        self, link, boot: int, aes, secret: bytes, kid: bytes, ticks_ms, random_bytes, ack_timeout_ms: int
    ):
        self._boot = boot
        self._aes = aes
        self._secret = secret
        self._kid = kid
        self._random_bytes = random_bytes
        self._next = 0
        self.renewals = 0
        self._client = CoapClient(
            link, self._context(), ticks_ms, random_bytes, ack_timeout_ms=ack_timeout_ms
        )

    def _context(self) -> OscoreContext:
        return OscoreContext(
            self._aes,
            self._secret,
            self._kid,
            b"",
            self._next_sequence,
            id_context=fresh_context(self._boot, self._random_bytes),
        )

    def _next_sequence(self) -> int:
        self._next += 1
        return self._next - 1

    def renew(self) -> None:
        """Take a fresh ID Context: other keys, sequence 0. The gateway asks for Echo once."""
        self._next = 0
        self._client.context = self._context()
        self.renewals += 1

    def use(self, kid: bytes, secret: bytes) -> None:
        """Go on under another link, if it is another: in a fresh context, so that going back to one uses nothing twice."""
        if kid != self._kid or secret != self._secret:
            self._kid = kid
            self._secret = secret
            self.renew()

    async def request(self, code: int, path: str, payload: bytes, options=()):
        """Send one request and return its verified response. Raises LinkError or ProtocolError(SEQUENCE)."""
        return await self._client.request(code, path, payload, options)

    def sent_again(self) -> int:
        """Return how many datagrams were retransmissions."""
        return self._client.retransmissions
