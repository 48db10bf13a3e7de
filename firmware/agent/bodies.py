"""Bodies whose digests are known before the first block, on their way into one place of flash: the parts of a release, an agent's files.

Each lies at a whole block, in the order in which it is named; behind what was written everything is erased, so that the last sector
that holds anything is the only one that a cut can have torn.

Source: SPEC.md sections 6, 12.6 and 12.7.
"""

from agent.slots import digest_at, part_places
from protocol.errors import PART, TOO_LARGE, ProtocolError
from protocol.limits import block_bytes, etag_bytes


class Bodies:
    """entries: [(digest, size) ...]. room: write(at, data), read(at, size), resume() -> how much is whole, and its size in bytes.

    find(digest) -> the body of that digest that this device holds already, or None. next, at: what is to come next, and from where.
    """

    def __init__(self, entries: list, room, find):
        """Raises ProtocolError(TOO_LARGE)."""
        self._entries = entries
        self._room = room
        self._find = find
        self._places = part_places([entry[1] for entry in entries])
        self.next = 0
        self.at = 0
        if self._places[-1] > room.size:
            text = "bodies of {} bytes exceed the room of {}"
            raise ProtocolError(TOO_LARGE, text.format(self._places[-1], room.size))

    def is_done(self) -> bool:
        """Say whether every body is here."""
        return self.next == len(self._entries)

    def body(self, index: int) -> bytes:
        """Return what lies where body number index should."""
        return self._room.read(self._places[index], self._entries[index][1])

    def is_whole(self) -> bool:
        """Say whether all bodies are what they should be."""
        return all([self._is_whole(index) for index in range(len(self._entries))])

    def _is_whole(self, index: int) -> bool:
        digest, size = self._entries[index]
        return digest_at(self._room, self._places[index], size) == digest

    def skip(self) -> None:
        """Nothing of them is missing."""
        self.next = len(self._entries)

    def resume(self) -> None:
        """Go on behind what a fetch before this one wrote whole."""
        place = self._room.resume()
        while not self.is_done() and self._places[self.next] + self._entries[self.next][1] <= place:
            self.next += 1
        self.at = 0 if self.is_done() else max(0, place - self._places[self.next])

    def take_held(self) -> None:
        """Copy those that lie on this device already."""
        while self.at == 0 and not self.is_done():
            body = self._find(self._entries[self.next][0])
            if body is None:
                return
            for at in range(0, len(body), block_bytes):
                self._room.write(self._places[self.next] + at, body[at : at + block_bytes])
            self.next += 1

    def take(self, block: bytes, is_more: bool, etag: bytes) -> None:
        """Take the next block of the next body. Raises ProtocolError: it cannot be one of it."""
        digest, size = self._entries[self.next]
        if etag != digest[:etag_bytes]:
            raise self._wrong()
        check_length(self.at + len(block), is_more, size)
        self._room.write(self._places[self.next] + self.at, block)
        self.at += len(block)
        if is_more:
            return
        if self.at != size or not self._is_whole(self.next):
            raise self._wrong()
        self.next += 1
        self.at = 0

    def _wrong(self) -> ProtocolError:
        return ProtocolError(PART, "body {} is not the one that is named".format(self.next))


def check_length(end: int, is_more: bool, limit: int) -> None:
    """Check that a body that has come to end, and goes on if is_more, stays within its limit. Raises TOO_LARGE."""
    if end > limit or (is_more and end >= limit):
        raise ProtocolError(TOO_LARGE, "a body of more than {} bytes".format(limit))
