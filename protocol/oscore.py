"""OSCORE: a CoAP message inside an encrypted one. Both roles; the device needs the client's.

Only AES-CCM-16-64-128 and HKDF SHA-256, no Observe, no groups. No state is kept here but what is handed in: the caller
hands out sequence numbers (reserved ahead in flash) and owns the replay window.

A device that lost its sequence takes a fresh random ID Context of 8 bytes and starts at 0 again: other keys, so that no
nonce is used twice. The ID Context travels in every request, so that the gateway finds the keys.

Source: RFC 8613; Echo: RFC 9175 and RFC 8613 appendix B.1.2.
"""

from protocol._const import const
from protocol.aead import KEY_BYTES, NONCE_BYTES, AesCcm
from protocol.cbor import dumps
from protocol.coap import (
    CHANGED,
    EMPTY,
    OSCORE,
    POST,
    PROXY_SCHEME,
    PROXY_URI,
    URI_HOST,
    URI_PORT,
    Message,
    append_body,
    decode_body,
    option,
)
from protocol.errors import MALFORMED, NOT_PROTECTED, REPLAY, SEAL, SEQUENCE, ProtocolError
from protocol.mac import hkdf_expand, hkdf_extract

# The largest number that five bytes of Partial IV hold.
sequence_max = 0xFFFFFFFFFF
# With a nonce of 13 bytes: 13 - 6, RFC 8613 section 3.3.
id_bytes_max = 7
# Fresh random bytes that make new keys after a loss of state.
id_context_bytes = 8

_ALGORITHM = const(10)
_WINDOW_BITS = const(32)
_PARTIAL_IV_BYTES_MAX = const(5)
# Head of a byte string of CBOR, without its length.
_BYTES = const(0x40)
# Options that stay outside, because proxies work with them (class U); everything else is encrypted.
_OUTER = (URI_HOST, URI_PORT, PROXY_URI, PROXY_SCHEME)
# ["Encrypt0", h'', external_aad] and [1, [10], ... up to request_kid.
_AAD_HEAD = b"\x83\x68Encrypt0\x40"
_ARRAY_HEAD = b"\x85\x01\x81\x0a"


class ReplayWindow:
    """Remembers which of a peer's sequence numbers were already accepted.

    A bit field of `bits` numbers; bit 0 is the highest seen. Numbers above it move the window; numbers below the
    window are refused, seen or not: we would rather ask the peer again than accept a message twice.

    Nothing is marked before the message's tag was verified: mark() after the decryption, never before. Otherwise a forger
    could shut a peer out by sending garbage under a high number.

    Source: RFC 8613 section 7.4.
    """

    def __init__(self, highest: int = -1, seen: int = 0, bits: int = _WINDOW_BITS):
        self.highest = highest
        self.seen = seen
        self._bits = bits

    def is_fresh(self, number: int) -> bool:
        """Say whether number was not accepted yet and is not too old to tell."""
        behind = self.highest - number
        if behind < 0:
            return True
        return behind < self._bits and not self.seen >> behind & 1

    def mark(self, number: int) -> None:
        """Note that a verified message with this number was accepted."""
        behind = self.highest - number
        if behind < 0:
            self.seen = (self.seen << -behind | 1) & (1 << self._bits) - 1 if -behind < self._bits else 1
            self.highest = number
        else:
            self.seen |= 1 << behind

    def start_at(self, number: int) -> None:
        """Begin after a loss of state: number was just shown to be fresh by Echo; it and all below count as seen."""
        self.highest = number
        self.seen = (1 << self._bits) - 1


class Exchange:
    """What binds a response to its request: the request's kid, Partial IV and nonce. Made by the context, passed back."""

    __slots__ = ("aad", "can_reuse_nonce", "kid", "nonce", "partial_iv")

    def __init__(self, kid: bytes, partial_iv: bytes, nonce: bytes, can_reuse_nonce: bool):
        self.kid = kid
        self.partial_iv = partial_iv
        # The same for the request and each of its responses.
        self.aad = associated_data(kid, partial_iv)
        self.nonce = nonce
        self.can_reuse_nonce = can_reuse_nonce

    def sequence(self) -> int:
        """Return the request's sequence number."""
        return int.from_bytes(self.partial_iv, "big")


class OscoreContext:
    """The keys between two peers, in one direction each.

    aes: makes a block cipher from a 16-byte key (see `protocol.aead`). sender_id, recipient_id: 0..7 bytes, unequal.
    next_sequence: returns the next number to send under, each once for ever; it makes the number durable, or has reserved
    it durably, before it returns. id_context: bytes or None.
    """

    def __init__(
        self,
        aes,
        master_secret: bytes,
        sender_id: bytes,
        recipient_id: bytes,
        next_sequence,
        master_salt: bytes = b"",
        id_context=None,
    ):
        assert len(sender_id) <= id_bytes_max and len(recipient_id) <= id_bytes_max
        # Equal IDs give both directions one key: then the same nonce would seal two texts.
        assert sender_id != recipient_id
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context
        key = hkdf_extract(master_salt, master_secret)
        self.sender_key = self._derive(key, sender_id, "Key", KEY_BYTES)
        self.recipient_key = self._derive(key, recipient_id, "Key", KEY_BYTES)
        self.common_iv = self._derive(key, b"", "IV", NONCE_BYTES)
        self._common_number = int.from_bytes(self.common_iv, "big")
        self._sealer = AesCcm(aes(self.sender_key))
        self._opener = AesCcm(aes(self.recipient_key))
        self._next_sequence = next_sequence
        self._last_sequence = -1

    def _derive(self, key: bytes, owner: bytes, purpose: str, size: int) -> bytes:
        return hkdf_expand(key, dumps([owner, self.id_context, _ALGORITHM, purpose, size]), size)

    def nonce(self, owner: bytes, partial_iv: bytes) -> bytes:
        """Return the nonce of a Partial IV (1..5 bytes) that the peer with ID owner made: RFC 8613 section 5.2."""
        number = len(owner) << 96 | int.from_bytes(owner, "big") << 40 | int.from_bytes(partial_iv, "big")
        return (number ^ self._common_number).to_bytes(NONCE_BYTES, "big")

    def _new_partial_iv(self) -> bytes:
        number = self._next_sequence()
        if number > sequence_max:
            raise ProtocolError(SEQUENCE, "OSCORE sequence {} exceeds {}".format(number, sequence_max))
        # Not an assert: the device runs without them, and a number used twice gives both plaintexts away.
        if number <= self._last_sequence:
            raise ValueError("OSCORE sequence {} does not rise above {}".format(number, self._last_sequence))
        self._last_sequence = number
        return partial_iv(number)

    def protect_request(self, message: Message):
        """Return (protected message, exchange). The exchange opens the response; send the same bytes when repeating."""
        piv = self._new_partial_iv()
        exchange = Exchange(self.sender_id, piv, self.nonce(self.sender_id, piv), False)
        value = encode_option(piv, self.sender_id, self.id_context)
        return self._protect(message, POST, value, exchange, exchange.nonce), exchange

    def protect_response(self, message: Message, exchange: Exchange) -> Message:
        """Return the protected response to the request of that exchange.

        The first response reuses the request's nonce (the keys differ), any further one takes a sequence number, and so
        does one to a request whose freshness is unknown: RFC 8613 sections 8.3 and B.1.2.
        """
        if exchange.can_reuse_nonce:
            exchange.can_reuse_nonce = False
            return self._protect(message, CHANGED, b"", exchange, exchange.nonce)
        piv = self._new_partial_iv()
        nonce = self.nonce(self.sender_id, piv)
        return self._protect(message, CHANGED, encode_option(piv, None, None), exchange, nonce)

    def _protect(
        self, message: Message, code: int, value: bytes, exchange: Exchange, nonce: bytes
    ) -> Message:
        assert option(message.options, OSCORE) is None
        outer = [(OSCORE, value)]
        inner = []
        for pair in message.options:
            (outer if pair[0] in _OUTER else inner).append(pair)
        text = bytearray((message.code,))
        append_body(text, inner, message.payload)
        sealed = self._sealer.seal(nonce, bytes(text), exchange.aad)
        return Message(message.type, code, message.message_id, message.token, outer, sealed)

    def unprotect_request(self, message: Message, window):
        """Return (request, exchange) of a protected one, and mark it in window.

        window None: nobody knows which numbers were seen. Then the caller trusts the request only after Echo: it answers
        4.01 with an Echo of its own, and calls ReplayWindow.start_at(exchange.sequence()) once that comes back.

        Raises ProtocolError(NOT_PROTECTED), (MALFORMED), (REPLAY) or (SEAL).
        """
        piv, kid, kid_context = decode_option(_oscore_value(message))
        if piv is None or kid is None:
            raise ProtocolError(MALFORMED, "OSCORE request without Partial IV or kid")
        self._check_ids(kid, kid_context)
        number = int.from_bytes(piv, "big")
        if window is not None and not window.is_fresh(number):
            raise ProtocolError(REPLAY, "OSCORE sequence {} was accepted before".format(number))
        exchange = Exchange(kid, piv, self.nonce(kid, piv), window is not None)
        request = self._unprotect(message, exchange, exchange.nonce)
        if window is not None:
            window.mark(number)
        return request, exchange

    def unprotect_response(self, message: Message, exchange: Exchange) -> Message:
        """Return the response of a protected one. Raises ProtocolError(NOT_PROTECTED), (MALFORMED) or (SEAL)."""
        piv, kid, kid_context = decode_option(_oscore_value(message))
        self._check_ids(self.recipient_id if kid is None else kid, kid_context)
        nonce = exchange.nonce if piv is None else self.nonce(self.recipient_id, piv)
        return self._unprotect(message, exchange, nonce)

    def _check_ids(self, kid: bytes, kid_context) -> None:
        if kid != self.recipient_id or (kid_context is not None and kid_context != self.id_context):
            raise ProtocolError(SEAL, "OSCORE kid or kid context is not the peer's")

    def _unprotect(self, message: Message, exchange: Exchange, nonce: bytes) -> Message:
        text = self._opener.open(nonce, message.payload, exchange.aad)
        if not text or text[0] == EMPTY:
            raise ProtocolError(MALFORMED, "OSCORE plaintext without a code")
        inner, payload = decode_body(text, 1)
        if option(inner, OSCORE) is not None:
            raise ProtocolError(MALFORMED, "OSCORE inside OSCORE")
        # Outer options of any other class may have been put there by anybody: RFC 8613 section 4.1.1.
        outer = [pair for pair in message.options if pair[0] in _OUTER]
        return Message(message.type, text[0], message.message_id, message.token, outer + inner, payload)


def _oscore_value(message: Message) -> bytes:
    value = option(message.options, OSCORE)
    if value is None:
        raise ProtocolError(NOT_PROTECTED, "message without OSCORE")
    return value


def associated_data(request_kid: bytes, request_partial_iv: bytes) -> bytes:
    """Return what the tag covers besides the plaintext: the Encrypt0 structure of RFC 8613 section 5.4.

    Both are so short (7 and 5 bytes) that each length is in the head's own byte, that of all of it too.
    """
    kid_bytes, piv_bytes = len(request_kid), len(request_partial_iv)
    assert kid_bytes <= id_bytes_max and piv_bytes <= _PARTIAL_IV_BYTES_MAX
    heads = _ARRAY_HEAD + bytes((_BYTES | kid_bytes,)) + request_kid + bytes((_BYTES | piv_bytes,))
    return _AAD_HEAD + bytes((_BYTES | len(heads) + piv_bytes + 1,)) + heads + request_partial_iv + b"\x40"


def partial_iv(number: int) -> bytes:
    """Return the Partial IV of a sequence number: the fewest bytes, at least one."""
    size = 1
    while number >> 8 * size:
        size += 1
    return number.to_bytes(size, "big")


def encode_option(piv, kid, kid_context) -> bytes:
    """Return the value of the OSCORE option; each part bytes, or None when absent: RFC 8613 section 6.1."""
    if piv is None and kid is None and kid_context is None:
        return b""
    flags = (0 if piv is None else len(piv)) | (0 if kid is None else 8) | (0 if kid_context is None else 16)
    value = bytes((flags,)) + (piv or b"")
    if kid_context is not None:
        value += bytes((len(kid_context),)) + kid_context
    return value + (kid or b"")


def decode_option(value: bytes):
    """Return (partial_iv, kid, kid_context), each bytes or None. Raises ProtocolError(MALFORMED)."""
    if not value:
        return None, None, None
    flags = value[0]
    size = flags & 7
    if flags == 0 or flags & 0xE0 or size > 5:
        raise ProtocolError(MALFORMED, "OSCORE flags 0x{:02x} are reserved".format(flags))
    at = 1 + size
    piv = value[1:at] if size else None
    if len(value) < at or (size > 1 and value[1] == 0):
        raise ProtocolError(MALFORMED, "OSCORE Partial IV cut off or longer than needed")
    kid_context = None
    if flags & 16:
        if at >= len(value) or at + 1 + value[at] > len(value):
            raise ProtocolError(MALFORMED, "OSCORE kid context cut off")
        kid_context = value[at + 1 : at + 1 + value[at]]
        at += 1 + len(kid_context)
    if flags & 8:
        return piv, value[at:], kid_context
    if at != len(value):
        raise ProtocolError(MALFORMED, "{} bytes after the OSCORE option".format(len(value) - at))
    return piv, None, kid_context
