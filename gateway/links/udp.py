"""CoAP with OSCORE over UDP: aiocoap moves and deduplicates messages, `sessions` opens and seals them, `door` keeps strangers out.

aiocoap's OscoreSiteWrapper is not used: it lets plain requests through to the resources, opens EDHOC to strangers, and
answers errors with texts longer than a small request. Here nothing is done for a request before its tag was verified,
and what is answered to a stranger is a code alone, never longer than the request.

Source: RFC 7252 sections 4.2, 4.8.2 and 5.9; RFC 8613 section 8; SPEC.md section 6.
"""

import logging
from typing import Any, Protocol

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.numbers.constants import TransportTuning

from gateway.collector import Reply
from gateway.errors import StoreFailed, StoreFull
from gateway.health import Health
from gateway.links.door import Door
from gateway.points import KillPoint
from gateway.sessions import Challenged, Opened, Refused, Sessions
from protocol.coap import (
    ACK,
    BAD_OPTION,
    BLOCK2,
    CON,
    ECHO,
    GET,
    MAX_AGE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OSCORE,
    POST,
    SERVICE_UNAVAILABLE,
    TOO_LARGE_ENTITY,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    Message,
    option,
)
from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError
from protocol.limits import segment_bytes_max

_log = logging.getLogger("gateway.links.udp")

# How long an answer is kept for a repeated request: just above the 45 s in which a device repeats one. The RFC's 247 s
# would cost 0.8 GB at 1,000 requests a second; much less would break retransmission.
EXCHANGE_LIFETIME_S = 60.0
# A group commit on a slow disk fits in here; below the 2 s after which a device repeats. Spares the separate response.
EMPTY_ACK_DELAY_S = 1.0
# Code, path, Echo, payload marker and tag around a segment.
OSCORE_BYTES_MAX = 64
# Options that may stand inside a request; another critical one asks for something that we do not do.
_KNOWN_OPTIONS = (URI_HOST, URI_PORT, URI_PATH, ECHO)


class Exchanges(Protocol):
    """What a link hands requests to: `collector.Collector`."""

    async def segment(self, device: bytes, payload: bytes) -> Reply: ...

    async def heartbeat(self, device: bytes, payload: bytes) -> Reply: ...


class Deliveries(Protocol):
    """What a link hands GETs to: `delivery.Delivery`."""

    def get(self, device: bytes, path: list[bytes], block: bytes | None) -> Reply: ...


class Site:
    """Answers every request that reaches the socket."""

    def __init__(
        self,
        sessions: Sessions,
        collector: Exchanges,
        delivery: Deliveries,
        health: Health,
        *,
        point: KillPoint,
    ):
        self._sessions = sessions
        self._delivery = delivery
        self._health = health
        self._point = point
        self._resources = {b"s": collector.segment, b"h": collector.heartbeat}

    def admit(self, request: Any) -> int | None:
        """Open a request before anything is kept for it. Return None if it goes on, else the code that is its whole answer."""
        try:
            request.claim = self._authenticate(request)
        except Refused as refusal:
            return self._refused(request, refusal)
        except Challenged as challenge:
            # How many of them there are is limited, and a repeated request must be given the same one.
            request.claim = challenge
        return None

    def malformed(self) -> None:
        """Count a datagram that is no message."""
        self._health.count("malformed")

    async def render_to_pipe(self, pipe: Any) -> None:
        """Answer one request; aiocoap calls this, once for each message that is no duplicate."""
        answer = await self._respond(pipe.request)
        pipe.add_response(answer, is_last=True)
        if answer.opt.oscore is not None:
            self._point("after_custody")

    async def _respond(self, request: Any) -> Any:
        try:
            opened = self._claim(request)
            reply = await self._dispatch(opened)
            return _outward(opened.protect(_message(reply)))
        except Refused as refusal:
            return aiocoap.Message(code=Code(self._refused(request, refusal)))
        except Challenged as challenge:
            return _outward(challenge.message)
        except (StoreFull, StoreFailed) as error:
            _log.error("no sequence number for an answer: %s", error)
            return aiocoap.Message(code=Code(SERVICE_UNAVAILABLE))

    def _refused(self, request: Any, refusal: Refused) -> int:
        self._health.count("unauthenticated")
        _log.info("request from %s refused: %s", request.remote, refusal)
        return refusal.code

    def _claim(self, request: Any) -> Opened:
        """Return what admit() found; where no door stands before, find it now."""
        claim = getattr(request, "claim", None)
        if isinstance(claim, Challenged):
            raise claim
        return claim if isinstance(claim, Opened) else self._authenticate(request)

    def _authenticate(self, request: Any) -> Opened:
        """Return the verified request. Raises Refused or Challenged."""
        if len(request.payload) > segment_bytes_max + OSCORE_BYTES_MAX:
            raise Refused(TOO_LARGE_ENTITY, f"{len(request.payload)} bytes")
        value = request.opt.oscore
        options = [] if value is None else [(OSCORE, value)]
        return self._sessions.open(Message(CON, int(request.code), 0, b"", options, request.payload))

    async def _dispatch(self, opened: Opened) -> Reply:
        request = opened.request
        known = (*_KNOWN_OPTIONS, BLOCK2) if request.code == GET else _KNOWN_OPTIONS
        if any(number % 2 and number not in known for number, _ in request.options):
            return Reply(BAD_OPTION)
        path = [value for number, value in request.options if number == URI_PATH]
        if path[:1] in ([b"r"], [b"c"]):
            if request.code != GET:
                return Reply(METHOD_NOT_ALLOWED)
            return self._delivery.get(opened.device, path, option(request.options, BLOCK2))
        resource = self._resources.get(path[0]) if len(path) == 1 else None
        if resource is None:
            return Reply(NOT_FOUND)
        if request.code != POST:
            return Reply(METHOD_NOT_ALLOWED)
        if len(request.payload) > segment_bytes_max:
            self._health.count("oversized")
            return Reply(TOO_LARGE_ENTITY)
        return await resource(opened.device, request.payload)


def _message(reply: Reply) -> Message:
    options = list(reply.options)
    if reply.max_age_s is not None:
        options.append((MAX_AGE, reply.max_age_s.to_bytes(4, "big").lstrip(b"\0")))
    return Message(ACK, reply.code, 0, b"", options, reply.payload)


def _outward(message: Message) -> Any:
    answer = aiocoap.Message(code=Code(message.code), payload=message.payload)
    answer.opt.oscore = option(message.options, OSCORE)
    return answer


class UdpLink:
    """A bound socket and what serves it. host, port: as bound; port is real also where 0 was asked for."""

    def __init__(self, context: Any, host: str, port: int):
        self._context = context
        self.host = host
        self.port = port

    async def close(self) -> None:
        """Stop answering and give the socket back."""
        await self._context.shutdown()


async def listen(site: Site, host: str, port: int) -> UdpLink:
    """Return the link, bound and answering. Raises DiagnosticError (exit 3) if the address cannot be had."""
    _tune()
    try:
        context = await aiocoap.Context.create_server_context(site, bind=(host, port), transports=["udp6"])
    except OSError as error:
        raise DiagnosticError(
            Diagnostic(
                "address-unusable",
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                fix="stop what uses it, or change host and port under [listen]",
            ),
            UNREACHABLE,
        ) from None
    for interface in context.request_interfaces:
        Door(interface, site.admit, site.malformed)
    return UdpLink(context, host, _bound_port(context))


def _tune() -> None:
    # aiocoap makes a TransportTuning for each incoming message by itself: the class is the only place to say it.
    TransportTuning.EXCHANGE_LIFETIME = EXCHANGE_LIFETIME_S
    TransportTuning.EMPTY_ACK_DELAY = EMPTY_ACK_DELAY_S


def _bound_port(context: Any) -> int:
    for interface in context.request_interfaces:
        transport = interface.token_interface.message_interface.transport
        port: int = transport.get_extra_info("socket").getsockname()[1]
        return port
    raise AssertionError("aiocoap gave a context without a socket")
