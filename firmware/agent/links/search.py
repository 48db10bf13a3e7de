"""A gateway that is found by asking the site's network, where no address is known or nobody of ours is there.

Whoever answers is believed nothing: he is only the next one to be asked. That he is our gateway the answers of OSCORE prove, and the
CoAP client tells answered() of each. Who refuses, or is silent, is left for the next one who answered; then the search begins anew.

Source: RFC 7252 sections 8 and 12.8 (groups and port), RFC 6690 section 4 (the resource that is asked for), SPEC.md section 6.
"""

import socket

from agent.links import look_again
from agent.links.successive import Successive
from agent.links.udp import READ_BYTES, UdpLink
from agent.unset import unset
from protocol._const import const
from protocol.coap import CONTENT, GET, NON, URI_QUERY, Message, decode, encode, path_options
from protocol.errors import ProtocolError

# All CoAP nodes: of the IPv4 network, of the link and of the site. A board without IPv6 passes over those.
GROUPS = ("224.0.1.187", "ff02::fd", "ff05::fd")
_PATH = ".well-known/core"
# What a gateway of ours says of itself; the answer to it is shorter than three times the question, or there would be none.
_QUERY = b"rt=outstation"
_TYPE = b'rt="outstation"'
_TOKEN_BYTES = const(4)
# A site has few gateways. More who answer are heard with the next search.
_FOUND_MAX = const(8)
# Of one request to one gateway, as between several links; the next one gets what is left of it.
_SENDS_MAX = const(3)
# Exchanges without a verified answer after which one who was ours is left; who never was is left after the first.
_UNANSWERED_MAX = const(3)
_EMPTY_BYTES = const(4)
# CoAP: type, code, identifier and token, which no two requests share.
_NAME_BYTES = const(8)


class _FoundLink(UdpLink):
    """To whoever answered from an address, as the socket named it."""

    def __init__(self, family: int, address):
        super().__init__("", 0)
        self.found = (family, address)

    def _resolve(self) -> tuple:
        return self.found[0], socket.SOCK_DGRAM, 0, self.found[1]


class SearchLink(Successive):
    """Moves datagrams to a gateway that is found by asking.

    host, port: where it is looked for first, "" where no address is known. groups: who is asked, at that port. local: the
    address of ours from which is asked, "" where the system chooses. random_bytes(n): unpredictable.

    Counts, all rising: sent_bytes, received_bytes and lost, of all that was asked; searches (questions to the groups, all of one count once).
    """

    def __init__(self, host: str, port: int, random_bytes, groups=GROUPS, local: str = ""):
        super().__init__()
        self._host = host
        self._port = port
        self._random_bytes = random_bytes
        self._groups = groups
        self._local = local
        self._sockets = []
        self._token = b""
        self._untried = []
        self._heard = []
        self._link = UdpLink(host, port) if host else unset()
        self._request = b""
        self._sends = 0
        self._unanswered = 0
        self._is_answered = True
        self._is_proved = False
        self.searches = 0

    def send(self, datagram: bytes) -> None:
        """Send one datagram to the gateway in use; where there is none, ask for one, and send it to who answers first."""
        if len(datagram) <= _EMPTY_BYTES:
            if self._link:
                self._link.send(datagram)
            return
        again = datagram[:_NAME_BYTES] == self._request[:_NAME_BYTES] and not self._link
        if datagram[:_NAME_BYTES] != self._request[:_NAME_BYTES]:
            self._begin()
        elif self._link and self._sends >= _SENDS_MAX:
            self._move()
        self._request = datagram
        if self._link:
            self._sends += 1
            self._link.send(datagram)
        else:
            if again:
                # Whoever else is here had the time to answer: those who were left may do so, too.
                self._heard = []
            self._ask()

    async def recv(self, timeout_ms: int):
        """Return the next datagram, or None: after timeout_ms, or earlier."""
        if self._link:
            self._hear()
            return await self._link.recv(timeout_ms)
        if await look_again(self._look, timeout_ms):
            self._take_next()
            self._sends = 1
            self._link.send(self._request)
        return None

    def answered(self) -> None:
        """Take note that the last datagram was a verified answer: this is our gateway, and nobody is looked for any more."""
        self._is_answered = self._is_proved = True
        self._unanswered = 0
        self._end_search()

    def hold(self) -> None:
        """Stay with the gateway in use for one more request, although nothing proves it yet: what it gives is looked at when it is whole."""
        self._is_answered = True

    def doubt(self) -> None:
        """Leave the gateway in use with the next request: what it gave was nothing."""
        self._is_answered = False

    def close(self) -> None:
        """Give all sockets back; the gateway in use is asked again with the next datagram."""
        self._end_search()
        if self._link:
            self._link.close()

    def _begin(self) -> None:
        """Choose whom a new request goes to. Who was left is not asked again at once: he would answer first again."""
        if not self._is_answered:
            self._unanswered += 1
            if self._link and self._unanswered >= (_UNANSWERED_MAX if self._is_proved else 1):
                self._move()
        self._is_answered = False
        self._sends = 0

    def _move(self) -> None:
        """Leave the gateway in use for the next who answered, or for a search; after a search in vain the known address is tried again."""
        self._hear()
        was_known = bool(self._host) and not isinstance(self._link, _FoundLink)
        self._leave()
        if self._untried:
            self._take_next()
        elif self._host and not was_known:
            self._end_search()
            self._link = UdpLink(self._host, self._port)

    def _leave(self) -> None:
        link = self._leave_link()
        if link:
            link.close()
        self._is_proved = False
        self._sends = self._unanswered = 0

    def _take_next(self) -> None:
        self._link = _FoundLink(*self._untried.pop(0))

    # ---- the search

    def _ask(self) -> None:
        """Ask all groups: the same question again, as long as nobody answered it."""
        if not self._sockets:
            self._open()
            self._token = self._random_bytes(_TOKEN_BYTES)
            self.searches += 1
        options = path_options(_PATH) + [(URI_QUERY, _QUERY)]
        number = int.from_bytes(self._random_bytes(2), "big")
        question = encode(Message(NON, GET, number, self._token, options))
        for opened, _family, address in self._sockets:
            try:
                opened.sendto(question, address)
                self._sent_bytes += len(question)
            except OSError:
                self._lost += 1

    def _open(self) -> None:
        for group in self._groups:
            try:
                family, _, protocol, _, address = socket.getaddrinfo(group, self._port, 0, socket.SOCK_DGRAM)[
                    0
                ]
                opened = socket.socket(family, socket.SOCK_DGRAM, protocol)
            except OSError:
                # No such network here.
                continue
            opened.setblocking(False)
            self._sockets.append((opened, family, address))
            if self._local:
                self._bind(opened, family)

    def _bind(self, opened, family: int) -> None:
        """Ask from one of our addresses, which also says into which network; a group of another family is asked all the same."""
        try:
            own = socket.getaddrinfo(self._local, 0, 0, socket.SOCK_DGRAM)[0]
            if own[0] == family:
                opened.bind(own[-1])
        except OSError:
            self._lost += 1

    def _look(self):
        """Return True once somebody answered, else None."""
        self._hear()
        return True if self._untried else None

    def _hear(self) -> None:
        """Take down who answered so far."""
        for opened, family, _address in self._sockets:
            for _ in range(_FOUND_MAX):
                try:
                    datagram, address = opened.recvfrom(READ_BYTES)
                except OSError:
                    break
                self._received_bytes += len(datagram)
                found = (family, address)
                if self._is_answer(datagram) and found not in self._heard and len(self._heard) < _FOUND_MAX:
                    self._heard.append(found)
                    self._untried.append(found)

    def _is_answer(self, datagram: bytes) -> bool:
        try:
            message = decode(datagram)
        except ProtocolError:
            return False
        return message.code == CONTENT and message.token == self._token and _TYPE in message.payload

    def _end_search(self) -> None:
        for opened, _family, _address in self._sockets:
            opened.close()
        self._sockets = []
        self._untried = []
        self._heard = []
