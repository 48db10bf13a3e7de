"""Callers of the office's HTTPS port who talk nonsense, ask too much, or never end a sentence."""

import asyncio
import random
import ssl

from protocol.cbor import dumps

_PATHS = ("/v1/uplink", "/v1/releases/1", "/v1/releases/-1", "/v1/parts/zz", "/v1/devices", "/", "/v1/%00")
_METHODS = ("POST", "GET", "PUT", "DELETE", "BREW", "\x00")


def nonsense(chance: random.Random, token: str, segment: bytes) -> bytes:
    """Return the bytes of one request: broken HTTP, or true HTTP around a body that is none."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n"
    if kind == 1:
        return f"{chance.choice(_METHODS)} {chance.choice(_PATHS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    if kind == 2:
        return _post(token, b"", f"Content-Length: {chance.choice((1 << 40, 10**30, -1))}")
    if kind == 3:
        return _post(token if chance.random() < 0.5 else "wrong", chance.randbytes(chance.randrange(600)))
    body = bytearray(dumps({0: [segment] * chance.randrange(4), 1: [segment[:300]]}))
    for _ in range(chance.randrange(1, 4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return _post(token, bytes(body))


def forgery(token: str, segment: bytes) -> bytes:
    """Return the bytes of one request in which nothing is wrong but the segment."""
    return _post(token, dumps({0: [segment], 1: []}))


def _post(token, body, length=None):
    lines = [
        "POST /v1/uplink HTTP/1.1",
        "Host: office",
        f"Authorization: Bearer {token}",
        "Content-Type: application/cbor",
        length or f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def call(port: int, ca, requests: list[bytes], at_once: int = 8) -> dict[str, int]:
    """Make each request over a connection of its own; return how often each status was answered, "none" where there was none."""
    trust = ssl.create_default_context(cafile=str(ca))
    statuses: dict[str, int] = {}
    gate = asyncio.Semaphore(at_once)

    async def one(request):
        async with gate:
            status = await _status(port, trust, request)
            statuses[status] = statuses.get(status, 0) + 1

    await asyncio.gather(*map(one, requests))
    return statuses


async def _status(port, trust, request):
    try:
        async with asyncio.timeout(3.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            try:
                writer.write(request)
                line = await reader.readline()
            finally:
                writer.transport.abort()
    except (TimeoutError, OSError, ssl.SSLError, asyncio.IncompleteReadError):
        return "none"
    words = line.split()
    return words[1].decode(errors="replace") if len(words) > 1 and line.startswith(b"HTTP/") else "none"


async def hold_open(port: int, ca, count: int):
    """Return so many connections of which half began a request and half not even their handshake, and which go no further."""
    trust = ssl.create_default_context(cafile=str(ca))
    writers = []
    for index in range(count):
        try:
            is_plain = index % 2 == 0
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=None if is_plain else trust)
        except (OSError, ssl.SSLError):
            continue
        if not is_plain:
            writer.write(b"POST /v1/uplink HTTP/1.1\r\nHost: office\r\nContent-Le")
        writers.append(writer)
    return writers
