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

from agent.bodies import Bodies, check_length
from agent.slots import PartsRoom
from agent.unset import unset
from protocol._const import const
from protocol.agent_index import check_mpy, parse_agent_index
from protocol.blockwise import decode_block, encode_block
from protocol.coap import BLOCK2, CONTENT, ETAG, option
from protocol.errors import MALFORMED, PART, ProtocolError
from protocol.limits import block_bytes, etag_bytes, release_bytes_max
from protocol.manifest import AGENT

# How often the release may turn out to be another one on the way: each time costs erases.
_RESTARTS_MAX = const(3)


class NotThere(Exception):
    """The gateway has no such release or part, or not now. Who must act: nobody; it is asked for again later."""


class Fetch:
    """One release on its way into a slot.

    slots: Slots; slot: a free one. number: of the release. find(digest) -> the body of a part or file that this device holds
    already, or None. rooms: for agents, None where there are none. fetched: bytes that came over the link. is_staged: the slot
    says so of this release, and its parts and files are whole.
    """

    def __init__(self, slots, slot: int, number: int, find, rooms=None):
        self.slot = slot
        self.number = number
        self.fetched = 0
        self.is_staged = False
        self._slots = slots
        self._find = find
        self._rooms = rooms
        self._at = 0
        self._etag = unset()
        self._restarts = 0
        self._size = unset()
        self._kinds = []
        self._parts = unset()
        self._files = unset()

    def release(self):
        """Return the bytes of the release once it is whole, else None."""
        return None if self._size is None else self._slots.read_release(self.slot, self._size)

    def bodies(self):
        """Return the bodies of all parts once they and the files that they name are whole, else None."""
        if self._parts is None or not self._parts.is_done() or not self._has_files():
            return None
        return [self._parts.body(part) for part in range(len(self._kinds))]

    def _has_files(self) -> bool:
        return AGENT not in self._kinds or (self._files is not None and self._files.is_done())

    def want_parts(self, parts: list) -> None:
        """Go on with these parts: (kind, digest, size), of a release that was checked. Raises ProtocolError."""
        self._kinds = [part[0] for part in parts]
        room = PartsRoom(self._slots, self.slot)
        self._parts = Bodies([part[1:] for part in parts], room, self._find)
        held = self._slots.held(self.slot)
        if held is not None and held.digest is not None and self._parts.is_whole():
            # Nothing of it can be torn: not a sector is erased, nothing asked for.
            self._parts.skip()
            self.is_staged = self._begin_files(is_staged=True)
        else:
            self._parts.resume()

    def _begin_files(self, is_staged: bool) -> bool:
        """Go on with the files of the agent that the parts name; return whether all are there as staged. Raises ProtocolError."""
        if AGENT not in self._kinds:
            return is_staged
        if self._rooms is None:
            raise ProtocolError(PART, "this board has no room for an agent")
        index = parse_agent_index(self._parts.body(self._kinds.index(AGENT)))
        check_mpy(index, self._rooms.mpy)
        self._files = Bodies([file[1:] for file in index.files], self._rooms.room(self.slot), self._find)
        if is_staged and self._files.is_whole():
            self._files.skip()
            return True
        if is_staged:
            # Damaged since: which of them, and what was written last, says nothing.
            self._rooms.room(self.slot).clear()
        self._files.resume()
        return False

    def next_request(self):
        """Return (path, options) of the next block to ask for, or None when there is nothing to ask for now. Raises ProtocolError."""
        if self._size is None:
            return self._request("r/{}".format(self.number), self._at)
        if self._parts is None:
            return None
        self._parts.take_held()
        if not self._parts.is_done():
            return self._request("r/{}/{}".format(self.number, self._parts.next), self._parts.at)
        if self._files is None and AGENT in self._kinds:
            self._begin_files(is_staged=False)
        return None if self._files is None else self._next_file()

    def _next_file(self):
        self._files.take_held()
        if self._files.is_done():
            return None
        path = "r/{}/{}/{}".format(self.number, self._kinds.index(AGENT), self._files.next)
        return self._request(path, self._files.at)

    def _request(self, path: str, at: int):
        return path, [(BLOCK2, encode_block(at // block_bytes, False, block_bytes))]

    def take(self, response) -> None:
        """Take the answer to what next_request() asked for.

        Raises NotThere, or ProtocolError: a block that cannot be the one asked for; a body that is too long, too short, or not
        what its tag or the manifest says.
        """
        if response.code != CONTENT:
            raise NotThere
        bodies = self._parts if self._files is None else self._files
        is_more, etag = check_block(response, self._at if self._size is None else bodies.at)
        self.fetched += len(response.payload)
        if self._size is None:
            self._take_release(response.payload, is_more, etag)
        else:
            bodies.take(response.payload, is_more, etag)

    def _take_release(self, block: bytes, is_more: bool, etag: bytes) -> None:
        if self._etag is None:
            if self._find_begun(etag):
                return
        elif etag != self._etag:
            self._restart()
            return
        check_length(self._at + len(block), is_more, release_bytes_max)
        self._slots.write_release(self.slot, self._at, block)
        self._at += len(block)
        if not is_more:
            self._end_release()

    def _find_begun(self, etag: bytes) -> bool:
        """Begin with block 0; return whether it lies here already, and what comes next is another block or none."""
        self._etag = etag
        held = self._slots.held(self.slot)
        if held is None or (held.number, held.etag) != (self.number, etag):
            self._begin()
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
        self._begin()
        return False

    def _begin(self) -> None:
        if self._rooms is not None:
            # Before the page that says what the slot holds, so that at no cut the files of another release lie under it.
            self._slots.void(self.slot)
            self._rooms.room(self.slot).clear()
        self._slots.begin(self.slot, self.number, self._etag)

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


def check_block(response, expected: int) -> tuple:
    """Return (whether more blocks follow, the tag of the body) of an answer with the block at byte expected. Raises MALFORMED."""
    value, etag = option(response.options, BLOCK2), option(response.options, ETAG)
    if value is None or etag is None or len(etag) != etag_bytes:
        raise ProtocolError(MALFORMED, "an answer without its block or tag")
    number, is_more, size = decode_block(value)
    length = len(response.payload)
    if (number, size) != (expected // block_bytes, block_bytes):
        raise ProtocolError(MALFORMED, "block {} of {} bytes was not asked for".format(number, size))
    if not 0 < length <= block_bytes or (is_more and length != block_bytes):
        raise ProtocolError(MALFORMED, "a block of {} bytes".format(length))
    return is_more, etag
