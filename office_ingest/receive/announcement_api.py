"""What a gateway asks about boards that announce themselves to it. Source: SPEC.md section 15."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from office_ingest.permissions import DECLARES, GATEWAY
from office_ingest.receive.identity import Caller
from office_ingest.receive.problem import Problem
from office_ingest.receive.request_body import read_body
from protocol.announcements import PATH, REQUEST_BYTES_MAX, encode_admissions, parse_announcements
from protocol.errors import ProtocolError

_CBOR = "application/cbor"


def serve_announcements(
    api: FastAPI,
    caller: Callable[[Request], Awaitable[Caller]],
    in_worker: Callable[..., Awaitable[Any]],
    heard: Callable[[str, list[bytes]], list[tuple[bytes, ...]]],
) -> None:
    """Add the call to an office's interface."""

    @api.post(PATH, openapi_extra={DECLARES: GATEWAY}, response_class=Response)
    async def announcements(request: Request) -> Response:
        """Say which of these boards are the office's, and what those get that a person admitted."""
        known = await caller(request)
        if known.until_ms is None:
            # Link secrets go to the key of a certificate alone: what a token opens, whoever copied it reads.
            detail = "only who shows a certificate may bring boards that announce themselves"
            raise Problem(403, "Forbidden", detail, kind="certificate-needed")
        raw = await read_body(request, REQUEST_BYTES_MAX, "a list of announcements")
        try:
            announced = parse_announcements(raw)
        except ProtocolError as error:
            raise Problem(400, "Malformed", str(error)) from None
        said = await in_worker(heard, known.gateway, announced)
        return Response(encode_admissions(said), 200, media_type=_CBOR)
