"""What gateways say of the leaves that sign, and what they are told of them. Source: SPEC.md section 7 (Witness)."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from office_ingest.permissions import DECLARES, GATEWAY
from office_ingest.receive.problem import Problem
from office_ingest.receive.request_body import read_body
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.witness import PATH, REQUEST_BYTES_MAX, encode_witness_answer, parse_witness

CBOR = "application/cbor"
# (gateway, seen, shown) -> (told, asked)
Witness = Callable[[str, list[tuple[Any, ...]], list[bytes]], tuple[list[bytes], list[bytes]]]


def serve_witness(
    api: FastAPI,
    gateway: Callable[[Request], Awaitable[str]],
    in_worker: Callable[..., Awaitable[Any]],
    witness: Witness,
) -> None:
    """Add the call to an office's interface."""

    @api.post(PATH, openapi_extra={DECLARES: GATEWAY}, response_class=Response)
    async def hear(request: Request) -> Response:
        """Keep what a gateway saw of leaves that sign; answer after the commit."""
        name = await gateway(request)
        raw = await read_body(request, REQUEST_BYTES_MAX, "what a gateway witnessed")
        try:
            seen, shown = parse_witness(raw)
        except ProtocolError as error:
            status, title = (413, "Too large") if error.code == TOO_LARGE else (400, "Malformed")
            raise Problem(status, title, str(error)) from None
        told, asked = await in_worker(witness, name, seen, shown)
        return Response(encode_witness_answer(told, asked), media_type=CBOR)
