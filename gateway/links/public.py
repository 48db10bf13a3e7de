"""What anybody may read at a gateway without keys: what is here (`/.well-known/core`) and what time it is (`/time`).

Foreign clients find by it what a gateway is; only OSCORE proves whose it is. Nobody's clock is set by `/time`: a device takes only
the office's sealed token. Answers are small, and so many of them at most, that nobody is worth reaching through us: RFC 7252 section 11.3.

Source: RFC 6690 sections 4 and 4.1; RFC 7252 sections 5.10 and 7.2; RFC 7959 section 2.2; RFC 8516; RFC 8613 section 9; SPEC.md section 6.
"""

from collections.abc import Hashable
from typing import Any

from gateway.links.rate import TOO_MANY_REQUESTS, Rates
from protocol.blockwise import decode_block, encode_block
from protocol.coap import (
    ACK,
    BAD_OPTION,
    BAD_REQUEST,
    BLOCK2,
    CONTENT,
    CONTENT_FORMAT,
    GET,
    MAX_AGE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    URI_QUERY,
    Message,
    option,
    read_uint,
    uint_value,
)
from protocol.errors import ProtocolError

# The resource type by which a gateway of ours is known.
RESOURCE_TYPE = "outstation"
# Requests of one address at once, and then one more each so many seconds; of all addresses, whoever they say they are.
PEER_AT_ONCE, PEER_INTERVAL_S = 8, 1.0
ALL_AT_ONCE, ALL_INTERVAL_S = 64, 0.02

# Of hosts only, so not among the device's numbers: RFC 7252 sections 5.10.4 and 5.9.2.7.
ACCEPT = 17
NOT_ACCEPTABLE = 0x86
_LINKS = (f'</h>;osc;rt="{RESOURCE_TYPE}"', "</s>;osc", "</time>;ct=0")
_TEXT, _LINK_FORMAT = 0, 40
_KNOWN_OPTIONS = (URI_HOST, URI_PORT, URI_PATH, URI_QUERY, ACCEPT, BLOCK2)
_CORE = [b".well-known", b"core"]
_TIME = [b"time"]


class Public:
    """clock: monotonic() for rates, wall_ms() for /time."""

    def __init__(self, clock: Any):
        self._clock = clock
        self._rates = Rates(
            clock, peer=(PEER_AT_ONCE, PEER_INTERVAL_S), everybody=(ALL_AT_ONCE, ALL_INTERVAL_S)
        )

    def is_public(self, request: Message) -> bool:
        """Return whether anybody may ask for this path."""
        return _path(request) in (_CORE, _TIME)

    def is_sought(self, request: Message) -> bool:
        """Return whether this is the one path that whoever asks a whole group is answered for: RFC 7252 section 8.2."""
        return _path(request) == _CORE

    def answer(self, request: Message, host: Hashable) -> Message | None:
        """Return the answer to a request for a public path; host: who asks, whatever port he uses. None: no answer, too many ask."""
        allowed = self._rates.may(host)
        if not allowed:
            return None if allowed is None else Message(ACK, TOO_MANY_REQUESTS, 0)
        try:
            return self._get(request)
        except ProtocolError:
            return Message(ACK, BAD_REQUEST, 0)

    def _get(self, request: Message) -> Message:
        if request.code != GET:
            return Message(ACK, METHOD_NOT_ALLOWED, 0)
        if any(number % 2 and number not in _KNOWN_OPTIONS for number, _ in request.options):
            return Message(ACK, BAD_OPTION, 0)
        is_core = _path(request) == _CORE
        content_format = _LINK_FORMAT if is_core else _TEXT
        accepted = option(request.options, ACCEPT)
        if accepted is not None and read_uint(accepted) != content_format:
            return Message(ACK, NOT_ACCEPTABLE, 0)
        body = self._core(request) if is_core else str(self._clock.wall_ms() // 1000).encode()
        if body is None:
            return Message(ACK, NOT_FOUND, 0)
        options = [(CONTENT_FORMAT, uint_value(content_format))]
        if not is_core:
            options.append((MAX_AGE, b""))
        return _block(body, options, option(request.options, BLOCK2))

    def _core(self, request: Message) -> bytes | None:
        """Return the links that the query asks for, None if there is none."""
        queries = [value for number, value in request.options if number == URI_QUERY]
        chosen = [link for link in _LINKS if all(_is_match(link, query) for query in queries)]
        return ",".join(chosen).encode() if chosen else None


def _path(request: Message) -> list[bytes]:
    return [bytes(value) for number, value in request.options if number == URI_PATH]


def _is_match(link: str, query: bytes) -> bool:
    """Return whether a link has what a query such as b"rt=outstation" or b"href=/t*" asks for."""
    name, _, wanted = query.decode("utf-8", "replace").partition("=")
    target, *attributes = link.split(";")
    known = {key: value.strip('"') for key, _, value in (one.partition("=") for one in attributes)}
    value = {"href": target.strip("<>"), **known}.get(name)
    if value is None:
        return False
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def _block(body: bytes, options: list[tuple[int, bytes]], asked: bytes | None) -> Message:
    """Return the answer with the whole body, or with the block of it that was asked for. Raises ProtocolError."""
    if asked is not None:
        number, _, size = decode_block(asked)
        start = number * size
        if start >= len(body):
            return Message(ACK, BAD_REQUEST, 0)
        options.append((BLOCK2, encode_block(number, start + size < len(body), size)))
        body = body[start : start + size]
    return Message(ACK, CONTENT, 0, b"", options, body)
