"""Who may look at the page where others can reach it: a token once, a cookie that no script and no other page gets, over TLS."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from office_ingest.govern.people import People
from office_ingest.govern.tokens import Tokens
from office_ingest.permissions import ROLES
from office_ingest.show import login as login_module
from office_ingest.show.guarding import POLICY
from office_ingest.show.login import COOKIE, SESSION_MS, Login
from office_ingest.show.site import NEEDS, PAGES, Site, page_needs
from office_ingest.storage.sqlite import SqliteStore
from tests.office_ingest.show.conftest import Page

HTML = {"Accept": "text/html"}
OWN = {"Sec-Fetch-Site": "same-origin"}


class Guarded:
    """The page of an office as it is served where others reach it, and tokens of that office."""

    def __init__(self, page):
        self.page = page
        self.now_ms = 1_800_000_000_000
        database = page.fleet.config.parent / "office.db"
        # The office's own is used in its worker thread alone; this one is the command line's.
        self.store, self.offices = SqliteStore.open(database), SqliteStore.open(database)
        self.worker = ThreadPoolExecutor(1)
        self.login = Login(
            page.room,
            People(self.offices, self.wall_ms),
            self.worker,
            wall_ms=self.wall_ms,
            needs=page_needs,
            is_secure=True,
        )
        self.site = Site(
            page.room,
            name="secret name",
            host="127.0.0.1",
            api=lambda: {"openapi": "3.1.0", "paths": {}},
            wall_ms=self.wall_ms,
            login=self.login,
            names=("office.example",),
        )

    def wall_ms(self):
        """The clock that the test turns."""
        return self.now_ms

    def token(self, role="viewer", sites=(), days=1):
        """Return a new token and what is kept of it."""
        return Tokens(self.store).create(
            label=role, role=role, sites=list(sites), made_by="a", now_ms=self.now_ms, days=days
        )

    def ask(self, path, method="GET", cookie=None, **more):
        """Return the answer to a request; cookie: of a session."""

        async def request():
            transport = httpx.ASGITransport(self.site.app)
            headers = {**more.pop("headers", {}), **({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})}
            async with httpx.AsyncClient(transport=transport, base_url="https://office.example") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(request())

    def sign_in(self, token, **headers):
        """Return the answer to the form."""
        return self.ask("/login", "POST", data={"token": token}, headers={**OWN, **headers})

    def session(self, token):
        """Return the cookie of a new session."""
        return self.sign_in(token).cookies[COOKIE]

    def close(self):
        """Give the files back."""
        self.worker.shutdown()
        self.store.close()
        self.offices.close()


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    """A page of a few devices for all tests here: they make tokens, and change nothing else."""
    made = Page(tmp_path_factory.mktemp("login") / "office", devices=4)
    yield made
    made.room.close()


@pytest.fixture
def guarded(small_page):
    """A page that asks who looks at it."""
    made = Guarded(small_page)
    yield made
    made.close()


def addresses(guarded):
    """Return every address of the page's routes that is not open, with real parts in their places."""
    device = guarded.page.fleet.live[0].device.hex()
    parts = {"{device}": device, "{order}": "1", "{number}": "1"}
    paths = []
    for route in guarded.site.app.routes:
        path = route.path
        for name, value in parts.items():
            path = path.replace(name, value)
        if path not in login_module.OPEN_PATHS and not path.startswith("/static"):
            paths.append(path)
    return paths


def test_every_page_declares_what_it_needs():
    """A page names its permissions; one that names none answers nobody where the page asks."""
    assert {name for name, _ in PAGES.values()} | {"live"} == set(NEEDS)
    assert all(NEEDS.values())


@pytest.mark.proves("S47")
def test_no_page_without_a_token(guarded):
    """Not one address shows anything: a browser is led to the login, a machine told how to ask; the office's name is not said."""
    paths = addresses(guarded)
    for path in paths:
        browser, machine = guarded.ask(path, headers=HTML), guarded.ask(path)
        assert (303, "/login") == (browser.status_code, browser.headers["location"]), path
        assert (401, "application/problem+json") == (machine.status_code, machine.headers["content-type"])
        assert "Bearer" == machine.headers["www-authenticate"]
        assert POLICY == machine.headers["content-security-policy"]
    assert len(paths) >= len(PAGES) + 1
    assert 200 == guarded.ask("/healthz").status_code


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_read_every_page(guarded, role):
    """Whatever a role may do, it may look: by its token or by a session."""
    token, _ = guarded.token(role)
    cookie = guarded.session(token)
    for path in addresses(guarded):
        if path == "/live":
            continue
        with_token = guarded.ask(path, headers={"Authorization": f"Bearer {token}"})
        with_cookie = guarded.ask(path, cookie=cookie, headers=HTML)
        assert with_token.status_code == with_cookie.status_code and with_cookie.status_code in (200, 404)


def test_the_cookie_is_for_this_page_alone(guarded):
    """No script reads it, no other page's request carries it, nothing unencrypted; it is not the token."""
    token, _ = guarded.token()
    answer = guarded.sign_in(token)
    cookie = answer.headers["set-cookie"]

    assert (303, "/", "no-store") == (
        *(answer.status_code, answer.headers["location"], answer.headers["cache-control"]),
    )
    for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert word in cookie
    assert token not in cookie and token.split("_", 2)[2] not in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none", "Origin": "null"},
    ],
)
def test_another_pages_form_signs_nobody_in_or_out(guarded, headers):
    """A forged form is refused, whatever token it has."""
    token, _ = guarded.token()
    cookie = guarded.session(token)
    forged = guarded.sign_in(token, **headers)
    out = guarded.ask("/logout", "POST", cookie=cookie, headers=headers)

    assert (403, 403, False) == (forged.status_code, out.status_code, "set-cookie" in forged.headers)
    assert 200 == guarded.ask("/", cookie=cookie).status_code


@pytest.mark.parametrize("token", ["", "wrong", "ot_00000000_wrong", "x" * 5000, "\x00é"])
def test_a_wrong_token_signs_nobody_in(guarded, token):
    """The form says so, and sets nothing."""
    answer = guarded.sign_in(token)

    assert (401, False) == (answer.status_code, "set-cookie" in answer.headers)
    assert "Not signed in" in answer.text


def test_a_session_ends_with_its_token(guarded):
    """Revoked or expired, the next request is refused; so it is after the longest time of a session, and after signing out."""
    token, made = guarded.token(days=30)
    cookie, other = guarded.session(token), guarded.session(token)
    assert 303 == guarded.ask("/logout", "POST", cookie=other, headers=OWN).status_code
    assert (200, 401) == (
        guarded.ask("/", cookie=cookie).status_code,
        guarded.ask("/", cookie=other).status_code,
    )
    guarded.now_ms += SESSION_MS
    assert 401 == guarded.ask("/", cookie=cookie).status_code
    again = guarded.session(token)
    Tokens(guarded.store).revoke(made.id, guarded.now_ms)
    assert 401 == guarded.ask("/", cookie=again).status_code


def test_a_stream_ends_with_its_token(guarded):
    """Who watches a page sees nothing more once the token is revoked."""
    token, made = guarded.token()
    sent = []

    async def watch():
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/live",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + token.encode())],
        }

        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"before", "more_body": True})
            Tokens(guarded.store).revoke(made.id, guarded.now_ms)
            await send({"type": "http.response.body", "body": b"after", "more_body": True})

        async def send(message):
            sent.append(message)

        await login_module.Asking(app, guarded.login)(scope, None, send)

    asyncio.run(watch())

    assert [b"before", b""] == [message["body"] for message in sent if "body" in message]
    assert not sent[-1]["more_body"]


def test_a_token_of_one_site_does_not_open_the_page(guarded):
    """The page shows all sites: such a token asks over /v1/office instead."""
    token, _ = guarded.token("viewer", ["north"])

    assert 403 == guarded.sign_in(token).status_code
    assert 403 == guarded.ask("/", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_name_that_was_not_given_gets_nothing(guarded):
    """The names under [page] are served, and no other."""
    assert 200 == guarded.ask("/healthz").status_code
    assert 400 == guarded.ask("/healthz", headers={"Host": "evil.example"}).status_code
