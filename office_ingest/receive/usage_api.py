"""What gateways say that devices moved. Source: SPEC.md section 7 (Usage)."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from office_ingest.permissions import DECLARES, GATEWAY
from office_ingest.receive.problem import Problem
from office_ingest.receive.request_body import read_body
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.usage import LIFE_HEADER, PATH, REQUEST_BYTES_MAX, parse_life, parse_usage

# (gateway, rows, life)
Count = Callable[[str, list[tuple[Any, ...]], bytes], None]


def serve_usage(
    api: FastAPI,
    gateway: Callable[[Request], Awaitable[str]],
    in_worker: Callable[..., Awaitable[Any]],
    count: Count,
) -> None:
    """Add the call to an office's interface."""

    @api.post(PATH, openapi_extra={DECLARES: GATEWAY}, response_class=Response)
    async def usage(request: Request) -> Response:
        """Keep what the devices of the gateway's site moved; answer after the commit."""
        name = await gateway(request)
        raw = await read_body(request, REQUEST_BYTES_MAX, "what devices moved")
        try:
            rows, life = parse_usage(raw), parse_life(request.headers.get(LIFE_HEADER))
        except ProtocolError as error:
            status, title = (413, "Too large") if error.code == TOO_LARGE else (400, "Malformed")
            raise Problem(status, title, str(error)) from None
        await in_worker(count, name, rows, life)
        return Response(status_code=200)
