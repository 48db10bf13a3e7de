"""Delivers: answers the GETs of an authenticated device with its release, block by block, its commands, and what those name.

Knows nothing of sockets. What is another device's is answered like what does not exist.

Source: SPEC.md section 6; RFC 7959 sections 2.2 to 2.4.
"""

from gateway.collector import Reply
from gateway.health import Health
from gateway.shelf import Body, Shelf
from protocol.blockwise import decode_block, encode_block
from protocol.coap import BAD_OPTION, BAD_REQUEST, BLOCK2, CONTENT, ETAG, NOT_FOUND, SIZE2, uint_value
from protocol.errors import ProtocolError
from protocol.limits import block_bytes

# A number of a release or command has at most ten digits.
_DIGITS_MAX = 10


class Delivery:
    """Over the site's shelf."""

    def __init__(self, shelf: Shelf, health: Health):
        self._shelf = shelf
        self._health = health

    def get(self, device: bytes, path: list[bytes], block: bytes | None) -> Reply:
        """Return the reply to GET of a path such as [b"r", b"12", b"0"]. block: value of Block2, None without one."""
        numbers = [_number(segment) for segment in path[1:]]
        if path[:1] not in ([b"r"], [b"c"]) or not numbers or None in numbers:
            return Reply(NOT_FOUND)
        if path[0] == b"c" and len(numbers) == 1:
            return self._command(device, numbers[0] or 0)
        body = self._replacement(device, numbers) if path[0] == b"c" else self._body(device, numbers)
        if body is None:
            self._health.count("not_for_device")
            return Reply(NOT_FOUND)
        return self._block(body, block)

    def _replacement(self, device: bytes, numbers: list[int | None]) -> Body | None:
        return self._shelf.replacement(device, numbers[0] or 0) if numbers[1:] == [0] else None

    def _command(self, device: bytes, number: int) -> Reply:
        raw = self._shelf.command(device, number)
        if raw is None:
            return Reply(NOT_FOUND)
        self._health.count("commands_sent")
        return Reply(CONTENT, raw)

    def _body(self, device: bytes, numbers: list[int | None]) -> Body | None:
        if len(numbers) == 1:
            return self._shelf.release(device, numbers[0] or 0)
        at = tuple(number or 0 for number in numbers[1:])
        return self._shelf.part(device, numbers[0] or 0, at)

    def _block(self, body: Body, value: bytes | None) -> Reply:
        try:
            number, _, size = decode_block(value) if value is not None else (0, False, block_bytes)
        except ProtocolError:
            # RFC 7252 section 5.4.3: a value too long is as an unknown option; RFC 7959 section 2.2: size code 7 is a bad one.
            return Reply(BAD_OPTION if value is not None and len(value) > 3 else BAD_REQUEST)
        if size > block_bytes:
            # RFC 7959 section 2.4: the server may choose smaller ones, and counts in its own.
            number, size = number * size // block_bytes, block_bytes
        start = number * size
        if start >= len(body.raw):
            return Reply(BAD_REQUEST)
        self._health.count("blocks_sent")
        is_more = start + size < len(body.raw)
        options = [(ETAG, body.etag), (BLOCK2, encode_block(number, is_more, size))]
        if number == 0:
            options.append((SIZE2, uint_value(len(body.raw))))
        return Reply(CONTENT, body.raw[start : start + size], options=tuple(options))


def _number(segment: bytes) -> int | None:
    """Return the number that a path segment is, in its one form; None for anything else."""
    if not segment.isdigit() or len(segment) > _DIGITS_MAX or (len(segment) > 1 and segment.startswith(b"0")):
        return None
    return int(segment)
