"""The device's CoAP client: one protected, confirmable request at a time, over any link.

Everything that decides is in the tag of OSCORE. What arrives unprotected can at most say that something is wrong, and then
only as a reason to try again later: RFC 8613 appendix D.5.3.

Source: RFC 7252 sections 4.2 (retransmission), 4.8 (times), 5.2 (responses); RFC 9175 section 2.3 (Echo).
"""

import asyncio

from protocol._const import const
from protocol.coap import (
    ACK,
    BAD_REQUEST,
    CON,
    ECHO,
    EMPTY,
    OSCORE,
    RST,
    UNAUTHORIZED,
    Message,
    code_text,
    decode,
    encode,
    option,
    path_options,
)
from protocol.errors import ProtocolError

# RFC 7252 section 4.8: first wait, and how often a request is repeated; the wait doubles each time.
ack_timeout_ms = 2000
retransmit_max = 4
# After an empty ACK the response comes by itself; the server repeats it for at most MAX_TRANSMIT_SPAN.
separate_timeout_ms = 45000
# A server that asks for Echo again and again is not ours.
echo_rounds_max = 2
token_bytes = 4

# Ticks may wrap at any power of two from 2**30 on; differences of less than half of it are exact.
_TICKS_MASK = const(0x3FFFFFFF)
# Codes below are requests.
_RESPONSE_MIN = const(0x40)


def longest_request_ms(first_wait_ms: int) -> int:
    """Return how long one request may take at most, every Echo round of it unanswered until its last transmission."""
    waits = first_wait_ms * 3 // 2 * ((2 << retransmit_max) - 1)
    return (echo_rounds_max + 1) * (waits + separate_timeout_ms)


class LinkError(Exception):
    """An exchange that came to nothing. Who must act: nobody; the exchange is tried again later."""


class LinkDown(LinkError):
    """No answer to the last retransmission. The request may have been carried out."""


class LinkRefused(LinkError):
    """The peer answered without protection: it lost the keys, is overloaded, or somebody forged it. Believe nothing.

    code: what it said, as "4.01", or "reset".
    """

    def __init__(self, code: str):
        super().__init__("the gateway answered {} without protection; tried again later".format(code))
        self.code = code


class Response:
    """What the peer answered, verified: code, options and payload of the encrypted message."""

    __slots__ = ("code", "options", "payload")

    def __init__(self, code: int, options, payload: bytes):
        self.code = code
        self.options = options
        self.payload = payload


class _Attempt:
    """One request on the way: what an answer to it must carry, and whether an empty ACK came."""

    __slots__ = ("exchange", "is_acknowledged", "message_id", "token")

    def __init__(self, message: Message, exchange):
        self.message_id = message.message_id
        self.token = message.token
        self.exchange = exchange
        self.is_acknowledged = False


class CoapClient:
    """Sends requests to one peer and gives back what it verifiably answered.

    link: send(datagram), await recv(timeout_ms) -> bytes or None; answered(), if it has that, is told of each verified answer. context: an OscoreContext; assign another after a loss
    of state. ticks_ms: real milliseconds, rising, may wrap at 2**30 or more. random_bytes(n): unpredictable.

    Counts, all rising: requests, retransmissions, refused (datagrams that are not what they should be).
    """

    def __init__(
        self,
        link,
        context,
        ticks_ms,
        random_bytes,
        ack_timeout_ms: int = ack_timeout_ms,
        retransmit_max: int = retransmit_max,
        separate_timeout_ms: int = separate_timeout_ms,
    ):
        self.context = context
        self._link = link
        self._note_answer = getattr(link, "answered", None)
        self._ticks_ms = ticks_ms
        self._random_bytes = random_bytes
        self._ack_timeout_ms = ack_timeout_ms
        self._retransmit_max = retransmit_max
        self._separate_timeout_ms = separate_timeout_ms
        self._next_id = int.from_bytes(random_bytes(2), "big")
        self._last_token = None
        self._turn = asyncio.Lock()
        self.requests = 0
        self.retransmissions = 0
        self.refused = 0

    async def request(self, code: int, path: str, payload: bytes = b"", options=()) -> Response:
        """Send one request and return its verified response, whatever its code; a 5.03 says when to come back
        (`coap.max_age_s`). Requests from several tasks wait for each other.

        Raises LinkDown or LinkRefused: try again later. ProtocolError(SEQUENCE): the context is used up for good.
        """
        options = path_options(path) + list(options)
        async with self._turn:
            answer = await self._deliver(code, options, payload)
            for _ in range(echo_rounds_max):
                echo = option(answer.options, ECHO)
                if answer.code != UNAUTHORIZED or echo is None:
                    break
                answer = await self._deliver(code, options + [(ECHO, echo)], payload)
        return Response(answer.code, answer.options, answer.payload)

    async def _deliver(self, code: int, options, payload: bytes) -> Message:
        """Send one message until it is answered."""
        self._next_id = self._next_id + 1 & 0xFFFF
        plain = Message(CON, code, self._next_id, self._random_bytes(token_bytes), options, payload)
        # The same bytes are sent each time: another sequence number would make each a request of its own.
        message, exchange = self.context.protect_request(plain)
        attempt = _Attempt(message, exchange)
        self.requests += 1
        try:
            answer = await self._transmit(encode(message), attempt)
        finally:
            self._last_token = attempt.token
        if self._note_answer is not None:
            self._note_answer()
        return answer

    async def _transmit(self, datagram: bytes, attempt: _Attempt) -> Message:
        wait_ms = self._first_wait_ms()
        for transmission in range(self._retransmit_max + 1):
            self.retransmissions += transmission > 0
            self._link.send(datagram)
            answer = await self._await_answer(attempt, wait_ms)
            if answer is not None:
                return answer
            if attempt.is_acknowledged:
                answer = await self._await_answer(attempt, self._separate_timeout_ms)
                if answer is not None:
                    return answer
                raise LinkDown("acknowledged, but no answer within {} ms".format(self._separate_timeout_ms))
            wait_ms *= 2
        raise LinkDown("no answer to {} transmissions".format(self._retransmit_max + 1))

    def _first_wait_ms(self) -> int:
        # ACK_RANDOM_FACTOR 1.5: between one and one and a half times, so that devices do not keep step.
        spread = self._ack_timeout_ms // 2
        return self._ack_timeout_ms + int.from_bytes(self._random_bytes(2), "big") * spread // 0xFFFF

    async def _await_answer(self, attempt: _Attempt, wait_ms: int):
        """Return the answer, or None after wait_ms, or at once when an empty ACK comes."""
        start = self._ticks_ms()
        was_acknowledged = attempt.is_acknowledged
        while attempt.is_acknowledged == was_acknowledged:
            left_ms = wait_ms - (self._ticks_ms() - start & _TICKS_MASK)
            if left_ms <= 0:
                return None
            datagram = await self._link.recv(left_ms)
            if datagram is None:
                continue
            answer = self._examine(datagram, attempt)
            if answer is not None:
                return answer
        return None

    def _examine(self, datagram: bytes, attempt: _Attempt):
        """Return the verified answer that datagram is, or None. Raises LinkRefused."""
        try:
            message = decode(datagram)
        except ProtocolError:
            self.refused += 1
            return None
        if message.code == EMPTY:
            return self._examine_empty(message, attempt)
        if message.type == ACK and message.message_id != attempt.message_id:
            return None
        if message.token != attempt.token or message.code < _RESPONSE_MIN:
            self._turn_away(message)
            return None
        if option(message.options, OSCORE) is None:
            return self._examine_unprotected(message)
        try:
            answer = self.context.unprotect_response(message, attempt.exchange)
        except ProtocolError:
            self.refused += 1
            return None
        if message.type == CON:
            self._link.send(encode(Message(ACK, EMPTY, message.message_id)))
        return answer

    def _examine_empty(self, message: Message, attempt: _Attempt) -> None:
        if message.type == CON:
            # A ping: the reset is its answer, RFC 7252 section 4.3.
            self._link.send(encode(Message(RST, EMPTY, message.message_id)))
        elif message.message_id != attempt.message_id:
            self.refused += 1
        elif message.type == RST:
            raise LinkRefused("reset")
        elif message.type == ACK:
            attempt.is_acknowledged = True

    def _examine_unprotected(self, message: Message) -> None:
        self.refused += 1
        if message.code >= BAD_REQUEST:
            raise LinkRefused(code_text(message.code))
        # A success without protection is a forgery: the true answer may still come.

    def _turn_away(self, message: Message) -> None:
        """Answer a confirmable message that belongs to no request, so that its sender stops repeating it."""
        self.refused += 1
        if message.type == CON:
            # The last response again: our ACK was lost. Anything else is reset: we serve nobody.
            kind = ACK if message.token == self._last_token else RST
            self._link.send(encode(Message(kind, EMPTY, message.message_id)))
