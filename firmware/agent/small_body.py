"""A body of a few blocks that is fetched into memory: what a command names beside itself. Sends nothing.

Nothing is believed of a block but that it is the one that was asked for, of the same body as those before; what the whole is, its
digest says. A restart begins anew: it is not worth a sector.

Source: SPEC.md sections 5.4 and 6; RFC 7959.
"""

from agent.bodies import check_length
from agent.fetch import NotThere, check_block
from agent.unset import unset
from protocol.blockwise import encode_block
from protocol.coap import BLOCK2, CONTENT
from protocol.errors import PART, ProtocolError
from protocol.limits import block_bytes


class SmallBody:
    """path: of the body; bytes_max: no honest one is longer. raw: the body once it is whole, else None."""

    def __init__(self, path: str, bytes_max: int):
        self.raw = unset()
        self._path = path
        self._bytes_max = bytes_max
        self._blocks = b""
        self._etag = unset()

    def next_request(self) -> tuple:
        """Return (path, options) of the next block."""
        number = len(self._blocks) // block_bytes
        return self._path, [(BLOCK2, encode_block(number, False, block_bytes))]

    def take(self, response) -> None:
        """Take the answer to next_request(). Raises NotThere, or ProtocolError for a block that cannot be the one asked for."""
        if response.code != CONTENT:
            raise NotThere
        is_more, etag = check_block(response, len(self._blocks))
        if self._etag is not None and etag != self._etag:
            raise ProtocolError(PART, "the blocks of {} are not of one body".format(self._path))
        check_length(len(self._blocks) + len(response.payload), is_more, self._bytes_max)
        self._etag = etag
        self._blocks += response.payload
        if not is_more:
            self.raw = self._blocks
