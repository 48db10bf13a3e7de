"""Asks who looks at the page, where it is not this machine's own: a token, once, for a session in a cookie.

The page changes nothing, so that a forged request could at most sign somebody in or out; both ask where the request comes from
(Sec-Fetch-Site, else Origin), and the cookie is sent to nobody else's page (SameSite=Strict), read by no script (HttpOnly).
Sessions live in memory: a restart ends them. Whether the token is still good is asked with each request, so that revoking it ends them too.

Source: RFC 6265bis; RFC 6750; Fetch Metadata Request Headers.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from office_ingest.govern.acts import PAGE
from office_ingest.govern.people import People
from office_ingest.govern.tokens import Token, TokenRefused, holder, of_identity
from office_ingest.permissions import Permission, lacks
from office_ingest.show.reading_room import ReadingRoom

COOKIE = "outstation"
PROBLEM = "application/problem+json"
SESSION_MS = 12 * 3_600_000
SESSIONS_MAX = 1000
_FORM_BYTES_MAX = 4096
# What is shown to anybody: no reading, no name.
OPEN_PATHS = ("/healthz", "/login", "/logout")
_OPEN_FOLDER = "/static/"

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]


class Ended(Exception):
    """The session of a stream ended. Nobody must act: the browser asks again and is shown the login."""


class Login:
    """Who is signed in. needs(path): the permissions of an address, () for one that declares none."""

    def __init__(
        self,
        room: ReadingRoom,
        people: People,
        worker: Executor,
        *,
        wall_ms: Callable[[], int],
        needs: Callable[[str], tuple[Permission, ...]],
        is_secure: bool,
    ):
        self._room = room
        self._people = people
        self._worker = worker
        self._wall_ms = wall_ms
        self._needs = needs
        self._is_secure = is_secure
        self._sessions: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self.write: Callable[[str, dict[str, Any]], str] = lambda page, shown: ""

    async def refusal(self, scope: Scope) -> Response | None:
        """Return the answer to who may not see an address, or None."""
        if scope["path"] in OPEN_PATHS or scope["path"].startswith(_OPEN_FOLDER):
            return None
        headers = Headers(scope=scope)
        try:
            token = await self._token(headers)
        except TokenRefused as error:
            return self._ask(headers, str(error))
        permissions = self._needs(scope["path"])
        missing = lacks(token.role, permissions)
        if missing is not None:
            self._worker.submit(self._people.refuse, token.person(), missing, PAGE)
        if missing is None and permissions and token.sites == "[]":
            self._worker.submit(self._people.note_use, token)
            return None
        return problem(403, "Not permitted", _why(token, missing, permissions))

    async def _token(self, headers: Headers) -> Token:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._room.run(self._holder, shown.strip())
        session = self._sessions.get(_session_hash(headers))
        if session is None or session[1] <= self._wall_ms():
            raise TokenRefused("sign in with a token")
        return await self._room.run(self._of_identity, session[0])

    def _holder(self, shown: str) -> Token:
        return holder(self._room.connection, shown, self._wall_ms())

    def _of_identity(self, identity: str) -> Token:
        return of_identity(self._room.connection, identity, self._wall_ms())

    def _ask(self, headers: Headers, why: str) -> Response:
        if "text/html" in headers.get("accept", "") and "authorization" not in headers:
            return RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
        return problem(401, "No token", why, {"WWW-Authenticate": "Bearer"})

    async def login(self, request: Request) -> Response:
        """Answer GET and POST /login: the form, and what is sent with it."""
        if request.method != "POST":
            return self._form("", 200)
        if not is_own(request):
            return problem(403, "Not permitted", "this form was not sent by the page itself")
        shown = await _sent_token(request)
        try:
            token = await self._room.run(self._holder, shown)
        except TokenRefused as error:
            return self._form(str(error), 401)
        if token.sites != "[]":
            return self._form("this token is limited to sites, and the page shows all of them", 403)
        answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE, self._begin(token), secure=self._is_secure, httponly=True, samesite="strict"
        )
        return answer

    def _begin(self, token: Token) -> str:
        shown = secrets.token_urlsafe(32)
        until = min(self._wall_ms() + SESSION_MS, token.expires_ms)
        self._sessions[hashlib.sha256(shown.encode()).digest()] = token.id, until
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return shown

    async def logout(self, request: Request) -> Response:
        """Answer POST /logout: the session ends."""
        if not is_own(request):
            return problem(403, "Not permitted", "this form was not sent by the page itself")
        self._sessions.pop(_session_hash(request.headers), None)
        answer = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, secure=self._is_secure, httponly=True, samesite="strict")
        return answer

    def _form(self, why: str, status: int) -> Response:
        return HTMLResponse(self.write("login", {"why": why}), status, {"Cache-Control": "no-store"})


class Asking:
    """An ASGI middleware that lets nobody in whom the login does not know. A stream ends when its session does."""

    def __init__(self, app: Callable[..., Awaitable[None]], login: Login):
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = await self._login.refusal(scope)
        if refused is not None:
            return await refused(scope, receive, send)

        async def asked(message: Any) -> None:
            is_later = message["type"] == "http.response.body" and message.get("more_body")
            if is_later and await self._login.refusal(scope) is not None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise Ended
            await send(message)

        try:
            await self._app(scope, receive, asked)
        except* Ended:
            pass


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal as RFC 9457 has it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, PROBLEM)


def is_own(request: Request) -> bool:
    """Return whether a form was sent by the page itself. A browser says so; what says nothing is no browser, and has no cookie of it."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


def _why(token: Token, missing: Permission | None, permissions: tuple[Permission, ...]) -> str:
    if missing is not None:
        return f"{token.person().name} has the role {token.role}, which may not {missing.words()}"
    if not permissions:
        return "this address declares no permission, so it answers nobody"
    return "this token is limited to sites, and the page shows all of them"


async def _sent_token(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES_MAX:
            return ""
    return parse_qs(body.decode("ascii", "replace")).get("token", [""])[0].strip()


def _session_hash(headers: Headers) -> bytes:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return b""
    shown = cookies[COOKIE].value if COOKIE in cookies else ""
    return hashlib.sha256(shown.encode()).digest()
