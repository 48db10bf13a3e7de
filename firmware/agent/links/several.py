"""Several ways to one gateway, the preferred one first: falls over to the next where nobody answers, and looks again later.

The same keys hold on all of them, so a request that is repeated over another way is still that request: the gateway's replay window
takes it once. Nothing is lost by moving either: what was not answered is asked again, as over one way.
"""

from protocol._const import const

# Of one request: 2, 4 and 8 s of waiting, more where ack_timeout_ms says so; the two that are left go the other way.
_SENDS_MAX = const(3)
# Exchanges without a verified answer that ended before that: somebody is there who is not our gateway.
_UNANSWERED_MAX = const(3)
# Before a preferred way is looked at again; twice as long after each look that found nobody.
_PAUSE_MS_MIN = const(60000)
_PAUSE_MS_MAX = const(3600000)
# A late answer on the way that was left is found within that.
_SLICE_MS = const(100)
# CoAP: type, code, identifier and token, which no two requests share; an empty message has no token.
_NAME_BYTES = const(8)
_EMPTY_BYTES = const(4)


class SeveralLinks:
    """Moves datagrams over one of several links. links: in order of preference; ticks_ms, ticks_diff: the board's.

    Counts, all rising: sent_bytes, received_bytes and lost, of all links together; moves (from one link to another).
    """

    def __init__(self, links, ticks_ms, ticks_diff):
        self._links = links
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._at = 0
        # Where to return to while a preferred link is looked at, None while none is.
        self._home = None
        self._looked_at = -1
        self._left = None
        self._source = links[0]
        self._name = b""
        self._sends = 0
        self._unanswered = 0
        self._is_answered = True
        self._since_ms = ticks_ms()
        self._pause_ms = _PAUSE_MS_MIN
        self.moves = 0

    @property
    def at(self) -> int:
        """The link in use, 0 the preferred one."""
        return self._at

    @property
    def is_looking(self) -> bool:
        """Whether that is a preferred link that has not answered since it was left."""
        return self._home is not None

    @property
    def sent_bytes(self) -> int:
        """CoAP bytes that left."""
        return sum([link.sent_bytes for link in self._links])

    @property
    def received_bytes(self) -> int:
        """CoAP bytes that came."""
        return sum([link.received_bytes for link in self._links])

    @property
    def lost(self) -> int:
        """What the links call lost."""
        return sum([link.lost for link in self._links])

    def send(self, datagram: bytes) -> None:
        """Send one datagram: a request over the link in use, an acknowledgement back to where its message came from."""
        if len(datagram) <= _EMPTY_BYTES:
            self._source.send(datagram)
            return
        name = datagram[:_NAME_BYTES]
        if name != self._name:
            self._name = name
            self._begin()
        elif self._sends >= _SENDS_MAX:
            self._move()
        self._sends += 1
        self._links[self._at].send(datagram)

    async def recv(self, timeout_ms: int):
        """Return the next datagram, or None: after timeout_ms, or earlier."""
        link = self._links[self._at]
        left = self._left
        datagram = await link.recv(timeout_ms if left is None else min(timeout_ms, _SLICE_MS))
        if datagram is None and left is not None:
            link = left
            lost = left.lost
            datagram = await left.recv(0)
            if left.lost != lost:
                # It says that it is down: to ask it again and again may cost a look at a name server each time.
                self._forget_left()
        if datagram is not None:
            self._source = link
        return datagram

    def answered(self) -> None:
        """Take note that the last datagram was a verified answer: the CoAP client says so, nobody else can."""
        self._is_answered = True
        self._unanswered = 0
        tell = getattr(self._source, "answered", None)
        if tell is not None:
            tell()
        if self._home is not None and self._source is self._links[self._at]:
            self._home = None
            self._since_ms = self._ticks_ms()

    def close(self) -> None:
        """Close all links; the next datagram opens the one in use."""
        self._left = None
        for link in self._links:
            link.close()

    def _begin(self) -> None:
        """Choose the link of a new request."""
        self._forget_left()
        if not self._is_answered:
            self._unanswered += 1
            if self._unanswered >= _UNANSWERED_MAX:
                self._move()
        self._is_answered = False
        self._sends = 0
        if self._at and self._home is None and self._age_ms() >= self._pause_ms:
            self._home = self._at
            self._looked_at = (self._looked_at + 1) % self._at
            self._at = self._looked_at
            self.moves += 1

    def _move(self) -> None:
        self._forget_left()
        self._left = self._links[self._at]
        if self._home is None and self._age_ms() >= self._pause_ms:
            # It has served for longer than it was waited for.
            self._pause_ms = _PAUSE_MS_MIN
        else:
            self._pause_ms = min(2 * self._pause_ms, _PAUSE_MS_MAX)
        self._at = (self._at + 1) % len(self._links) if self._home is None else self._home
        self._home = None
        self._since_ms = self._ticks_ms()
        self._sends = self._unanswered = 0
        self.moves += 1

    def _age_ms(self) -> int:
        return self._ticks_diff(self._ticks_ms(), self._since_ms)

    def _forget_left(self) -> None:
        if self._left is not None:
            self._left.close()
            self._left = None
