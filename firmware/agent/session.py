"""The security state between this device and its gateway, kept so that no sequence number is ever used twice.

Numbers are reserved ahead in the power-safe cell, a step at a time: after a cut the rest of the step is given up. Where the
state is lost, cloned or doubted (a cell that was empty, a flash image that was restored, a gateway that says twice it does not
know us) nobody can say which numbers were used; then a fresh random ID Context makes other keys, and numbers start at 0.

Source: SPEC.md section 6; RFC 8613 sections 7.5 and B.2 (the idea), 3.2 (keys from the ID Context).
"""

from agent.coap_client import CoapClient
from protocol._const import const
from protocol.oscore import OscoreContext, id_context_bytes

# A write to the cell for each so many requests: a fair wear against numbers given up at each boot.
_STEP = const(64)


class Session:
    """Requests to the gateway. link, cell, aes, random_bytes, ticks_ms: handed in; secret: 16 bytes; kid: sender ID."""

    def __init__(
        self, link, cell, store, aes, secret: bytes, kid: bytes, ticks_ms, random_bytes, ack_timeout_ms: int
    ):
        self._cell = cell
        self._store = store
        self._aes = aes
        self._secret = secret
        self._kid = kid
        self._random_bytes = random_bytes
        self._next = cell.sender_reserved
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
            id_context=self._cell.id_context,
        )

    def _next_sequence(self) -> int:
        number = self._next
        if number >= self._cell.sender_reserved:
            self._store(sender_reserved=number + _STEP)
        self._next = number + 1
        return number

    def renew(self) -> None:
        """Take a fresh ID Context: other keys, sequence 0. The gateway asks for Echo once."""
        self._store(id_context=self._random_bytes(id_context_bytes), sender_reserved=0)
        self._next = 0
        self._client.context = self._context()
        self.renewals += 1

    async def request(self, code: int, path: str, payload: bytes, options=()):
        """Send one request and return its verified response. Raises LinkError or ProtocolError(SEQUENCE)."""
        return await self._client.request(code, path, payload, options)

    def sent_again(self) -> int:
        """Return how many datagrams were retransmissions."""
        return self._client.retransmissions
