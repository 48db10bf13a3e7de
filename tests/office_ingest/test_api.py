"""What a gateway meets over HTTP: its token, its limits, problem details, CBOR both ways."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from office_ingest.errors import StoreUnavailable
from office_ingest.govern.rollout import Rollouts
from office_ingest.govern.shelf import Shelf
from office_ingest.overview import devices_overview
from office_ingest.receive.api import REQUEST_BYTES_MAX, build_api
from office_ingest.receive.peer import _CERTIFICATE, EXTENSION
from protocol.cbor import dumps
from protocol.manifest import DEVICES, parse_release
from protocol.uplink import LINKS_HEADER, encode_request, parse_uplink_answer
from tests.office_ingest.test_takings import digest_of, make_fleet, newer, publish
from tests.support.device_model import DeviceModel
from tests.support.identity_desk import IdentityDesk
from tests.support.office_desk import TOKEN

CBOR = {"Content-Type": "application/cbor", "Authorization": f"Bearer {TOKEN}"}


@contextlib.contextmanager
def calling(desk, count=lambda gateway, rows, life: None, witness=lambda gateway, seen, shown: ([], [])):
    """Give what sends one request to the office's API: call(method, path, content, headers). certified: by a gateway with a certificate."""
    worker = ThreadPoolExecutor(1)
    identity = IdentityDesk(desk)
    rollouts = Rollouts(desk.store)

    def make(take, links_for, heard):
        return build_api(
            take=take,
            identities=identity.identities(),
            release_for=rollouts.release_for,
            part_for=rollouts.part_for,
            devices=lambda gateway: devices_overview(desk.store.connection, gateway=gateway),
            is_ready=lambda: True,
            worker=worker,
            enter=lambda token, permissions: None,
            links_for=links_for,
            heard=heard,
            count=count,
            witness=witness,
        )

    def certify(api):
        peer = {EXTENSION: {_CERTIFICATE: identity.enrolled()}}
        return lambda scope, receive, reply: api({**scope, "extensions": peer}, receive, reply)

    async def send(api, method, path, content, headers):
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="https://office") as client:
            return await client.request(method, path, content=content, headers=headers)

    def call(
        method,
        path,
        content=b"",
        headers=CBOR,
        take=desk.ingest.take,
        links_for=lambda gateway, held: None,
        heard=lambda gateway, announced: [],
        certified=False,
    ):
        import asyncio

        api = make(take, links_for, heard)
        return asyncio.run(send(certify(api) if certified else api, method, path, content, headers))

    yield call
    worker.shutdown()
    identity.close()


@pytest.fixture
def call(desk):
    """Send one request to the office's API: call(method, path, content, headers)."""
    with calling(desk) as send:
        yield send


def _check_problem(response, status):
    assert status == response.status_code
    assert "application/problem+json" == response.headers["content-type"]
    assert status == response.json()["status"]
    assert response.json()["title"]


def test_uplink_is_answered_in_cbor(desk, call):
    """Segments and heartbeats go in, outcomes and receipts come out."""
    device = DeviceModel()
    desk.add(device)
    response = call("POST", "/v1/uplink", encode_request([device.seal(0)], [device.heartbeat()]))
    answer = parse_uplink_answer(response.content)

    assert (200, "application/cbor") == (response.status_code, response.headers["content-type"])
    assert ([0], [8], 1, 1) == (
        *(answer.outcomes, answer.heartbeat_outcomes, len(answer.receipts), len(answer.time_tokens)),
    )
    assert [("gw-1",)] == desk.rows("segments", "gateway")


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic " + TOKEN, "Bearer", "Bearer é"])
def test_unknown_token_is_refused_before_the_body_is_read(call, authorization):
    """Without a gateway's token nothing is taken."""
    headers = {"Content-Type": "application/cbor", "Authorization": authorization.encode("latin-1")}
    response = call("POST", "/v1/uplink", b"\xff" * 10, headers)

    _check_problem(response, 401)
    assert "Bearer" == response.headers["www-authenticate"]


@pytest.mark.parametrize("body", [b"", b"\xff", dumps([]), dumps({0: []}), dumps({0: [b""], 1: []})])
def test_malformed_body_is_a_problem(call, body):
    """What is not an uplink request is said to be malformed."""
    _check_problem(call("POST", "/v1/uplink", body), 400)


@pytest.mark.parametrize(
    "body", [bytes(REQUEST_BYTES_MAX + 1), dumps({0: [b"x"] * 513, 1: []}), dumps({0: [bytes(513)], 1: []})]
)
def test_too_large_is_a_problem(call, body):
    """Too many bytes, too many segments, and a segment that is too large are said to be so."""
    _check_problem(call("POST", "/v1/uplink", body), 413)


def test_body_without_a_length_is_bounded_too(call):
    """A body that comes in pieces is not read beyond the limit."""

    async def pieces():
        for _ in range(64):
            yield bytes(REQUEST_BYTES_MAX // 32)

    _check_problem(call("POST", "/v1/uplink", pieces()), 413)


def test_largest_request_fits(desk, call):
    """The limit on bytes leaves room for the fullest request."""
    body = dumps({0: [bytes(512)] * 512, 1: [bytes(400)] * 256})

    assert len(body) <= REQUEST_BYTES_MAX
    assert 200 == call("POST", "/v1/uplink", body).status_code


def test_other_content_is_refused(call):
    """Only CBOR is an uplink."""
    _check_problem(call("POST", "/v1/uplink", b"{}", {**CBOR, "Content-Type": "application/json"}), 415)


def test_store_that_fails_asks_to_come_back(call):
    """When the disk does not take it, the gateway is asked to try again."""

    def full(*_of):
        raise StoreUnavailable("the disk is full")

    response = call("POST", "/v1/uplink", encode_request([], []), take=full)

    _check_problem(response, 503)
    assert int(response.headers["retry-after"]) > 0


def test_unknown_path_is_a_problem(call):
    """Every error has the one shape."""
    _check_problem(call("GET", "/v2/uplink"), 404)


def test_devices_are_listed_for_gateways_only(desk, call):
    """The list of devices needs a token."""
    device = DeviceModel()
    desk.add(device, "pump")
    desk.take(device.seal(0))

    _check_problem(call("GET", "/v1/devices", headers={}), 401)
    (row,) = call("GET", "/v1/devices").json()["devices"]
    assert ("pump", 1, [{"lane": "critical", "epoch": 0, "held": 0, "receipted": 0, "head": None}]) == (
        *(row["name"], row["segments"], row["lanes"]),
    )


def test_gateway_sees_the_devices_of_its_own_site_only(desk, call):
    """A token says nothing about another site: neither which devices are there, nor what they did."""
    ours, theirs = DeviceModel(1), DeviceModel(2)
    desk.add(ours, "pump")
    desk.registry.add_device(theirs.device, name="vault", site="site-2", now_ms=1)
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-2", token="another token, of site 2", now_ms=1)
    seen = [
        [row["name"] for row in call("GET", "/v1/devices", headers=headers).json()["devices"]]
        for headers in (CBOR, {"Authorization": "Bearer another token, of site 2"})
    ]

    assert [["pump"], ["vault"]] == seen


@pytest.mark.parametrize("path", ["releases/1", "releases/abc", "parts/" + "0" * 64, "parts/xyz"])
def test_releases_and_parts_need_a_token(call, path):
    """Who shows no token learns not even whether the path is well formed."""
    _check_problem(call("GET", f"/v1/{path}", headers={}), 401)


@pytest.mark.parametrize(
    "path",
    [
        *("releases/abc", "releases/-1", "releases/7", "releases/4294967296", "releases/" + "9" * 5000),
        *(
            "releases/%D9%A3",
            "releases/1e3",
            "parts/xyz",
            "parts/",
            "parts/" + "0" * 64,
            "parts/" + "0" * 5000,
        ),
    ],
)
def test_release_or_part_that_is_not_there_is_a_problem(call, path):
    """However the path is written, a gateway reads one shape of error."""
    _check_problem(call("GET", f"/v1/{path}"), 404)


def test_release_and_part_go_to_the_site_that_they_are_for(desk, call):
    """The bytes come as they were signed; another site's token gets what a number that is not there gets."""
    first, _ = make_fleet(desk)
    number = publish(desk, newer(2), (DEVICES, [first.device]))
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-2", token="another token, of site 2", now_ms=1)
    paths = (f"/v1/releases/{number}", f"/v1/parts/{digest_of(newer(2)).hex()}")
    release, part = (call("GET", path) for path in paths)

    assert ("application/cbor", Shelf(desk.store).get(number).manifest.number) == (
        release.headers["content-type"],
        parse_release(release.content).manifest.number,
    )
    assert ("application/octet-stream", newer(2)) == (part.headers["content-type"], part.content)
    for path in paths:
        _check_problem(call("GET", path, headers={"Authorization": "Bearer another token, of site 2"}), 404)


def test_health_and_openapi_are_open(call):
    """Probes and the interface description need no token, and no page that loads scripts is served."""
    assert {"status": "alive"} == call("GET", "/healthz", headers={}).json()
    assert {"status": "ready"} == call("GET", "/readyz", headers={}).json()
    assert "/v1/uplink" in call("GET", "/v1/openapi.json", headers={}).json()["paths"]
    _check_problem(call("GET", "/docs", headers={}), 404)


def check_token_opens_no_links(call):
    """Ask for links with a token, and look whether any came, or were even looked up."""
    asked = []

    def links_for(*about):
        asked.append(about)
        return bytes(8), None, [(bytes(8), b"k", bytes(16))], []

    headers = {**CBOR, LINKS_HEADER: ""}
    response = call("POST", "/v1/uplink", encode_request([], []), headers=headers, links_for=links_for)

    assert (200, None, []) == (response.status_code, parse_uplink_answer(response.content).links, asked)


def test_a_token_opens_no_links(call):
    """A token is a text that can be copied: link secrets go to the key of a certificate alone."""
    check_token_opens_no_links(call)
