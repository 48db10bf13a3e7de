"""The page's routes. Everything is a GET; each page is whole without a script, says how old it is, and is JSON with format=json.

    /                    the fleet: state at a glance, what runs where
    /devices/ID          one device: readings, decisions, chain, releases, commands
    /devices/ID/ORDER    why it decided so
    /findings            what a person should look at
    /boards              boards that announced themselves and wait for a person's yes
    /releases, /releases/N    releases, and how far one has come
    /docs                what machines may ask
    /live                changes of a page, as server-sent events
    /login, /logout      only where the page asks who looks at it (`login`)

Source: RFC 9110; the WHATWG's server-sent events; Content Security Policy Level 3.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from office_ingest.permissions import READ_DECISIONS, READ_DEVICES, READ_FINDINGS, READ_RELEASES, Permission
from office_ingest.show import views
from office_ingest.show.guarding import Guarding
from office_ingest.show.live import VIEWERS_MAX, Hub
from office_ingest.show.login import Asking, Login
from office_ingest.show.paper import Paper
from office_ingest.show.reading_room import ReadingRoom

_STATIC = Path(__file__).parent / "static"
VERSION = 1

View = Callable[[ReadingRoom, dict[str, str], QueryParams, int], dict[str, Any] | None]
PAGES: dict[str, tuple[str, View]] = {
    "/": ("fleet", views.fleet),
    "/devices/{device}": ("device", views.device),
    "/devices/{device}/{order}": ("explain", views.explain),
    "/findings": ("findings", views.findings),
    "/boards": ("boards", views.boards),
    "/releases": ("releases", views.releases),
    "/releases/{number}": ("release", views.release),
    "/docs": ("docs", views.docs),
}
# What each page needs of who looks at it, where it asks; a page that is not here answers nobody then.
NEEDS: dict[str, tuple[Permission, ...]] = {
    "fleet": (READ_DEVICES,),
    "device": (READ_DEVICES,),
    "explain": (READ_DECISIONS,),
    "findings": (READ_FINDINGS,),
    "boards": (READ_DEVICES,),
    "releases": (READ_RELEASES,),
    "release": (READ_RELEASES,),
    "docs": (READ_DEVICES,),
    # It streams whichever page is named: all that any page needs.
    "live": (READ_DEVICES, READ_DECISIONS, READ_FINDINGS, READ_RELEASES),
}


def page_needs(path: str) -> tuple[Permission, ...]:
    """Return the permissions that an address needs, () where it declares none."""
    if path == "/live":
        return NEEDS["live"]
    names = [name for pattern, (name, _) in PAGES.items() if _match(pattern, path) is not None]
    # What is no page is not found, which anybody may be told who may see the first one.
    return NEEDS.get(names[0], ()) if names else NEEDS["fleet"]


class Site:
    """The page of one office. name: the office's; host: where it listens; api: its OpenAPI document, for /docs; wall_ms: for people only.

    login: who may look, None for everybody (on loopback); names: what browsers may call it besides.
    """

    def __init__(
        self,
        room: ReadingRoom,
        *,
        name: str,
        host: str,
        api: Callable[[], dict[str, Any]],
        wall_ms: Callable[[], int],
        login: Login | None = None,
        names: tuple[str, ...] = (),
    ):
        self._room = room
        self._wall_ms = wall_ms
        self._api = api
        self._paper = Paper(name)
        self.hub = Hub(self._render, room.look, self._as_of)
        routes: list[BaseRoute] = [
            Route(path, self._page(name, view), name=name, methods=["GET"])
            for path, (name, view) in PAGES.items()
        ]
        routes += [
            Route("/live", self._live, methods=["GET"]),
            Route("/healthz", _healthz, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        guards = [Middleware(Guarding)]
        if login is not None:
            login.write = lambda page, shown: self._paper.write(page, shown, "/", "")
            routes += [
                Route("/login", login.login, methods=["GET", "POST"]),
                Route("/logout", login.logout, methods=["POST"]),
            ]
        # A name that an attacker points at this address must not make a browser of this machine read the page for him.
        called = ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host, *names]
        guards.append(Middleware(TrustedHostMiddleware, allowed_hosts=called))
        if login is not None:
            guards.append(Middleware(Asking, login=login))
        self.app = Starlette(
            routes=routes,
            middleware=guards,
            exception_handlers={404: self._missing},
        )
        self._router = self.app.router

    def _as_of(self) -> str:
        return datetime.fromtimestamp(self._wall_ms() / 1000, UTC).strftime("%H:%M:%S")

    def _page(self, name: str, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            shown = await self._show(view, dict(request.path_params), request.query_params)
            if shown is None:
                return self._not_found(str(request.url.path))
            if request.query_params.get("format") == "json":
                body = {"schema": f"outstation.page-{name}", "version": VERSION, "as_of_ms": self._wall_ms()}
                return JSONResponse({**body, **json.loads(json.dumps(shown, default=_plain))})
            topic = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            html = self._paper.write(name, shown, topic, self._as_of())
            return HTMLResponse(html, headers={"Cache-Control": "no-store"})

        return answer

    async def _show(self, view: View, path: dict[str, str], query: QueryParams) -> dict[str, Any] | None:
        if view is views.docs:
            return {"api": self._api()}
        return await self._room.run(view, self._room, path, query, self._wall_ms())

    async def _render(self, topic: str) -> str | None:
        """Return a page's HTML by its address, for the hub."""
        address, _, query = topic.partition("?")
        for path, (name, view) in PAGES.items():
            matched = _match(path, address)
            if matched is not None:
                shown = await self._show(view, matched, QueryParams(parse_qsl(query)))
                # Without the time of writing: it would differ each second.
                return None if shown is None else self._paper.write(name, shown, topic, "")
        return None

    async def _live(self, request: Request) -> Response:
        topic = request.query_params.get("topic", "/")
        if self.hub.viewers >= VIEWERS_MAX:
            return PlainTextResponse("too many viewers", 503, {"Retry-After": "10"})
        if len(topic) > 512 or await self._render(topic) is None:
            return PlainTextResponse("no such page", 404)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self.hub.stream(topic), media_type="text/event-stream", headers=headers)

    async def _missing(self, request: Request, _error: Exception) -> Response:
        return self._not_found(str(request.url.path))

    def _not_found(self, path: str) -> Response:
        html = self._paper.write("missing", {"path": path}, "/", self._as_of())
        return HTMLResponse(html, 404)


def _match(pattern: str, path: str) -> dict[str, str] | None:
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    if len(wanted) != len(given):
        return None
    found = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            found[want.strip("{}")] = have
        elif want != have:
            return None
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} in a page's JSON")


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("alive")
