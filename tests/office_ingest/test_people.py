"""What a token lets its holder ask over HTTP: every route for every role, and when it lets nobody."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.routing import APIRoute

from office_ingest.govern.acts import REFUSED, acts_overview
from office_ingest.govern.people import People
from office_ingest.govern.rollout import Rollouts
from office_ingest.govern.tokens import DAY_MS, Tokens
from office_ingest.overview import devices_overview
from office_ingest.permissions import DECLARES, GATEWAY, OPEN, ROLES, Permission
from office_ingest.receive.api import build_api, limited_to_sites
from office_ingest.show.asked import add_asked
from protocol.enrolment import AUTHORITIES_PATH, ENROLMENTS_PATH
from tests.office_ingest.test_permissions import MAY
from tests.support.device_model import DeviceModel
from tests.support.identity_desk import IdentityDesk
from tests.support.office_desk import TOKEN

# FastAPI's own document, which says what may be asked and nothing else.
DOCUMENT = "/v1/openapi.json"
OPEN_PATHS = {"/healthz", "/readyz", AUTHORITIES_PATH, ENROLMENTS_PATH}


class Asked:
    """The office's HTTP interface, as app.py wires it, and tokens for it."""

    def __init__(self, desk):
        self.desk = desk
        self.worker = ThreadPoolExecutor(1)
        self.people = People(desk.store, desk.wall_ms)
        self.identity = IdentityDesk(desk)
        rollouts = Rollouts(desk.store)
        self.api = build_api(
            take=desk.ingest.take,
            identities=self.identity.identities(),
            release_for=rollouts.release_for,
            part_for=rollouts.part_for,
            devices=lambda gateway: devices_overview(desk.store.connection, gateway=gateway),
            is_ready=lambda: True,
            worker=self.worker,
            enter=self.people.enter,
        )
        add_asked(self.api, desk.store.connection, self.in_worker, desk.wall_ms, limited_to_sites)

    async def in_worker(self, call, *arguments):
        """Run in the one thread."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, call, *arguments)

    def token(self, role, sites=(), days=1):
        """Return a new token and what is kept of it."""
        return Tokens(self.desk.store).create(
            label=role, role=role, sites=list(sites), made_by="a", now_ms=self.desk.now_ms, days=days
        )

    def ask(self, path, token=None, method="GET"):
        """Return the answer."""

        async def request():
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            transport = httpx.ASGITransport(self.api)
            async with httpx.AsyncClient(transport=transport, base_url="https://office") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(request())

    def routes(self):
        """Return (method, path, what it declares) of every route."""
        found = []
        for route in self.api.routes:
            if route.path == DOCUMENT:
                continue
            assert isinstance(route, APIRoute), route.path
            path = route.path.replace("{number}", "1").replace("{digest}", "00" * 32)
            found += [(method, path, (route.openapi_extra or {}).get(DECLARES)) for method in route.methods]
        return found


def make_asked(desk):
    """Return an office with a device each at two sites."""
    for n, site in ((1, "north"), (2, "south")):
        device = DeviceModel(n)
        desk.registry.add_device(device.device, name=site, site=site, now_ms=1)
        desk.store.add_finding(device.device, "silence", "", f"{site} is silent", 1)
    return Asked(desk)


@pytest.fixture
def asked(desk):
    """An office that can be asked over HTTP."""
    made = make_asked(desk)
    yield made
    made.worker.shutdown()


def check_problem(answer, status):
    """An answer is a problem of RFC 9457, and says how to be let in."""
    assert status == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]
    assert status == answer.json()["status"] and answer.json()["title"] and answer.json()["detail"]


def test_every_route_declares_what_it_needs(asked):
    """A route names its permissions, or says that it is a gateway's, or open; one that says nothing fails here, by its path."""
    silent = [path for _, path, said in asked.routes() if not said]

    assert [] == silent
    assert OPEN_PATHS == {path for _, path, said in asked.routes() if said == OPEN}
    assert len(asked.routes()) >= 10


def test_a_route_that_declares_nothing_answers_nobody(asked):
    """Forgetting it is no way in, not even for an admin."""

    @asked.api.get("/v1/forgotten")
    async def forgotten():
        return {"secret": 1}

    answer = asked.ask("/v1/forgotten", asked.token("admin")[0])

    check_problem(answer, 403)
    assert "declares no permission" in answer.json()["detail"]


@pytest.mark.proves("S47")
def test_no_route_answers_without_a_token(asked):
    """All but the open ones say 401 and how to ask: with no token, one that nobody gave, or an admin's with another secret."""
    _, made = asked.token("admin")
    for method, path, said in asked.routes():
        for token in (None, "", "wrong", f"ot_{made.id}_wrong", "ot_00000000_wrong", f"ot_{'0' * 200}"):
            answer = asked.ask(path, token, method)
            if path == ENROLMENTS_PATH:
                # Nobody has an identity before; what opens it is a code, in a body that is not here.
                assert answer.status_code in (400, 429)
            elif said == OPEN:
                assert 200 == answer.status_code
            else:
                check_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer"), path


@pytest.mark.proves("S47")
@pytest.mark.parametrize("role", ROLES)
def test_every_route_for_every_role(asked, role):
    """Whoever has the permission is answered; whoever lacks it is told which; nobody's token is a gateway's."""
    token, _ = asked.token(role)
    for method, path, said in asked.routes():
        answer = asked.ask(path, token, method)
        if said == OPEN:
            continue
        if said == GATEWAY:
            check_problem(answer, 401)
            continue
        lacking = [
            one for one in (Permission(*each).words() for each in said) if role not in MAY[one].split()
        ]
        assert (403 if lacking else 200) == answer.status_code, path
        if lacking:
            check_problem(answer, 403)
            assert f"may not {lacking[0]}" in answer.json()["detail"]
            assert f'scope="{lacking[0]}"' in answer.headers["www-authenticate"]


def test_a_gateways_token_opens_no_route_for_people(asked):
    """A gateway carries segments; it asks nothing of the office as a person does."""
    for method, path, said in asked.routes():
        if said not in (OPEN, GATEWAY):
            check_problem(asked.ask(path, TOKEN, method), 401)


def test_a_token_is_good_until_its_last_millisecond(asked):
    """From the moment of its end on it lets nobody in, and says so to who has it."""
    token, made = asked.token("viewer")
    asked.desk.now_ms = made.expires_ms - 3
    before = asked.ask("/v1/office/devices", token)
    asked.desk.now_ms = made.expires_ms
    after = asked.ask("/v1/office/devices", token)

    assert (200, made.made_ms + DAY_MS) == (before.status_code, made.expires_ms)
    check_problem(after, 401)
    assert "expired" in after.json()["detail"] and "invalid_token" in after.headers["www-authenticate"]


def test_a_revoked_token_is_useless_at_once(asked):
    """The next request is refused."""
    token, made = asked.token("admin")
    assert 200 == asked.ask("/v1/office/acts", token).status_code
    Tokens(asked.desk.store).revoke(made.id, asked.desk.now_ms)

    check_problem(asked.ask("/v1/office/acts", token), 401)


@pytest.mark.parametrize("change", [{"role": "admin"}, {"expires_ms": 1 << 50}, {"sites": "[]"}])
def test_a_row_that_was_changed_lets_nobody_in(asked, change):
    """A role that was widened in the file behind the office's back is no role."""
    token, made = asked.token("viewer", ["north"])
    ((name, value),) = change.items()
    asked.desk.store.connection.execute(f"UPDATE tokens SET {name} = ? WHERE id = ?", (value, made.id))

    check_problem(asked.ask("/v1/office/devices", token), 401)


def test_only_the_hash_is_kept(asked):
    """Neither the database nor its log holds the token or its random part."""
    token, _ = asked.token("viewer")
    asked.ask("/v1/office/devices", token)
    written = b"".join(file.read_bytes() for file in asked.desk.folder.glob("office.db*"))

    assert token.encode() not in written
    assert token.split("_", 2)[2].encode() not in written


def test_a_token_of_one_site_sees_that_site_alone(asked):
    """Devices and findings of others are not there; what belongs to no site is refused."""
    token, _ = asked.token("admin", ["north"])
    devices = asked.ask("/v1/office/devices", token).json()["devices"]
    findings = asked.ask("/v1/office/findings", token).json()["findings"]

    assert (["north"], ["north is silent"]) == (
        *([row["site"] for row in devices], [row["text"] for row in findings]),
    )
    for path in ("/v1/office/acts", "/v1/office/tokens"):
        check_problem(asked.ask(path, token), 403)


def test_use_is_kept_and_refusals_are_written_down_once_a_minute(asked):
    """Whoever is refused again and again cannot fill the disk."""
    token, made = asked.token("viewer")
    for _ in range(5):
        asked.ask("/v1/office/acts", token)
        asked.ask("/v1/office/devices", token)
        asked.ask("/v1/office/devices", "wrong")
    rows = acts_overview(asked.desk.store.connection, 100)
    used = asked.desk.rows("tokens", "used_ms")

    assert {("read", "acts", REFUSED), ("read", "devices", REFUSED)} == {
        (row["verb"], row["resource"], row["outcome"]) for row in rows
    }
    assert (2, True) == (len(rows), used[0][0] >= made.made_ms)
