"""Answers every request that reaches a gateway over any link. `server` moves and deduplicates messages, `sessions` opens and seals them.

Nothing is done for a request before its tag was verified, and what is answered to a stranger is a code alone, but for what is `public`.

Source: RFC 7252 sections 5.4.1, 5.7.2 and 5.9; RFC 8613 section 8; SPEC.md section 6.
"""

import copy
import logging
from collections.abc import Callable, Hashable
from typing import Any, Protocol, Self

from gateway.collector import Reply
from gateway.errors import StoreFailed, StoreFull
from gateway.health import Health
from gateway.links.newcomers import Newcomers
from gateway.links.public import Public
from gateway.links.server import Verdict
from gateway.points import KillPoint
from gateway.sessions import Challenged, Opened, Refused, Sessions
from protocol.coap import (
    ACK,
    BAD_OPTION,
    BLOCK2,
    CONTENT,
    ECHO,
    GET,
    MAX_AGE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OSCORE,
    POST,
    PROXY_SCHEME,
    PROXY_URI,
    SERVICE_UNAVAILABLE,
    TOO_LARGE_ENTITY,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    Message,
    option,
)
from protocol.limits import segment_bytes_max
from protocol.usage import UDP
from protocol.window import wait_s

_log = logging.getLogger("gateway.links.site")

# Code, path, Echo, payload marker and tag around a segment.
OSCORE_BYTES_MAX = 64
# Of hosts only, so not among the device's numbers: RFC 7252 section 5.9.3.6.
PROXYING_NOT_SUPPORTED = 0xA5
# Options that may stand inside a request; another critical one asks for something that we do not do.
_KNOWN_OPTIONS = (URI_HOST, URI_PORT, URI_PATH, ECHO)
_KNOWN_TO_GET = (*_KNOWN_OPTIONS, BLOCK2)
# First segments of the paths of what devices GET: releases and commands.
_FETCHED = (b"r", b"c")


# (kind of link, device or None, bytes received, bytes sent)
Moved = Callable[[int, bytes | None, int, int], None]


class Exchanges(Protocol):
    """What a link hands requests to: `collector.Collector`."""

    async def segment(self, device: bytes, payload: bytes, bulk_in_s: int = 0) -> Reply: ...

    async def heartbeat(self, device: bytes, payload: bytes, bulk_in_s: int = 0) -> Reply: ...


class Deliveries(Protocol):
    """What a link hands GETs to: `delivery.Delivery`."""

    def get(self, device: bytes, path: list[bytes], block: bytes | None) -> Reply: ...


def _nobody_counts(_link: int, _device: bytes | None, _received: int, _sent: int) -> None:
    """Usage puts itself here, to be told of each datagram."""


class Site:
    """What stands behind each link's `server.CoapServer`. clock: for `public`. newcomers: boards without keys, None: not heard here.

    moved(link, device, received, sent): told of each datagram, its bytes under the way that it took; device None: nothing shows whose.
    """

    def __init__(
        self,
        sessions: Sessions,
        collector: Exchanges,
        delivery: Deliveries,
        health: Health,
        *,
        clock: Any,
        point: KillPoint,
        newcomers: Newcomers | None = None,
        moved: Moved = _nobody_counts,
    ):
        self._newcomers = newcomers
        self._moved = moved
        self._link = UDP
        self._window: tuple[int, int] | None = None
        self._clock = clock
        self._public = Public(clock)
        self._sessions = sessions
        self._delivery = delivery
        self._health = health
        self._point = point
        self._resources = {b"s": collector.segment, b"h": collector.heartbeat}

    def admit(self, request: Message, peer: Hashable, *, is_multicast: bool = False) -> Verdict:
        """Open a request before anything is kept for it; what is refused is answered by a code alone.

        To a multicast only what is here is answered, and only where something was found: RFC 7252 section 8.2.
        """
        if is_multicast and not self._public.is_sought(request):
            return Verdict()
        if len(request.options) > 1 and _is_for_another(request):
            return Verdict() if is_multicast else Verdict(answer=Message(ACK, PROXYING_NOT_SUPPORTED, 0))
        if option(request.options, OSCORE) is None and self._public.is_public(request):
            answer = self._public.answer(request, _host(peer))
            if is_multicast and answer is not None and answer.code != CONTENT:
                answer = None
            self._health.count("public", answer is not None and answer.code == CONTENT)
            return Verdict(answer=answer)
        if is_multicast:
            return Verdict()
        if self._newcomers is not None and option(request.options, OSCORE) is None:
            if self._newcomers.is_meant(request):
                return Verdict(answer=self._newcomers.answer(request, _host(peer)))
        try:
            opened = self._authenticate(request)
            return Verdict(
                opened=opened, device=opened.device, proves=opened.session.name if opened.is_first else None
            )
        except Refused as refusal:
            self._health.count("unauthenticated")
            _log.info("request from %s refused: %s", peer, refusal)
            return Verdict(answer=Message(ACK, refusal.code, 0))
        except Challenged as challenge:
            # How many of them there are is limited, and a repeated request must be given the same one.
            context = challenge.context if challenge.is_newest else None
            return Verdict(answer=challenge.message, is_kept=True, device=challenge.device, proves=context)

    def over(self, link: int, window: tuple[int, int] | None = None) -> Self:
        """Return this very site as it stands behind one kind of link (protocol.usage). window: of a dear one (protocol.window)."""
        there = copy.copy(self)
        there._link, there._window = link, window
        return there

    def _bulk_in_s(self) -> int:
        """Return for how long what can wait has to, over this link; 0: not at all."""
        if self._window is None:
            return 0
        seconds = wait_s(self._window, self._clock.wall_ms())
        self._health.count("bulk_held", seconds > 0)
        return seconds

    def moved(self, device: bytes | None, received: int, sent: int) -> None:
        """Take note of a datagram; device: whose fresh request it belongs to, None: nobody's that is known."""
        self._moved(self._link, device, received, sent)

    def malformed(self) -> None:
        """Count a datagram that is no message."""
        self._health.count("malformed")

    async def respond(self, opened: Opened) -> Message:
        """Return the protected answer to a request that was admitted."""
        try:
            return opened.protect(_message(await self._dispatch(opened)))
        except (StoreFull, StoreFailed) as error:
            _log.error("no sequence number for an answer: %s", error)
            return Message(ACK, SERVICE_UNAVAILABLE, 0)

    def sent(self) -> None:
        """An answer was handed to the link."""
        self._point("after_custody")

    def _authenticate(self, request: Message) -> Opened:
        """Return the verified request. Raises Refused or Challenged."""
        if len(request.payload) > segment_bytes_max + OSCORE_BYTES_MAX:
            raise Refused(TOO_LARGE_ENTITY, f"{len(request.payload)} bytes")
        return self._sessions.open(request)

    async def _dispatch(self, opened: Opened) -> Reply:
        request = opened.request
        known = _KNOWN_TO_GET if request.code == GET else _KNOWN_OPTIONS
        path = []
        for number, value in request.options:
            if number == URI_PATH:
                path.append(value)
            elif number % 2 and number not in known:
                return Reply(BAD_OPTION)
        if path and path[0] in _FETCHED:
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
        return await resource(opened.device, request.payload, self._bulk_in_s())


def _is_for_another(request: Message) -> bool:
    return any(number in (PROXY_URI, PROXY_SCHEME) for number, _ in request.options)


def _host(peer: Hashable) -> Hashable:
    """Return the address of a peer without its port: whoever asks has as many ports as he likes."""
    while isinstance(peer, tuple):
        peer = peer[0]
    return peer


def _message(reply: Reply) -> Message:
    options = list(reply.options)
    if reply.max_age_s is not None:
        options.append((MAX_AGE, reply.max_age_s.to_bytes(4, "big").lstrip(b"\0")))
    return Message(ACK, reply.code, 0, b"", options, reply.payload)
