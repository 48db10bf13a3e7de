"""Drains the outbox to the office over HTTPS, with backoff when it is down, slow or talks nonsense.

One request at a time. Nothing is taken from the outbox before the office's answer was understood and carried out, so that
any failure, at any moment, costs a repetition and nothing else.

Source: SPEC.md section 7; RFC 9457; RFC 9110 section 10.2.3 (Retry-After).
"""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from gateway.errors import (
    AnswerTooLong,
    OfficeBusy,
    OfficeConfused,
    OfficeError,
    OfficeRefused,
    OfficeUnreachable,
    RequestTooLarge,
    StoreFailed,
    StoreFull,
)
from gateway.health import Health
from gateway.identity import mark_of
from gateway.outbox import Outbox
from gateway.store import Batch
from protocol.diagnostic import Diagnostic, DiagnosticError, printable
from protocol.enrolment import AUTHORITIES_HEADER
from protocol.uplink import LINKS_HEADER, encode_request

_log = logging.getLogger("gateway.uplink")

PATH = "/v1/uplink"
CONTENT_TYPE = "application/cbor"
# 512 outcomes, 1,536 receipts, 256 tokens, 1,024 wants, 256 releases, 256 commands, view keys and two links of 4,096 devices
# stay well below.
ANSWER_BYTES_MAX = 1 << 20
_GOOD = (httpx.codes.OK, httpx.codes.CREATED)
_DETAIL_CHARACTERS_MAX = 300
# What OpenSSL calls the office's word about our certificate.
_ALERTS = {
    "ALERT_UNKNOWN_CA": "the office does not trust the authority of this gateway's certificate: enrol it again",
    "ALERT_CERTIFICATE_REQUIRED": "the office asks for a certificate: enrol this gateway",
    "ALERT_BAD_CERTIFICATE": "the office takes this gateway's certificate for damaged: enrol it again",
    "ALERT_UNSUPPORTED_CERTIFICATE": "this gateway's certificate is for another purpose: enrol it again",
}
_CLOSED = (
    "If that goes on, the office does not trust the authority of this gateway's certificate: enrol it again."
)
# Doubling ends here; the longest wait is set by retry_max_s.
DOUBLINGS_MAX = 16

Post = Callable[[bytes], Awaitable[bytes]]


class Backoff:
    """Waits that double, each a random part of half to whole, so that gateways do not keep step. Resets on success."""

    def __init__(self, *, least_s: float, most_s: float, rng: random.Random):
        self._least_s = least_s
        self._most_s = most_s
        self._random = rng
        self.failures = 0

    def next_wait_s(self, asked_s: float | None = None) -> float:
        """Return how long to wait after one more failure; asked_s: what the office asked for, kept within the longest."""
        wait_s = min(self._most_s, self._least_s * 2 ** min(self.failures, DOUBLINGS_MAX))
        self.failures += 1
        wait_s *= self._random.uniform(0.5, 1.0)
        return max(wait_s, min(asked_s, self._most_s)) if asked_s is not None else wait_s

    def reset(self) -> None:
        """Start over after a success."""
        self.failures = 0


class Uplink:
    """post: sends one request and returns the answer's bytes, or raises OfficeError. clock: monotonic() and sleep()."""

    def __init__(
        self,
        outbox: Outbox,
        health: Health,
        post: Post,
        *,
        backoff: Backoff,
        clock: Any,
        batch_segments: int,
        point: Callable[[str], None],
    ):
        self._outbox = outbox
        self._health = health
        self._post = post
        self._backoff = backoff
        self._clock = clock
        self._batch_max = batch_segments
        self._batch_segments = batch_segments
        self._point = point
        self._wake = asyncio.Event()
        # Questions that wait, and those that the office has answered.
        self._asked = self._answered = 0

    def ask(self) -> None:
        """Make one exchange even if nothing waits: for what the office has to say."""
        self._asked += 1
        self._wake.set()

    def wake(self) -> None:
        """Look into the outbox: something arrived."""
        self._wake.set()

    async def run(self) -> None:
        """Send whatever arrives, for ever; ends by being cancelled."""
        while True:
            self._wake.clear()
            if await self.step():
                continue
            self._say("idle")
            await self._wake.wait()

    async def step(self) -> bool:
        """Send one batch and carry out its answer, or wait after a failure; return False if nothing waits."""
        try:
            batch = await self._outbox.next_batch(self._batch_segments)
            if not batch.segments and not batch.heartbeats and self._asked == self._answered:
                return False
            self._say("sending")
            await self._exchange(batch)
        except OfficeError as error:
            await self._wait_after(error)
        except (StoreFull, StoreFailed) as error:
            await self._wait_after(OfficeError(str(error)))
        else:
            self._backoff.reset()
            self._batch_segments = min(self._batch_max, self._batch_segments * 2)
        return True

    async def _exchange(self, batch: Batch) -> None:
        # What is asked from here on may be of what this request does not say yet.
        asked = self._asked
        request = encode_request([raw for _, raw in batch.segments], [raw for _, raw in batch.heartbeats])
        self._point("before_forward")
        answer = await self._post(request)
        self._point("after_forward")
        self._point("before_release")
        await self._outbox.settle(batch, answer)
        self._point("after_release")
        self._answered = asked

    async def _wait_after(self, error: OfficeError) -> None:
        self._health.count("uplink_failures")
        if isinstance(error, OfficeConfused):
            self._health.count("uplink_garbage")
        if isinstance(error, RequestTooLarge):
            self._batch_segments = max(1, self._batch_segments // 2)
        wait_s = self._backoff.next_wait_s(error.retry_after_s)
        _log.warning("uplink %s: %s; again in %.1f s", error.state, error, wait_s)
        self._say(error.state, wait_s, str(error))
        await self._clock.sleep(wait_s)

    def _say(self, state: str, retry_in_s: float = 0.0, reason: str = "") -> None:
        failures = self._backoff.failures
        self._health.uplink = {
            "state": state,
            "failures": failures,
            "retry_in_s": round(retry_in_s, 3),
            "reason": reason,
        }


class Office:
    """The office's HTTPS end: TLS against its own certificate authority alone, a certificate or a token of ours, bounded answers.

    identity: file with our key and certificate; while it is there, no token is sent. mark: of the authorities that we trust.
    announced: told which authorities the office wants to be trusted. held(): which set of links we have, None: we ask for none.
    """

    def __init__(
        self,
        url: str,
        *,
        ca: Path,
        token: str = "",
        identity: Path | None = None,
        timeout_s: float,
        announced: Callable[[str], None] = lambda mark: None,
        held: Callable[[], str | None] = lambda: None,
    ):
        self._url = url.rstrip("/")
        self._ca = ca
        self._token = token
        self._identity = identity
        self._timeout_s = timeout_s
        self.announced = announced
        self.held = held
        self._busy: dict[httpx.AsyncClient, int] = {}
        self._client = self._new_client(identity)

    def _new_client(self, identity: Path | None) -> httpx.AsyncClient:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Accept": f"{CONTENT_TYPE}, application/octet-stream, application/json",
            "Accept-Encoding": "identity",
        }
        if identity is None:
            headers["Authorization"] = f"Bearer {self._token}"
        else:
            headers[AUTHORITIES_HEADER] = mark_of(self._ca)
        return httpx.AsyncClient(
            base_url=self._url,
            verify=_trust(self._ca, identity),
            headers=headers,
            timeout=self._timeout_s,
            # A proxy of the environment would see the token.
            trust_env=False,
            follow_redirects=False,
        )

    async def post(self, body: bytes) -> bytes:
        """Return the body of the office's answer to one uplink request. Raises an OfficeError that says what to do."""
        held = self.held() if self._identity is not None else None
        return await self.ask(
            "POST", PATH, ANSWER_BYTES_MAX, body, {} if held is None else {LINKS_HEADER: held}
        )

    async def get(self, path: str, bytes_max: int) -> bytes:
        """Return a body of the office, of at most bytes_max bytes. Raises an OfficeError that says what to do."""
        return await self.ask("GET", path, bytes_max, b"")

    async def probe(self, identity: Path, path: str) -> bytes:
        """Return what the office answers to another identity, on a connection of its own. Raises OfficeError."""
        client = self._new_client(identity)
        try:
            return await self._ask(client, "GET", path, ANSWER_BYTES_MAX, b"")
        finally:
            await client.aclose()

    async def reload(self) -> None:
        """Show the identity, and trust the authorities, that are on disk now. Requests on their way end as they began."""
        old, self._client = self._client, self._new_client(self._identity)
        if not self._busy.get(old):
            await old.aclose()

    async def ask(
        self, method: str, path: str, bytes_max: int, body: bytes, headers: dict[str, str] | None = None
    ) -> bytes:
        """Return the body of one answer. Raises an OfficeError that says what to do."""
        client = self._client
        self._busy[client] = self._busy.get(client, 0) + 1
        try:
            return await self._ask(client, method, path, bytes_max, body, headers)
        finally:
            self._busy[client] -= 1
            if not self._busy[client]:
                del self._busy[client]
                if client is not self._client:
                    await client.aclose()

    async def _ask(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        bytes_max: int,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        try:
            # httpx limits each read; an office that drips bytes is stopped here.
            async with asyncio.timeout(self._timeout_s):
                async with client.stream(method, path, content=body, headers=headers) as response:
                    raw = await _read(response, bytes_max)
        except TimeoutError:
            raise OfficeUnreachable(f"no answer within {self._timeout_s} s") from None
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise _no_answer(error, is_certified=self._identity is not None) from None
        if response.status_code not in _GOOD:
            raise _refusal(response, raw)
        if mark := response.headers.get(AUTHORITIES_HEADER, ""):
            self.announced(mark)
        return raw

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _trust(ca: Path, identity: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise DiagnosticError(
            Diagnostic(
                "file-unusable",
                f"the office's certificate authority cannot be read: {error}",
                str(ca),
                fix="it must be a certificate in PEM; provision the gateway again",
            )
        ) from None
    if identity is not None:
        try:
            context.load_cert_chain(identity)
        except (ssl.SSLError, OSError) as error:
            message = f"the gateway's own certificate cannot be read: {error}"
            fix = "enrol the gateway again: outstation gateway enrol"
            raise DiagnosticError(Diagnostic("gateway-identity", message, str(identity), fix=fix)) from None
    return context


async def _read(response: httpx.Response, bytes_max: int) -> bytes:
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > bytes_max:
            raise AnswerTooLong(f"the office's answer exceeds {bytes_max} bytes")
    return bytes(raw)


def _no_answer(error: Exception, *, is_certified: bool) -> OfficeError:
    """Return what a connection that broke means. An alert is the office's word about our certificate, before any HTTP."""
    text = str(error) or type(error).__name__
    for alert, words in _ALERTS.items():
        if alert in text.upper().replace(" ", "_"):
            return OfficeRefused(words)
    # So it looks where the office's TLS ends the handshake and the alert is lost on the way; or where the office just ended. Which of the
    # two errors it is depends on whether the end is seen by the request's last write or by the first read.
    is_broken_off = isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError))
    return OfficeUnreachable(f"{text} {_CLOSED}" if is_certified and is_broken_off else text)


def _refusal(response: httpx.Response, raw: bytes = b"") -> OfficeError:
    status = response.status_code
    text = f"the office answered {status} {response.reason_phrase}{_detail(response, raw)}"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return OfficeRefused(text)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return RequestTooLarge(text)
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        return OfficeBusy(text, _seconds(response.headers.get("Retry-After")))
    return OfficeConfused(text)


def _detail(response: httpx.Response, raw: bytes) -> str:
    """Return what a problem (RFC 9457) says of this case, to be shown to a person."""
    if response.headers.get("Content-Type", "").split(";")[0] != "application/problem+json":
        return ""
    try:
        detail = json.loads(raw)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {printable(detail[:_DETAIL_CHARACTERS_MAX])}" if isinstance(detail, str) else ""


def _seconds(text: str | None) -> float | None:
    # The other form of Retry-After is a date; nothing of ours trusts wall time.
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None
