"""Drains the outbox to the office over HTTPS, with backoff when it is down, slow or talks nonsense.

One request at a time. Nothing is taken from the outbox before the office's answer was understood and carried out, so that
any failure, at any moment, costs a repetition and nothing else.

Source: SPEC.md section 7; RFC 9457; RFC 9110 section 10.2.3 (Retry-After).
"""

import asyncio
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
from gateway.outbox import Outbox
from gateway.store import Batch
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.uplink import encode_request

_log = logging.getLogger("gateway.uplink")

PATH = "/v1/uplink"
CONTENT_TYPE = "application/cbor"
# 512 outcomes, 1,536 receipts, 256 tokens, 1,024 wants, 256 releases and 256 commands stay well below.
ANSWER_BYTES_MAX = 1 << 20
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
            if not batch.segments and not batch.heartbeats:
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
        request = encode_request([raw for _, raw in batch.segments], [raw for _, raw in batch.heartbeats])
        self._point("before_forward")
        answer = await self._post(request)
        self._point("after_forward")
        self._point("before_release")
        await self._outbox.settle(batch, answer)
        self._point("after_release")

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
    """The office's HTTPS end: TLS against its own certificate authority alone, a bearer token, bounded answers."""

    def __init__(self, url: str, *, ca: Path, token: str, timeout_s: float):
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            verify=_trust(ca),
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": CONTENT_TYPE,
                "Accept": f"{CONTENT_TYPE}, application/octet-stream",
                "Accept-Encoding": "identity",
            },
            timeout=timeout_s,
            # A proxy of the environment would see the token.
            trust_env=False,
            follow_redirects=False,
        )

    async def post(self, body: bytes) -> bytes:
        """Return the body of the office's answer to one uplink request. Raises an OfficeError that says what to do."""
        return await self._ask("POST", PATH, ANSWER_BYTES_MAX, body)

    async def get(self, path: str, bytes_max: int) -> bytes:
        """Return a body of the office, of at most bytes_max bytes. Raises an OfficeError that says what to do."""
        return await self._ask("GET", path, bytes_max, b"")

    async def _ask(self, method: str, path: str, bytes_max: int, body: bytes) -> bytes:
        try:
            # httpx limits each read; an office that drips bytes is stopped here.
            async with asyncio.timeout(self._timeout_s):
                async with self._client.stream(method, path, content=body) as response:
                    raw = await _read(response, bytes_max)
        except TimeoutError:
            raise OfficeUnreachable(f"no answer within {self._timeout_s} s") from None
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise OfficeUnreachable(str(error) or type(error).__name__) from None
        if response.status_code != httpx.codes.OK:
            raise _refusal(response)
        return raw

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _trust(ca: Path) -> ssl.SSLContext:
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
    return context


async def _read(response: httpx.Response, bytes_max: int) -> bytes:
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > bytes_max:
            raise AnswerTooLong(f"the office's answer exceeds {bytes_max} bytes")
    return bytes(raw)


def _refusal(response: httpx.Response) -> OfficeError:
    status = response.status_code
    text = f"the office answered {status} {response.reason_phrase}"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return OfficeRefused(text)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return RequestTooLarge(text)
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        return OfficeBusy(text, _seconds(response.headers.get("Retry-After")))
    return OfficeConfused(text)


def _seconds(text: str | None) -> float | None:
    # The other form of Retry-After is a date; nothing of ours trusts wall time.
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None
