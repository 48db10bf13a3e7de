"""What a server remembers of its peers' requests, so that each is carried out once however often it arrives.

Bounded three ways: by time, by peer and in all. What is pushed out early is the oldest that was answered; a request that is
still being carried out stays. Forgetting early never carries a request out twice where OSCORE stands behind: its replay
window refuses what was accepted before. Only who lost an answer then has to ask anew.

Source: RFC 7252 sections 4.2, 4.5 and 4.8.2.
"""

from collections import OrderedDict
from collections.abc import Hashable

# How long an answer is kept for a repeated request: just above the 45 s in which a device repeats one. The RFC's 247 s
# would cost 0.8 GB at 1,000 requests a second; much less would break retransmission.
EXCHANGE_LIFETIME_S = 60.0
# A device has one request outstanding; the one before it is what may still come late. The rest is for a peer that is many devices.
PEER_BYTES_MAX = 16 << 10
BYTES_MAX = 64 << 20
# Requests of one peer, and of all, that are being carried out at once; further ones are not heard, and come again.
PEER_WAITING_MAX = 16
WAITING_MAX = 16384
# What an exchange takes besides its answer: measured over 10,000 of them.
OVERHEAD_BYTES = 700


class Exchange:
    """One request and its answer. digest: of the request's bytes; started: when it came, in seconds of the server's clock.

    answer: the datagram that answers it, None while it is carried out. is_acknowledged: an empty ACK was sent before.
    device: whose it is, None of a stranger. came: how often. unproved: (bytes received, bytes sent) of what may be an old request that
    somebody plays again; None: it is none.
    """

    __slots__ = (
        "answer",
        "came",
        "device",
        "digest",
        "is_acknowledged",
        "is_confirmable",
        "message_id",
        "peer",
        "started",
        "token",
        "unproved",
    )

    def __init__(
        self, peer: Hashable, message_id: int, token: bytes, digest: int, started: float, is_confirmable: bool
    ):
        self.peer = peer
        self.message_id = message_id
        self.token = token
        self.digest = digest
        self.started = started
        self.is_confirmable = is_confirmable
        self.is_acknowledged = False
        self.answer: bytes | None = None
        self.device: bytes | None = None
        self.came = 0
        self.unproved: list[tuple[int, int]] | None = None


class _Peer:
    __slots__ = ("bytes", "exchanges", "waiting")

    def __init__(self) -> None:
        self.exchanges: dict[int, Exchange] = {}
        self.bytes = 0
        self.waiting = 0


class Remembered:
    """The exchanges of the last EXCHANGE_LIFETIME_S seconds, oldest first. bytes: what they take, about; waiting: unanswered ones."""

    def __init__(self, *, bytes_max: int = BYTES_MAX, peer_bytes_max: int = PEER_BYTES_MAX):
        self._bytes_max = bytes_max
        self._peer_bytes_max = peer_bytes_max
        self._peers: dict[Hashable, _Peer] = {}
        # In the order in which they were answered: what waits is not among them.
        self._answered: OrderedDict[Exchange, None] = OrderedDict()
        self.bytes = 0
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._answered) + self.waiting

    def find(self, peer: Hashable, message_id: int, digest: int) -> Exchange | None:
        """Return the exchange of a request that was taken before, None for any other.

        Other bytes under the same identifier are another request: of a device that started anew, or of somebody with its address.
        """
        known = self._peers.get(peer)
        exchange = known.exchanges.get(message_id) if known is not None else None
        return exchange if exchange is not None and exchange.digest == digest else None

    def has_room(self, peer: Hashable) -> bool:
        """Return whether another request of this peer may be carried out now."""
        known = self._peers.get(peer)
        return self.waiting < WAITING_MAX and (known is None or known.waiting < PEER_WAITING_MAX)

    def begin(self, exchange: Exchange) -> None:
        """Remember a request that is being carried out."""
        known = self._peers.get(exchange.peer)
        if known is None:
            known = self._peers[exchange.peer] = _Peer()
        before = known.exchanges.get(exchange.message_id)
        if before is not None:
            self._forget(before)
            known = self._peers.setdefault(exchange.peer, known)
        known.exchanges[exchange.message_id] = exchange
        known.waiting += 1
        self.waiting += 1

    def finish(self, exchange: Exchange, answer: bytes) -> None:
        """Keep the answer of a request that was begun; push out the oldest ones where that is too much."""
        exchange.answer = answer
        known = self._peers.get(exchange.peer)
        if known is None or known.exchanges.get(exchange.message_id) is not exchange:
            return  # Its peer went away meanwhile, or took the identifier for another request.
        size = OVERHEAD_BYTES + len(answer)
        known.waiting -= 1
        self.waiting -= 1
        known.bytes += size
        self.bytes += size
        self._answered[exchange] = None
        if known.bytes > self._peer_bytes_max:
            self._trim(known)
        while self.bytes > self._bytes_max:
            self._forget(next(iter(self._answered)))

    def _trim(self, known: _Peer) -> None:
        for exchange in list(known.exchanges.values()):
            if known.bytes <= self._peer_bytes_max:
                return
            if exchange.answer is not None:
                self._forget(exchange)

    def drop_peer(self, peer: Hashable) -> None:
        """Forget all of a peer: it went away, and who comes under its name is another."""
        known = self._peers.get(peer)
        for exchange in list(known.exchanges.values()) if known is not None else ():
            self._forget(exchange)

    def expire(self, now: float) -> float | None:
        """Forget what is older than EXCHANGE_LIFETIME_S; return when the next one will be, None without one."""
        while self._answered:
            oldest = next(iter(self._answered))
            if oldest.started + EXCHANGE_LIFETIME_S > now:
                return oldest.started + EXCHANGE_LIFETIME_S
            self._forget(oldest)
        return None

    def _forget(self, exchange: Exchange) -> None:
        known = self._peers[exchange.peer]
        del known.exchanges[exchange.message_id]
        if exchange.answer is None:
            known.waiting -= 1
            self.waiting -= 1
        else:
            size = OVERHEAD_BYTES + len(exchange.answer)
            known.bytes -= size
            self.bytes -= size
            del self._answered[exchange]
        if not known.exchanges:
            del self._peers[exchange.peer]
