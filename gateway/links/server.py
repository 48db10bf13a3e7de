"""CoAP's message layer, server side, over any link: datagrams in with their peer, datagrams out, one timer.

A link makes one `CoapServer(site, send)` and calls feed() for each datagram; the server calls send(peer, datagram). peer is
whatever names the other end (hashable): an address, a port, a connection. The same site stands behind all links.

  request  ──> remembered? ──> its answer again, carried out once
               else admit() ──> refused: a code alone, nothing kept
                            ──> taken: the answer in the ACK; after 1 s an empty ACK, and the answer by itself, repeated until acknowledged

Each datagram is told to the site with the device whose fresh request it belongs to, or with none: who plays a request again costs no
device more than its own repetitions could.

A request is opened (its tag verified) before anything is kept for it, so strangers fill no memory. No answer to somebody who is not
verified is longer than AMPLIFICATION_MAX times his request: what would be is not sent.

Source: RFC 7252 sections 4.2 to 4.8, 5.2, 5.3 and 8; RFC 9175 section 4 (amplification).
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, NamedTuple, Protocol

from gateway.links.remembered import EXCHANGE_LIFETIME_S, Exchange, Remembered
from protocol.coap import (
    ACK,
    CON,
    EMPTY,
    INTERNAL_SERVER_ERROR,
    NON,
    RST,
    Message,
    decode,
    encode,
)
from protocol.errors import ProtocolError

# A group commit on a slow disk fits in here; below the 2 s after which a device repeats. Spares the separate response.
EMPTY_ACK_DELAY_S = 1.0
# RFC 7252 section 4.8, for a response that goes by itself.
ACK_TIMEOUT_S = 2.0
ACK_RANDOM_FACTOR = 1.5
RETRANSMIT_MAX = 4
# RFC 7252 section 8.2: answers to a multicast are spread over a while. A site has few gateways, and a device waits for the first.
LEISURE_S = 0.25
# RFC 9175 section 4 (item 3): what an address that nobody verified may be sent for each byte that came in its name.
AMPLIFICATION_MAX = 3
# A device sends a request once and repeats it so often at most: who sends more of it is another, and they cost the device nothing.
COPIES_MAX = 1 + RETRANSMIT_MAX
# Challenged requests whose device may still show that it is there. One that is pushed out counts as nobody's.
UNPROVED_MAX = 256
_HEADER_BYTES = 4
_VERSION_1 = 4
_RESPONSE_MIN = 0x40


class Verdict(NamedTuple):
    """What a site says of a request at first sight: opened, to be carried out by respond(); or answer, which is all there is.

    is_kept: a repeated request gets the same answer; without it nothing is kept. answer None with nothing opened: no answer at all.
    is_verified: the answer is for somebody whose request verified. device: whose request it is, where it verified.
    proves: name of the context whose Echo this request shows; of an answer that is a challenge: of the one that waits for it.
    """

    opened: Any = None
    answer: Message | None = None
    is_kept: bool = False
    is_verified: bool = False
    device: bytes | None = None
    proves: bytes | None = None


class Site(Protocol):
    """Who answers behind the links: `site.Site`."""

    def admit(self, request: Message, peer: Hashable, *, is_multicast: bool = False) -> Verdict: ...

    async def respond(self, opened: Any) -> Message: ...

    def sent(self) -> None: ...

    def moved(self, device: bytes | None, received: int, sent: int) -> None: ...

    def malformed(self) -> None: ...


Send = Callable[[Any, bytes], None]
Spawn = Callable[[Coroutine[Any, Any, None]], Any]


class _Separate:
    """A response that went by itself and is repeated until its peer acknowledges it."""

    __slots__ = ("datagram", "due", "exchange", "transmissions", "wait_s")

    def __init__(self, exchange: Exchange, datagram: bytes, due: float, wait_s: float):
        self.exchange = exchange
        self.datagram = datagram
        self.due = due
        self.wait_s = wait_s
        self.transmissions = 1


class CoapServer:
    """One link's server. send: hands a datagram to the link, at once or never. spawn: starts what carries a request out, and returns
    its task. loop: of asyncio, for time and the timer.

    Counts, all rising: repeated (requests that came again), separate (answers that went by themselves), unanswered (of those,
    never acknowledged), unheard (requests above what is carried out at once), withheld (answers too long for a stranger).
    """

    def __init__(
        self,
        site: Site,
        send: Send,
        *,
        remembered: Remembered | None = None,
        chance: random.Random | None = None,
        spawn: Spawn | None = None,
        loop: Any = None,
    ):
        self._site = site
        self._send = send
        self._chance = chance or random.SystemRandom()
        self._loop = loop or asyncio.get_running_loop()
        self._spawn = spawn or self._loop.create_task
        self.remembered = Remembered() if remembered is None else remembered
        self._waiting: deque[Exchange] = deque()
        self._separate: dict[tuple[Hashable, int], _Separate] = {}
        self._unproved: OrderedDict[bytes, Exchange] = OrderedDict()
        self._next_id = self._chance.randrange(1 << 16)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._tasks: set[Any] = set()
        self.repeated = 0
        self.separate = 0
        self.unanswered = 0
        self.unheard = 0
        self.withheld = 0

    def feed(self, peer: Hashable, datagram: bytes, *, is_multicast: bool = False) -> None:
        """Take one datagram of a peer. Never raises for what is in it."""
        try:
            message = decode(datagram)
        except ProtocolError:
            self._reject(peer, datagram, is_multicast)
            return
        if 0 < message.code < _RESPONSE_MIN:
            if message.type == CON and not is_multicast:
                self._take(peer, message, datagram)
            elif message.type == NON:
                self._take_loosely(peer, message, datagram, is_multicast)
            else:
                # A request in an acknowledgement means nothing, and a confirmable multicast is forbidden.
                self._site.moved(None, len(datagram), 0)
                self._site.malformed()
        elif not is_multicast:
            self._take_other(peer, message, len(datagram))

    async def close(self) -> None:
        """Stop answering; what is being carried out is given up."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self, peer: Hashable) -> None:
        """Forget all of a peer whose connection ended."""
        self.remembered.drop_peer(peer)
        for key in [key for key in self._separate if key[0] == peer]:
            del self._separate[key]

    # ---- what comes in

    def _reject(self, peer: Hashable, datagram: bytes, is_multicast: bool) -> None:
        """Answer what is no message: a confirmable one is reset, all else is passed over (RFC 7252 sections 3 and 4.2)."""
        self._site.malformed()
        self._site.moved(None, len(datagram), 0)
        if not is_multicast and len(datagram) >= _HEADER_BYTES and datagram[0] >> 4 == _VERSION_1 | CON:
            self._send_to(peer, None, _empty(RST, datagram[2] << 8 | datagram[3]))

    def _take_other(self, peer: Hashable, message: Message, size: int) -> None:
        """Take an empty message or a response. We ask nobody, so a response belongs to nothing."""
        one = None
        if message.type in (ACK, RST):
            one = self._separate.pop((peer, message.message_id), None)
        # One of four bytes ends an answer; more may be anybody's.
        self._count(one.exchange if one is not None and message.code == EMPTY else None, size, 0)
        if message.type == CON:
            # A ping, or a response to nothing: RFC 7252 sections 4.2 and 4.3.
            self._send_to(peer, None, _empty(RST, message.message_id))

    def _take(self, peer: Hashable, request: Message, datagram: bytes) -> None:
        exchange = self.remembered.find(peer, request.message_id, hash(datagram))
        if exchange is not None:
            self.repeated += 1
            self._came(exchange, len(datagram))
            self._repeat(exchange)
            return
        verdict = self._admit(peer, request, datagram)
        if verdict is None:
            return
        if verdict.opened is not None:
            self._begin(peer, request, datagram, verdict)
        elif verdict.answer is not None:
            self._answer_at_once(peer, request, datagram, _piggybacked(verdict.answer, request), verdict)

    def _take_loosely(self, peer: Hashable, request: Message, datagram: bytes, is_multicast: bool) -> None:
        """Take a non-confirmable request: as any other, but a repeated one is passed over (RFC 7252 section 4.3)."""
        exchange = self.remembered.find(peer, request.message_id, hash(datagram))
        if exchange is not None:
            self.repeated += 1
            self._came(exchange, len(datagram))
            return
        verdict = self._admit(peer, request, datagram, is_multicast=is_multicast)
        if verdict is None:
            return
        if verdict.opened is not None:
            self._begin(peer, request, datagram, verdict)
        elif verdict.answer is not None:
            answer = self._by_itself(NON, verdict.answer, request.token)
            if not is_multicast:
                self._answer_at_once(peer, request, datagram, answer, verdict)
                return
            self._site.moved(None, len(datagram), 0)
            if self._is_bounded(answer, datagram, verdict):
                self._loop.call_later(self._chance.uniform(0, LEISURE_S), self._send_to, peer, None, answer)

    def _admit(
        self, peer: Hashable, request: Message, datagram: bytes, *, is_multicast: bool = False
    ) -> Verdict | None:
        if not self.remembered.has_room(peer):
            # Before it is opened: its sequence number would be used up, and the device could not repeat it.
            self.unheard += 1
            self._site.moved(None, len(datagram), 0)
            return None
        verdict = self._site.admit(request, peer, is_multicast=is_multicast)
        if verdict.opened is None and verdict.answer is None:
            self._site.moved(None, len(datagram), 0)
        return verdict

    def _is_bounded(self, answer: bytes, datagram: bytes, verdict: Verdict) -> bool:
        if verdict.is_verified or len(answer) <= AMPLIFICATION_MAX * len(datagram):
            return True
        self.withheld += 1
        return False

    # ---- whose bytes they are

    def _came(self, exchange: Exchange, size: int) -> None:
        exchange.came += 1
        self._count(_counted(exchange), size, 0)

    def _count(self, exchange: Exchange | None, received: int, sent: int) -> None:
        """Tell the site of a datagram. exchange: of a request that verified, None: of none, or of more copies than a device sends."""
        if exchange is not None and exchange.unproved is not None:
            exchange.unproved.append((received, sent))
        else:
            self._site.moved(None if exchange is None else exchange.device, received, sent)

    def _doubt(self, context: bytes | None, exchange: Exchange) -> None:
        """Let what a challenged request moves be nobody's until its device shows the Echo. context: None, of an old request."""
        if context is None:
            exchange.device = None
            return
        exchange.unproved = []
        self._settle(context, is_proved=False)
        self._unproved[context] = exchange
        while len(self._unproved) > UNPROVED_MAX:
            self._settle(next(iter(self._unproved)), is_proved=False)

    def _settle(self, context: bytes | None, *, is_proved: bool) -> None:
        """Count what the newest challenged request of a context moved as its device's, or as nobody's."""
        exchange = self._unproved.pop(context, None) if context is not None else None
        if exchange is None:
            return
        moved, exchange.unproved = exchange.unproved, None
        if not is_proved:
            exchange.device = None
        for received, sent in moved or ():
            self._site.moved(exchange.device, received, sent)

    # ---- what goes out

    def _send_to(self, peer: Hashable, exchange: Exchange | None, datagram: bytes) -> None:
        self._send(peer, datagram)
        self._count(exchange, 0, len(datagram))

    def _answer_at_once(
        self, peer: Hashable, request: Message, datagram: bytes, answer: bytes, verdict: Verdict
    ) -> None:
        is_bounded = self._is_bounded(answer, datagram, verdict)
        if not (verdict.is_kept and is_bounded):
            self._site.moved(None, len(datagram), 0)
            if is_bounded:
                self._send_to(peer, None, answer)
            return
        exchange = self._remember(peer, request, datagram, verdict)
        self.remembered.finish(exchange, answer)
        self._send_to(peer, exchange, answer)

    def _begin(self, peer: Hashable, request: Message, datagram: bytes, verdict: Verdict) -> None:
        self._settle(verdict.proves, is_proved=True)
        exchange = self._remember(peer, request, datagram, verdict)
        if exchange.is_confirmable:
            self._waiting.append(exchange)
            self._arm(exchange.started + EMPTY_ACK_DELAY_S)
        task: Any = self._spawn(self._respond(exchange, verdict.opened))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A fault of ours: its peer was told 5.00.
            context = {"message": "a request could not be carried out", "exception": task.exception()}
            self._loop.call_exception_handler(context)

    def _remember(self, peer: Hashable, request: Message, datagram: bytes, verdict: Verdict) -> Exchange:
        exchange = Exchange(
            peer,
            request.message_id,
            request.token,
            hash(datagram),
            self._loop.time(),
            request.type == CON,
        )
        exchange.device = verdict.device
        if verdict.opened is None:
            self._doubt(verdict.proves, exchange)
        self._came(exchange, len(datagram))
        self.remembered.begin(exchange)
        self._arm(exchange.started + EXCHANGE_LIFETIME_S)
        return exchange

    async def _respond(self, exchange: Exchange, opened: Any) -> None:
        try:
            answer = await self._site.respond(opened)
        except Exception:
            self._answer(exchange, Message(ACK, INTERNAL_SERVER_ERROR, 0))
            raise
        self._answer(exchange, answer)
        self._site.sent()

    def _answer(self, exchange: Exchange, answer: Message) -> None:
        if exchange.is_confirmable and not exchange.is_acknowledged:
            datagram = _piggybacked(answer, exchange)
            self.remembered.finish(exchange, datagram)
            self._send_to(exchange.peer, exchange, datagram)
            return
        datagram = self._by_itself(CON if exchange.is_confirmable else NON, answer, exchange.token)
        self.remembered.finish(
            exchange, _empty(ACK, exchange.message_id) if exchange.is_confirmable else datagram
        )
        self._send_to(exchange.peer, exchange, datagram)
        if exchange.is_confirmable:
            self._repeat_until_acknowledged(exchange, datagram)

    def _repeat_until_acknowledged(self, exchange: Exchange, datagram: bytes) -> None:
        self.separate += 1
        wait_s = ACK_TIMEOUT_S * self._chance.uniform(1.0, ACK_RANDOM_FACTOR)
        due = self._loop.time() + wait_s
        at = exchange.peer, datagram[2] << 8 | datagram[3]
        self._separate[at] = _Separate(exchange, datagram, due, wait_s)
        self._arm(due)

    def _repeat(self, exchange: Exchange) -> None:
        """Answer a confirmable request that came again. What is carried out and not acknowledged yet is answered by its end."""
        if exchange.answer is not None:
            self._send_to(exchange.peer, _counted(exchange), exchange.answer)
        elif exchange.is_acknowledged:
            self._send_to(exchange.peer, _counted(exchange), _empty(ACK, exchange.message_id))

    def _by_itself(self, kind: int, answer: Message, token: bytes) -> bytes:
        self._next_id = self._next_id + 1 & 0xFFFF
        answer.type, answer.message_id, answer.token = kind, self._next_id, token
        return encode(answer)

    # ---- the timer

    def _arm(self, when: float) -> None:
        """Let the timer run at `when` at the latest."""
        if self._timer is not None:
            if self._due <= when:
                return
            self._timer.cancel()
        self._due = when
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        # What is carried out for longer than it is remembered for is looked at with the next request.
        for due in (self._acknowledge(now), self._transmit_again(now), self.remembered.expire(now)):
            if due is not None:
                self._arm(max(due, now))

    def _acknowledge(self, now: float) -> float | None:
        """Acknowledge what is still carried out after a while; return when the next one has to be."""
        while self._waiting:
            exchange = self._waiting[0]
            if exchange.answer is None:
                if exchange.started + EMPTY_ACK_DELAY_S > now:
                    return exchange.started + EMPTY_ACK_DELAY_S
                exchange.is_acknowledged = True
                self._send_to(exchange.peer, exchange, _empty(ACK, exchange.message_id))
            self._waiting.popleft()
        return None

    def _transmit_again(self, now: float) -> float | None:
        """Repeat what nobody acknowledged; return when the next one has to be."""
        for key, one in list(self._separate.items()):
            if one.due > now:
                continue
            if one.transmissions > RETRANSMIT_MAX:
                self.unanswered += 1
                del self._separate[key]
                continue
            one.transmissions += 1
            one.wait_s *= 2
            one.due = now + one.wait_s
            self._send_to(one.exchange.peer, one.exchange, one.datagram)
        return min((one.due for one in self._separate.values()), default=None)


def _counted(exchange: Exchange) -> Exchange | None:
    """Return whose the copy that came last is, and the answer to it: None, where a device sends no more of them."""
    return exchange if exchange.came <= COPIES_MAX else None


def _piggybacked(answer: Message, request: Message | Exchange) -> bytes:
    """Return the datagram of an answer in the acknowledgement of its request."""
    answer.type, answer.message_id, answer.token = ACK, request.message_id, request.token
    return encode(answer)


def _empty(kind: int, message_id: int) -> bytes:
    return bytes((0x40 | kind << 4, EMPTY, message_id >> 8, message_id & 0xFF))
