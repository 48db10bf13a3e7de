"""Fetches one release into a slot, block by block: says what to ask for next, and takes what is answered. Sends nothing.

The answers come from a gateway that nobody verified, so nothing is believed of them but what a digest or a signature carries later;
until then they are only kept within bounds. Each block must be the one that was asked for and of the same body as those before;
a body ends where its limit ends; one that keeps changing is given up. Of a part the manifest says size and digest, so its
ETag is known before the first block.

Resumes behind the last whole flash sector after a cut: the first request of each attempt asks for block 0, and its ETag says whether
the body is still the one in the slot.

Source: SPEC.md sections 6 and 12.6; RFC 7959.
"""

import hashlib

from agent.slots import PARTS_ROOM, part_places
from agent.unset import unset
from protocol._const import const
from protocol.blockwise import decode_block, encode_block
from protocol.coap import BLOCK2, CONTENT, ETAG, option
from protocol.errors import MALFORMED, PART, TOO_LARGE, ProtocolError
from protocol.limits import block_bytes, etag_bytes, release_bytes_max

# How often the release may turn out to be another one on the way: each time costs erases.
_RESTARTS_MAX = const(3)


class NotThere(Exception):
    """The gateway has no such release or part, or not now. Who must act: nobody; it is asked for again later."""


class Fetch:
    """One release on its way into a slot.

    slots: Slots; slot: a free one. number: of the release. find(digest) -> the body of a part that this device holds
    already, or None. fetched: bytes that came over the link. is_staged: the slot says so of this release, and its parts are whole.
    """

    def __init__(self, slots, slot: int, number: int, find):
        self.slot = slot
        self.number = number
        self.fetched = 0
        self.is_staged = False
        self._slots = slots
        self._find = find
        self._at = 0
        self._etag = unset()
        self._restarts = 0
        self._size = unset()
        self._parts = unset()
        self._places = []
        self._part = 0

    def release(self):
        """Return the bytes of the release once it is whole, else None."""
        return None if self._size is None else self._slots.read_release(self.slot, self._size)

    def bodies(self):
        """Return the bodies of all parts once they are whole, else None."""
        if self._parts is None or self._part < len(self._parts):
            return None
        return [self._read(part) for part in range(len(self._parts))]

    def want_parts(self, parts: list) -> None:
        """Go on with these parts: (kind, digest, size), of a release that was checked. Raises ProtocolError(TOO_LARGE)."""
        places = part_places([part[2] for part in parts])
        if places[-1] > PARTS_ROOM:
            raise ProtocolError(
                TOO_LARGE, "parts of {} bytes exceed a slot's {}".format(places[-1], PARTS_ROOM)
            )
        self._parts = parts
        self._places = places
        held = self._slots.held(self.slot)
        self.is_staged = held is not None and held.digest is not None and self._is_whole()
        if self.is_staged:
            # Nothing of it can be torn: not a sector is erased, nothing asked for.
            self._part = len(parts)
        else:
            self._go_on_at(self._slots.resume_parts(self.slot))

    def _is_whole(self) -> bool:
        parts = self._parts
        return all(
            [hashlib.sha256(self._read(part)).digest() == parts[part][1] for part in range(len(parts))]
        )

    def _go_on_at(self, place: int) -> None:
        """Take up the parts at a place that begins a sector: everything before it is whole."""
        while (
            self._part < len(self._parts) and self._places[self._part] + self._parts[self._part][2] <= place
        ):
            self._part += 1
        self._at = 0
        if self._part < len(self._parts):
            self._at = max(0, place - self._places[self._part])

    def next_request(self):
        """Return (path, options) of the next block to ask for, or None when there is nothing to ask for now."""
        if self._size is None:
            return self._request("r/{}".format(self.number))
        if self._parts is None:
            return None
        self._take_held()
        if self._part == len(self._parts):
            return None
        return self._request("r/{}/{}".format(self.number, self._part))

    def _request(self, path: str):
        return path, [(BLOCK2, encode_block(self._at // block_bytes, False, block_bytes))]

    def _take_held(self) -> None:
        """Copy parts that lie on this device already."""
        while self._at == 0 and self._part < len(self._parts):
            _kind, digest, size = self._parts[self._part]
            body = self._find(digest)
            if body is None:
                return
            for at in range(0, size, block_bytes):
                self._slots.write_part(self.slot, self._places[self._part] + at, body[at : at + block_bytes])
            self._part += 1

    def take(self, response) -> None:
        """Take the answer to what next_request() asked for.

        Raises NotThere, or ProtocolError: a block that cannot be the one asked for; a body that is too long, too short, or not
        what its tag or the manifest says.
        """
        if response.code != CONTENT:
            raise NotThere
        is_more, etag = self._check_block(response)
        self.fetched += len(response.payload)
        if self._size is None:
            self._take_release(response.payload, is_more, etag)
        else:
            self._take_part(response.payload, is_more, etag)

    def _check_block(self, response) -> tuple:
        value, etag = option(response.options, BLOCK2), option(response.options, ETAG)
        if value is None or etag is None or len(etag) != etag_bytes:
            raise ProtocolError(MALFORMED, "an answer without its block or tag")
        number, is_more, size = decode_block(value)
        length = len(response.payload)
        if (number, size) != (self._at // block_bytes, block_bytes):
            raise ProtocolError(MALFORMED, "block {} of {} bytes was not asked for".format(number, size))
        if not 0 < length <= block_bytes or (is_more and length != block_bytes):
            raise ProtocolError(MALFORMED, "a block of {} bytes".format(length))
        return is_more, etag

    def _take_release(self, block: bytes, is_more: bool, etag: bytes) -> None:
        if self._etag is None:
            if self._find_begun(etag):
                return
        elif etag != self._etag:
            self._restart()
            return
        _check_length(self._at + len(block), is_more, release_bytes_max)
        self._slots.write_release(self.slot, self._at, block)
        self._at += len(block)
        if not is_more:
            self._end_release()

    def _find_begun(self, etag: bytes) -> bool:
        """Begin with block 0; return whether it lies here already, and what comes next is another block or none."""
        self._etag = etag
        held = self._slots.held(self.slot)
        if held is None or (held.number, held.etag) != (self.number, etag):
            self._slots.begin(self.slot, self.number, etag)
            return False
        if held.size is not None:
            return self._find_whole(held.size)
        self._at = self._slots.resume_release(self.slot)
        return self._at > 0

    def _find_whole(self, size: int) -> bool:
        if hashlib.sha256(self._slots.read_release(self.slot, size)).digest()[:etag_bytes] == self._etag:
            self._size = size
            return True
        # Damaged since: fetched anew.
        self._slots.begin(self.slot, self.number, self._etag)
        return False

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS_MAX:
            raise ProtocolError(
                PART, "release {} was another one {} times".format(self.number, self._restarts)
            )
        self._etag = None
        self._at = 0

    def _end_release(self) -> None:
        size = self._at
        if hashlib.sha256(self._slots.read_release(self.slot, size)).digest()[:etag_bytes] != self._etag:
            self._slots.void(self.slot)
            raise ProtocolError(PART, "the blocks of release {} are not of one body".format(self.number))
        self._slots.note_whole(self.slot, size)
        self._size = size

    def _take_part(self, block: bytes, is_more: bool, etag: bytes) -> None:
        _kind, digest, size = self._parts[self._part]
        if etag != digest[:etag_bytes]:
            raise ProtocolError(PART, "part {} is not the one of its manifest".format(self._part))
        _check_length(self._at + len(block), is_more, size)
        self._slots.write_part(self.slot, self._places[self._part] + self._at, block)
        self._at += len(block)
        if is_more:
            return
        if self._at != size or hashlib.sha256(self._read(self._part)).digest() != digest:
            raise ProtocolError(PART, "part {} is not the one of its manifest".format(self._part))
        self._part += 1
        self._at = 0

    def _read(self, part: int) -> bytes:
        return self._slots.read_part(self.slot, self._places[part], self._parts[part][2])


def _check_length(end: int, is_more: bool, limit: int) -> None:
    """Check that a body that has come to end, and goes on if is_more, stays within its limit. Raises TOO_LARGE."""
    if end > limit or (is_more and end >= limit):
        raise ProtocolError(TOO_LARGE, "a body of more than {} bytes".format(limit))
