"""One OSCORE context and one state for each device, with everything that must not go back in SQLite.

The gateway restarts, loses its store, is replaced; a nonce may still never be used twice and an old request never be accepted.
The store may be an older copy, or one of two:
  - sender sequences (only Echo challenges and the answers to them use them) are reserved ahead, durably, before use, and a process begins with a
    random leap, so that it does not meet what another one with a copy of this store used since;
  - no replay window outlives the process: the first request of any context is answered 4.01 with an Echo, and only a
    request that carries this Echo opens the window. It is a MAC under a secret of this start, so nothing is kept for it;
  - a device that lost its own sequence comes with a fresh ID Context. Its keys are derived, and it becomes the device's
    current context only after Echo; from then on all its older contexts are refused for good.
Several gateways of a site may have one device's link, told by the office or in a copied file, and somebody may bring one request to two of
them. So every answer is sealed under a number of this gateway's own, never under the request's nonce: two gateways would seal two texts
under it.
Nothing is kept for a request whose tag did not verify, so strangers cannot fill memory.

Source: RFC 8613 sections 3.2, 7.5, 8.2 and appendix B.1; RFC 9175 section 2; SPEC.md section 6.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gateway.config import Link
from gateway.errors import StoreFailed, StoreFull
from gateway.store import Store
from gateway.store_sessions import RETIRED, SessionRow
from protocol.aes_host import Aes128, whole_ccm
from protocol.cbor import dumps
from protocol.coap import (
    ACK,
    BAD_OPTION,
    BAD_REQUEST,
    ECHO,
    SERVICE_UNAVAILABLE,
    UNAUTHORIZED,
    Message,
    option,
)
from protocol.coap import OSCORE as OSCORE_OPTION
from protocol.errors import MALFORMED, NOT_PROTECTED, REPLAY, ProtocolError
from protocol.mac import hmac_sha256, is_equal
from protocol.oscore import (
    Exchange,
    OscoreContext,
    ReplayWindow,
    decode_option,
    id_context_bytes,
    sequence_max,
)

# The gateway's sender ID: SPEC.md section 6.
GATEWAY_ID = b""
# Sequence numbers taken from the store at once. Each answer takes one: a commit for some hours of a device.
RESERVED_AHEAD = 4096
# Challenges of one device: at once, and then one more each so many seconds. A device needs one a start of the gateway;
# whoever replays old requests must not use up the sequence, nor the disk. A request newer than all that were challenged before gets
# its challenge whatever the rate: only the device itself can make one, so replays cannot stand in its way.
CHALLENGES_AT_ONCE = 8
CHALLENGE_INTERVAL_S = 1.0
# Contexts that wait for their Echo. One that is pushed out is derived again when the Echo comes.
UNCONFIRMED_MAX = 256
ECHO_BYTES = 8


class Refused(Exception):
    """The request is answered with this code alone, unprotected and without a word more."""

    def __init__(self, code: int, why: str):
        super().__init__(why)
        self.code = code


class Challenged(Exception):
    """The request of this device, whose tag is good, is answered with this protected message: 4.01 with an Echo.

    context: name of the one that waits for it; is_newest: no request under it that was challenged has a higher number.
    """

    def __init__(self, message: Message, device: bytes, context: bytes, *, is_newest: bool):
        super().__init__("the device must show that it is there")
        self.message = message
        self.device = device
        self.context = context
        self.is_newest = is_newest


class Opened(NamedTuple):
    """A verified request of a device, and what its answer needs. is_first: it carried the Echo that opened its context's window."""

    device: bytes
    request: Message
    session: "Session"
    exchange: Exchange
    is_first: bool = False

    def protect(self, answer: Message) -> Message:
        """Return the protected answer. Raises StoreFull or StoreFailed if no sequence number can be reserved for it."""
        self.exchange.can_reuse_nonce = False
        return self.session.context.protect_response(answer, self.exchange)


class Session:
    """One context of one device: keys, replay window (None until Echo), newest request challenged, reserved sequence numbers."""

    def __init__(
        self,
        link: Link,
        id_context: bytes | None,
        name: bytes,
        reserve: Callable[["Session"], int],
    ):
        self.link = link
        self.name = name
        self.window: ReplayWindow | None = None
        self.challenged = -1
        self._reserve = reserve
        self._next = 0
        self._stop = 0
        self.context: OscoreContext = whole_ccm(
            OscoreContext(
                Aes128, link.secret, GATEWAY_ID, link.kid, self._next_sequence, id_context=id_context
            )
        )

    def _next_sequence(self) -> int:
        if self._next >= self._stop:
            self._next = self._reserve(self)
            self._stop = self._next + RESERVED_AHEAD
        self._next += 1
        return self._next - 1


class Sessions:
    """Finds the context of a request by dictionary, verifies it, and settles what must be durable.

    secret: 32 random bytes of this start, for Echo. clock: monotonic() limits the rate of challenges.
    """

    def __init__(self, store: Store, links: Iterable[Link], *, secret: bytes, clock: Any):
        self._store = store
        self._secret = secret
        self._clock = clock
        self._links: dict[bytes, Link] = {}
        self._devices: set[bytes] = set()
        self._live: dict[tuple[bytes, bytes | None], Session] = {}
        self._unconfirmed: OrderedDict[tuple[bytes, bytes | None], Session] = OrderedDict()
        self._challenges: dict[bytes, tuple[float, float]] = {}
        self._retired: set[bytes] = set()
        self._revoked: set[bytes] = set()
        # Contexts whose sequence this process has moved on by a leap.
        self._leapt: set[bytes] = set()
        self._take_retired()
        self.counts = {
            "challenges": 0,
            "challenges_refused": 0,
            "confirmed": 0,
            "replayed": 0,
            "unverified": 0,
        }
        self.reload(links)

    def reload(self, links: Iterable[Link]) -> None:
        """Take a new list of devices; sessions of devices that left or got another secret end at once."""
        self._links = {link.kid: link for link in links}
        self._devices = {link.device for link in self._links.values()}
        before = len(self._live)
        self._drop(lambda session: self._links.get(session.link.kid) != session.link)
        if len(self._live) < before:
            # A device that comes back must not find its old Echo good: the window that it opened is gone.
            self._secret = hmac_sha256(self._secret, b"next")

    def revoke(self, devices: Iterable[bytes]) -> None:
        """Serve none of these devices from now on, whatever links there are."""
        self._revoked.update(devices)
        self._drop(lambda session: session.link.device in self._revoked)

    def is_revoked(self, device: bytes) -> bool:
        """Return whether the office called a device revoked."""
        return device in self._revoked

    def _drop(self, is_dropped: Callable[[Session], bool]) -> None:
        for known in (self._live, self._unconfirmed):
            for key in [key for key, session in known.items() if is_dropped(session)]:
                del known[key]

    def _take_retired(self) -> None:
        """End what the store calls retired, and who it calls revoked. Raises StoreFull or StoreFailed."""
        reopened = self._store.reopened
        self.revoke(self._store.revoked())
        self._retire({row.context for row in self._store.session_rows() if row.state == RETIRED})
        # The number of before: a store opened again meanwhile is looked into once more.
        self._reopened = reopened

    def _retire(self, names: set[bytes]) -> None:
        self._retired |= names
        self._drop(lambda session: session.name in names)

    def is_known(self, device: bytes) -> bool:
        """Return whether a device has a link here."""
        return device in self._devices

    def open(self, message: Message) -> Opened:
        """Return the verified request of a protected one.

        Raises Refused or Challenged: the answer to give instead.
        """
        if self._store.reopened != self._reopened:
            # It may have been repaired, and rows of sessions that are open here retired: what was reserved is not known any more.
            try:
                self._take_retired()
            except (StoreFull, StoreFailed) as error:
                raise Refused(SERVICE_UNAVAILABLE, str(error)) from None
        session = self._find(message)
        try:
            request, exchange = session.context.unprotect_request(message, session.window)
        except ProtocolError as error:
            raise self._refusal(error) from None
        is_first = session.window is None
        if is_first:
            self._require_echo(session, request, exchange)
        return Opened(session.link.device, request, session, exchange, is_first)

    def _find(self, message: Message) -> Session:
        value = option(message.options, OSCORE_OPTION)
        if value is None:
            raise Refused(UNAUTHORIZED, "not protected")
        try:
            piv, kid, id_context = decode_option(value)
        except ProtocolError as error:
            raise Refused(BAD_OPTION, error.text) from None
        if piv is None or kid is None:
            raise Refused(BAD_OPTION, "no Partial IV or no kid")
        key = (kid, id_context)
        session = self._live.get(key) or self._unconfirmed.get(key)
        return session or self._derive(kid, id_context)

    def _derive(self, kid: bytes, id_context: bytes | None) -> Session:
        link = self._links.get(kid)
        if link is None:
            raise Refused(UNAUTHORIZED, "unknown kid")
        if link.device in self._revoked:
            raise Refused(UNAUTHORIZED, f"device {link.device.hex()} is revoked")
        if id_context is not None and len(id_context) != id_context_bytes:
            raise Refused(UNAUTHORIZED, f"an ID Context has {id_context_bytes} bytes")
        name = context_name(link, id_context)
        if name in self._retired:
            raise _no_more()
        return Session(link, id_context, name, self._reserve)

    def _refusal(self, error: ProtocolError) -> Refused:
        if error.code == REPLAY:
            self.counts["replayed"] += 1
            return Refused(UNAUTHORIZED, error.text)
        self.counts["unverified"] += 1
        return Refused(BAD_OPTION if error.code in (MALFORMED, NOT_PROTECTED) else BAD_REQUEST, error.text)

    def _require_echo(self, session: Session, request: Message, exchange: Exchange) -> None:
        key = (session.link.kid, session.context.id_context)
        shown = option(request.options, ECHO)
        if shown is None or not is_equal(shown, self._echo(session)):
            self._challenge(session, key, exchange)
        self._confirm(session)
        session.window = ReplayWindow()
        session.window.start_at(exchange.sequence())
        self._unconfirmed.pop(key, None)
        self._live[key] = session

    def _echo(self, session: Session) -> bytes:
        return hmac_sha256(self._secret, session.name)[:ECHO_BYTES]

    def _challenge(self, session: Session, key: tuple[bytes, bytes | None], exchange: Exchange) -> None:
        is_newest = exchange.sequence() > session.challenged
        if not self._may_challenge(session.link.device) and not is_newest:
            self.counts["challenges_refused"] += 1
            raise Refused(SERVICE_UNAVAILABLE, "too many challenges")
        # From here on the tag is known to be good: only now is anything kept.
        self._unconfirmed[key] = session
        self._unconfirmed.move_to_end(key)
        while len(self._unconfirmed) > UNCONFIRMED_MAX:
            self._unconfirmed.popitem(last=False)
        answer = Message(ACK, UNAUTHORIZED, 0, b"", [(ECHO, self._echo(session))])
        try:
            protected = session.context.protect_response(answer, exchange)
        except (StoreFull, StoreFailed) as error:
            raise Refused(SERVICE_UNAVAILABLE, str(error)) from None
        session.challenged = max(session.challenged, exchange.sequence())
        self.counts["challenges"] += 1
        raise Challenged(protected, session.link.device, session.name, is_newest=is_newest)

    def _may_challenge(self, device: bytes) -> bool:
        now = self._clock.monotonic()
        left, then = self._challenges.get(device, (float(CHALLENGES_AT_ONCE), now))
        left = min(CHALLENGES_AT_ONCE, left + (now - then) / CHALLENGE_INTERVAL_S)
        self._challenges[device] = (max(left - 1, 0), now) if left >= 1 else (left, now)
        return left >= 1

    def _confirm(self, session: Session) -> None:
        """Make session the device's current context; durable before anything is accepted under it."""
        device = session.link.device
        try:
            rows = self._store.session_rows(device)
            if SessionRow(device, session.name, RETIRED) in rows:
                # By a repair since its challenge, perhaps the one that this very look into the store began.
                self._retire({session.name})
                raise _no_more()
            others = {row.context for row in rows if row.context != session.name}
            if not any(row.context == session.name for row in rows):
                # The Echo came from a challenge of this start whose row a store that was opened anew lacks.
                self._reserve(session)
            if others - self._retired or all(row.state != "current" for row in rows):
                self._store.confirm_session(device, session.name)
        except (StoreFull, StoreFailed) as error:
            raise Refused(SERVICE_UNAVAILABLE, str(error)) from None
        self._retire(others)
        self.counts["confirmed"] += 1

    def _reserve(self, session: Session) -> int:
        leaps = session.name not in self._leapt
        start = self._store.reserve_sequence(session.link.device, session.name, RESERVED_AHEAD, leaps=leaps)
        self._leapt.add(session.name)
        if start + RESERVED_AHEAD > sequence_max:
            raise Refused(UNAUTHORIZED, "its sequence is used up: the device must begin a fresh context")
        return start


def _no_more() -> Refused:
    return Refused(UNAUTHORIZED, "the context is retired: the device has a newer context, or must begin one")


def context_name(link: Link, id_context: bytes | None) -> bytes:
    """Return what names the keys of a context, 16 bytes, and says nothing of the secret: other keys, another name."""
    return hashlib.sha256(b"outstation session v1" + dumps([link.secret, link.kid, id_context])).digest()[:16]
