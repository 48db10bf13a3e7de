"""What a machine calls to become a gateway, and a gateway to stay one. Source: SPEC.md section 14."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from office_ingest.govern.enrolment import Issued, Refused
from office_ingest.permissions import DECLARES, GATEWAY, OPEN
from office_ingest.receive.attempts import Attempts
from office_ingest.receive.identity import Caller
from office_ingest.receive.problem import Problem, refusal
from office_ingest.receive.request_body import read_body
from protocol.enrolment import AUTHORITIES_PATH, ENROLMENTS_PATH, IDENTITY_PATH, RENEWALS_PATH, SECRET_BYTES

BODY_BYTES_MAX = 16_384

CallerOf = Callable[[Request], Awaitable[Caller]]


class Identities(NamedTuple):
    """How callers are recognised and get certificates. caller: of (certificate, token, authorities trusted); all but attempts run in worker."""

    caller: Callable[[bytes | None, str | None, str | None], Caller]
    enrol: Callable[[bytes, bytes], Issued]
    renew: Callable[[str, bytes], Issued]
    authorities: Callable[[], str]
    attempts: Attempts


class EnrolmentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """secret: of the code, in hex; request: a certificate request in PEM."""

    secret: str
    request: str


class RenewalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """request: a certificate request in PEM."""

    request: str


def serve_enrolment(
    api: FastAPI,
    caller: CallerOf,
    in_worker: Callable[..., Awaitable[Any]],
    identities: Identities,
) -> None:
    """Add the calls to an office's interface."""
    attempts = identities.attempts

    @api.get(AUTHORITIES_PATH, openapi_extra={DECLARES: OPEN})
    async def list_authorities() -> JSONResponse:
        """Return the certificate authorities of this office in PEM: what nobody needs to hide."""
        return JSONResponse({"authorities": await in_worker(identities.authorities)})

    @api.post(ENROLMENTS_PATH, status_code=201, openapi_extra={DECLARES: OPEN})
    async def enrol_gateway(request: Request) -> JSONResponse:
        """Give the machine that has a code, and a key of its own, the certificate of the gateway that it was made for."""
        address = request.client.host if request.client else ""
        wait_s = attempts.wait_s(address)
        if wait_s > 0:
            detail = "too many codes were wrong: try again later"
            raise Problem(429, "Too many attempts", detail, {"Retry-After": str(int(wait_s) + 1)})
        try:
            body = await _body(request, EnrolmentBody)
            issued = await in_worker(identities.enrol, _secret(body.secret), body.request.encode())
        except Refused as error:
            attempts.failed(address)
            raise refusal(error) from None
        except Problem:
            attempts.failed(address)
            raise
        return JSONResponse(issued._asdict(), 201)

    @api.post(RENEWALS_PATH, status_code=201, openapi_extra={DECLARES: GATEWAY})
    async def renew_certificate(request: Request) -> JSONResponse:
        """Give a gateway that shows its certificate the next one, for another key."""
        known = await caller(request)
        if known.until_ms is None:
            raise Problem(
                403, "Forbidden", "only who shows a certificate gets the next one", kind="certificate-needed"
            )
        body = await _body(request, RenewalBody)
        try:
            issued = await in_worker(identities.renew, known.gateway, body.request.encode())
        except Refused as error:
            raise refusal(error) from None
        return JSONResponse(issued._asdict(), 201)

    @api.get(IDENTITY_PATH, openapi_extra={DECLARES: GATEWAY})
    async def identity(request: Request) -> JSONResponse:
        """Say as which gateway the caller is known."""
        known = await caller(request)
        return JSONResponse({"gateway": known.gateway, "until_ms": known.until_ms})


async def _body(request: Request, kind: type[Any]) -> Any:
    raw = await read_body(request, BODY_BYTES_MAX, "a request of this kind")
    try:
        return msgspec.convert(json.loads(raw), kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        # Never repeated: it may hold a code.
        raise Problem(400, "Malformed", "the body is not what SPEC.md section 14 says") from None


def _secret(text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise Problem(400, "Malformed", f"the secret of a code is {SECRET_BYTES} bytes in hex")
    return secret
