"""What gateways call over HTTPS, and what machines may ask about the office.

Judging is quick and needs the processor, so that one worker thread does all of it and the event loop stays free to answer.
Errors are problem details (RFC 9457). The OpenAPI document is served; its usual page is not, since it loads scripts from elsewhere.

Source: SPEC.md section 7.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from office_ingest import VERSION
from office_ingest.errors import StoreUnavailable
from office_ingest.govern.enrolment import Refused
from office_ingest.govern.people import NotPermitted
from office_ingest.govern.tokens import TokenRefused
from office_ingest.permissions import DECLARES, GATEWAY, OPEN, Permission
from office_ingest.points import Reach, pass_by
from office_ingest.receive.announcement_api import serve_announcements
from office_ingest.receive.enrolment_api import Identities, serve_enrolment
from office_ingest.receive.identity import Caller
from office_ingest.receive.peer import certificate_of
from office_ingest.receive.problem import PROBLEM, Problem, refusal
from office_ingest.receive.request_body import read_body
from office_ingest.receive.usage_api import Count, serve_usage
from office_ingest.receive.witness_api import Witness, serve_witness
from protocol.enrolment import AUTHORITIES_HEADER
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.limits import message_bytes_max, segment_bytes_max, uplink_heartbeats_max, uplink_segments_max
from protocol.uplink import LINKS_HEADER, UplinkAnswer, encode_uplink_answer, parse_request

CBOR = "application/cbor"
# Each string has at most three bytes of head, the map and its arrays nine; the rest is for keys that a newer gateway may add.
REQUEST_BYTES_MAX = (
    uplink_segments_max * (segment_bytes_max + 3) + uplink_heartbeats_max * (message_bytes_max + 3) + 4096
)
RETRY_AFTER_S = 2
# of the largest number of a release, 2**32 - 1
_NUMBER_DIGITS = 10
_MARK_CHARACTERS_MAX = 64
OCTETS = "application/octet-stream"

# (gateway, mark of the links that it says it holds) -> what it is to change, or None
LinksFor = Callable[[str, str], tuple[Any, ...] | None]
Take = Callable[[str, list[bytes], list[bytes]], UplinkAnswer]
TOKENS = {"type": "http", "scheme": "bearer"}
_OF_GATEWAYS: dict[str, Any] = {"security": [{"bearer": []}], DECLARES: GATEWAY}
_OPEN: dict[str, Any] = {DECLARES: OPEN}
# (gateway, announcements) -> what protocol.announcements.encode_admissions takes
Heard = Callable[[str, list[bytes]], list[tuple[bytes, ...]]]
Enter = Callable[[str, tuple[Permission, ...]], Any]


def build_api(
    *,
    take: Take,
    identities: Identities,
    release_for: Callable[[str, int], bytes | None],
    part_for: Callable[[str, bytes], bytes | None],
    devices: Callable[[str], list[dict[str, Any]]],
    is_ready: Callable[[], bool],
    worker: Executor,
    enter: Enter,
    links_for: LinksFor = lambda gateway, held: None,
    reach: Reach = pass_by,
    heard: Heard = lambda gateway, announced: [],
    count: Count = lambda gateway, rows, life: None,
    witness: Witness = lambda gateway, seen, shown: ([], []),
) -> FastAPI:
    """Return the office's HTTP interface. Every callable but is_ready and enter takes the gateway first; all run in worker, of one thread.

    enter(token, permissions): who asks, on routes for people. A route that declares nothing answers nobody.
    """
    api = FastAPI(
        title="Outstation office",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        dependencies=[Depends(_door(enter, worker))],
    )

    async def in_worker(call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(worker, call, *arguments)

    async def caller(request: Request) -> Caller:
        trusts = request.headers.get(AUTHORITIES_HEADER, "")[:_MARK_CHARACTERS_MAX] or None
        try:
            return await in_worker(identities.caller, certificate_of(request.scope), bearer(request), trusts)
        except Refused as error:
            raise refusal(error) from None

    async def gateway(request: Request) -> str:
        return (await caller(request)).gateway

    @api.get("/v1/devices", openapi_extra=_OF_GATEWAYS)
    async def list_devices(request: Request) -> JSONResponse:
        """Return what the office knows of each device of the gateway's site."""
        name = await gateway(request)
        return JSONResponse({"devices": await in_worker(devices, name)})

    _serve_uplink(api, caller, in_worker, take, links_for, reach)
    _serve_health(api, in_worker, is_ready)
    _serve_releases(api, gateway, in_worker, release_for, part_for)
    serve_enrolment(api, caller, in_worker, identities)
    serve_announcements(api, caller, in_worker, heard)
    serve_usage(api, gateway, in_worker, count)
    serve_witness(api, gateway, in_worker, witness)
    _answer_errors(api)
    return api


def _serve_uplink(
    api: FastAPI,
    caller: Callable[[Request], Awaitable[Caller]],
    in_worker: Callable[..., Awaitable[Any]],
    take: Take,
    links_for: LinksFor,
    reach: Reach,
) -> None:
    @api.post("/v1/uplink", openapi_extra=_uplink_words(), response_class=Response)
    async def uplink(request: Request) -> Response:
        """Take segments and heartbeats; answer after they are committed."""
        known = await caller(request)
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != CBOR:
            raise Problem(415, "Not CBOR", f"the body of an uplink is {CBOR}")
        segments, heartbeats = _parse(await read_body(request, REQUEST_BYTES_MAX, "an uplink request"))
        answer = await in_worker(take, known.gateway, segments, heartbeats)
        held = request.headers.get(LINKS_HEADER)
        if held is not None and known.until_ms is not None:
            # Secrets go to nobody but the key of this gateway's certificate: what a token opens, whoever copied it reads.
            answer.links = await in_worker(links_for, known.gateway, held[:_MARK_CHARACTERS_MAX])
        told = {AUTHORITIES_HEADER: known.mark} if known.mark else None
        return Response(encode_uplink_answer(answer), 200, told, CBOR, BackgroundTask(reach, "after_receipt"))


def bearer(request: Request) -> str | None:
    """Return the token of a request, or None if it shows none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _door(enter: Enter, worker: Executor) -> Callable[[Request], Awaitable[None]]:
    """Return what every request passes before its route: who asks, and whether that may ask it."""

    async def door(request: Request) -> None:
        said = (getattr(request.scope["route"], "openapi_extra", None) or {}).get(DECLARES)
        if said in (OPEN, GATEWAY):
            # A gateway's identity is looked at by the route itself.
            return
        if not said:
            raise Problem(403, "Not permitted", "this route declares no permission, so it answers nobody")
        token = bearer(request)
        if token is None:
            detail = "send Authorization: Bearer with a token of outstation office token create"
            raise Problem(401, "No token", detail, {"WWW-Authenticate": "Bearer"})
        permissions = tuple(Permission(*one) for one in said)
        loop = asyncio.get_running_loop()
        request.state.person = await loop.run_in_executor(worker, enter, token, permissions)

    return door


def limited_to_sites(what: str) -> Problem:
    """Return the answer to a token of some sites that asks for what belongs to none."""
    return Problem(403, "Not permitted", f"this token is limited to sites, and {what} belong to no site")


def _serve_health(
    api: FastAPI, in_worker: Callable[..., Awaitable[Any]], is_ready: Callable[[], bool]
) -> None:
    @api.get("/healthz", openapi_extra=_OPEN)
    async def healthz() -> dict[str, str]:
        """Say that the process runs."""
        return {"status": "alive"}

    @api.get("/readyz", openapi_extra=_OPEN)
    async def readyz() -> dict[str, str]:
        """Say that the database can be used."""
        if not await in_worker(is_ready):
            raise _unavailable("the database does not answer")
        return {"status": "ready"}


def _serve_releases(
    api: FastAPI,
    gateway: Callable[[Request], Awaitable[str]],
    in_worker: Callable[..., Awaitable[Any]],
    release_for: Callable[[str, int], bytes | None],
    part_for: Callable[[str, bytes], bytes | None],
) -> None:
    @api.get("/v1/releases/{number}", openapi_extra=_OF_GATEWAYS, response_class=Response)
    async def release(request: Request, number: str) -> Response:
        """Return a release, manifest and signatures, that was rolled out to a device of the gateway's site."""
        name = await gateway(request)
        # Not an int in the signature: FastAPI would answer before the token is looked at, and in another shape.
        is_number = number.isascii() and number.isdigit() and len(number) <= _NUMBER_DIGITS
        wanted = int(number) if is_number else 0
        return _bytes(await in_worker(release_for, name, wanted), f"release {number[:64]}", CBOR)

    @api.get("/v1/parts/{digest}", openapi_extra=_OF_GATEWAYS, response_class=Response)
    async def part(request: Request, digest: str) -> Response:
        """Return a part of such a release by its SHA-256 in hex."""
        name = await gateway(request)
        try:
            wanted = bytes.fromhex(digest)
        except ValueError:
            wanted = b""
        return _bytes(await in_worker(part_for, name, wanted), f"part {digest[:64]}", OCTETS)


def _bytes(body: bytes | None, what: str, media_type: str) -> Response:
    if body is None:
        raise Problem(404, "Not found", f"{what} is not there, or not for a device of this gateway's site")
    return Response(body, 200, media_type=media_type)


def _answer_errors(api: FastAPI) -> None:
    @api.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @api.exception_handler(TokenRefused)
    async def refused(_request: Request, error: TokenRefused) -> JSONResponse:
        # RFC 6750 section 3.1.
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return Problem(401, "The token is not good", str(error), challenge).response()

    @api.exception_handler(NotPermitted)
    async def not_permitted(_request: Request, error: NotPermitted) -> JSONResponse:
        challenge = {
            "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{error.missing.words()}"'
        }
        return Problem(403, "Not permitted", str(error), challenge).response()

    @api.exception_handler(StoreUnavailable)
    async def unavailable(_request: Request, error: StoreUnavailable) -> JSONResponse:
        return _unavailable(str(error)).response()

    @api.exception_handler(sqlite3.DatabaseError)
    async def unreadable(_request: Request, error: sqlite3.DatabaseError) -> JSONResponse:
        # What was committed stays so; the gateway asks again and learns that it is held.
        return _unavailable(f"the database could not be read: {error}").response()

    @api.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, str(error.detail), headers=dict(error.headers or {})).response()


def _unavailable(detail: str) -> Problem:
    return Problem(503, "Try again", detail, {"Retry-After": str(RETRY_AFTER_S)})


def _parse(body: bytes) -> tuple[list[bytes], list[bytes]]:
    try:
        return parse_request(body)
    except ProtocolError as error:
        status, title = (413, "Too large") if error.code == TOO_LARGE else (400, "Malformed")
        raise Problem(status, title, str(error)) from None


def _uplink_words() -> dict[str, Any]:
    cbor = {CBOR: {"schema": {"type": "string", "format": "binary"}}}
    problem = {PROBLEM: {"schema": {"type": "object"}}}
    refused = {
        "400": "not an uplink request",
        "401": "unknown gateway",
        "403": "its certificate is not taken",
        "413": "too large",
        "415": "not CBOR",
        "503": "try again",
    }
    return {
        "requestBody": {"required": True, "content": cbor, "description": "uplink_request of wire.cddl"},
        **_OF_GATEWAYS,
        "responses": {
            "200": {"description": "uplink_answer of wire.cddl, after the commit", "content": cbor},
            **{status: {"description": words, "content": problem} for status, words in refused.items()},
        },
    }
