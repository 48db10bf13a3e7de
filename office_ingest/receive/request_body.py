"""Reads what a request brings, bounded before anything of it is looked at."""

from fastapi import Request
from starlette.requests import ClientDisconnect

from office_ingest.receive.problem import Problem


async def read_body(request: Request, most: int, what: str) -> bytes:
    """Return a body of at most so many bytes. what: "an uplink request", for people. Raises Problem: longer, or cut off."""
    too_large = Problem(413, "Too large", f"{what} has at most {most} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_large
    except ClientDisconnect:
        raise Problem(400, "Malformed", "the request ended too early") from None
    return bytes(body)
