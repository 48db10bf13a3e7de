"""What people and machines may ask of the office over HTTP with a token, as JSON. Read only; a token that is limited to sites sees those alone.

Whatever acts on the office stays on its own command line; docs/operating/permissions.md says so.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from office_ingest.govern.acts import Person, acts_overview
from office_ingest.govern.tokens import all_tokens, token_as_json
from office_ingest.overview import devices_overview, findings_overview
from office_ingest.permissions import READ_ACTS, READ_DEVICES, READ_FINDINGS, READ_TOKENS, declared
from office_ingest.show.metrics import CONTENT_TYPE, metrics_of

InWorker = Callable[..., Awaitable[Any]]
ACTS_MAX = 1000
_TOKEN: dict[str, Any] = {"security": [{"bearer": []}]}


def add_asked(
    api: FastAPI,
    connection: sqlite3.Connection,
    in_worker: InWorker,
    wall_ms: Callable[[], int],
    limited: Callable[[str], Exception],
) -> None:
    """Add the routes below /v1/office, and /metrics. limited(what): the answer where a token of some sites asks for what has no site."""

    @api.get("/v1/office/devices", openapi_extra={**_TOKEN, **declared(READ_DEVICES)})
    async def devices(request: Request) -> JSONResponse:
        """Return what the office knows of each device."""
        rows = await in_worker(devices_overview, connection)
        return JSONResponse({"devices": _of_sites(rows, request.state.person)})

    @api.get("/v1/office/findings", openapi_extra={**_TOKEN, **declared(READ_FINDINGS)})
    async def findings(request: Request) -> JSONResponse:
        """Return what a person should look at."""
        return JSONResponse({"findings": await in_worker(_findings, connection, request.state.person)})

    @api.get("/v1/office/acts", openapi_extra={**_TOKEN, **declared(READ_ACTS)})
    async def acts(request: Request) -> JSONResponse:
        """Return who did what, the newest first."""
        if request.state.person.sites:
            raise limited("acts")
        return JSONResponse({"acts": await in_worker(acts_overview, connection, ACTS_MAX)})

    @api.get("/v1/office/tokens", openapi_extra={**_TOKEN, **declared(READ_TOKENS)})
    async def tokens(request: Request) -> JSONResponse:
        """Return every token: for whom, what it may do, until when. Never the token itself."""
        if request.state.person.sites:
            raise limited("tokens")
        found = await in_worker(all_tokens, connection)
        return JSONResponse({"tokens": [token_as_json(one, wall_ms()) for one in found]})

    @api.get(
        "/metrics", openapi_extra={**_TOKEN, **declared(READ_DEVICES, READ_FINDINGS)}, response_class=Response
    )
    async def metrics(request: Request) -> Response:
        """Return counters and gauges as Prometheus reads them."""
        body = await in_worker(metrics_of, connection, wall_ms(), request.state.person.sites or None)
        return Response(body, media_type=CONTENT_TYPE)


def _of_sites(rows: list[dict[str, Any]], person: Person) -> list[dict[str, Any]]:
    return [row for row in rows if not person.sites or row["site"] in person.sites]


def _findings(connection: sqlite3.Connection, person: Person) -> list[dict[str, Any]]:
    rows = findings_overview(connection, cleared=False)
    if not person.sites:
        return rows
    sites = {device.hex(): site for device, site in connection.execute("SELECT id, site FROM devices")}
    # What belongs to no device, or to one that is not known, belongs to no site either.
    return [row for row in rows if sites.get(row["device"]) in person.sites]
