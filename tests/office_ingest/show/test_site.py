"""The page as HTTP: it reads only, for this machine only, under a strict policy, and counts what is sealed."""

import asyncio
import hashlib

import httpx
import pytest

from office_ingest.errors import StoreUnavailable
from office_ingest.show.guarding import POLICY
from office_ingest.show.service import is_loopback
from office_ingest.show.site import Site
from office_ingest.storage.downward import Adoption, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, STAGED, TRIAL
from tests.office_ingest.show.conftest import NOW_MS, wall_ms
from tools.demo_rules import demo_bundle
from tools.page_fleet import SCHEMA, beat

PATHS = ("/", "/findings", "/releases", "/releases/1", "/docs", "/nothing", "/static/page.css", "/healthz")


def next_rules():
    """Return version and digest of the rules that are rolled out."""
    body = demo_bundle(version=2, schema=hashlib.sha256(SCHEMA).digest()[:8])
    return 2, hashlib.sha256(body).digest()


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_policy(page, path):
    """Whatever is asked, error pages and files included: nothing inline, nothing from elsewhere, no frame, no guessing of types."""
    headers = page.get(path).headers

    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY and "http" not in POLICY and "default-src 'none'" in POLICY
    assert ("nosniff", "no-referrer") == (headers["x-content-type-options"], headers["referrer-policy"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
def test_a_name_that_is_not_this_machine_gets_nothing(page, host):
    """A page elsewhere that lets its own name point here cannot read ours: the Host header says another name."""
    answer = page.get("/", headers={"Host": host})

    assert (400, POLICY) == (answer.status_code, answer.headers["content-security-policy"])
    assert "pump" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/findings", "/releases/1", "/live"])
def test_nothing_can_be_changed(page, method, path):
    """No address takes anything but a question."""
    assert 405 == page.ask(method, path).status_code


def test_the_page_cannot_write_to_the_database(page):
    """Even code behind the page that tried to write would be refused by the database."""

    def write():
        with page.room.store().transaction():
            page.room.store().put_device(b"12345678", "new", "site", 1)

    with pytest.raises(StoreUnavailable):
        page.room._worker.submit(write).result()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "office.example"])
def test_an_address_that_others_reach_is_not_this_machines_own(host):
    """Only where nobody else can come from is nobody asked who he is."""
    assert not is_loopback(host)
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")


def test_what_people_wrote_is_never_markup(own_page):
    """A name with markup in it is shown as it was written."""
    store = SqliteStore.open(own_page.fleet.config.parent / "office.db")
    with store.transaction():
        store.put_device(b"\x00evilone", "<img src=x onerror=alert(1)>", "<b>site</b>", 1)
    store.close()
    own_page.look()
    text = own_page.get("/", params={"q": "<img"}).text

    assert "<img" not in text and "<b>site" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


@pytest.mark.parametrize(
    "path",
    [
        *("/devices/zz", "/devices/00", "/devices/0011223344556677", "/devices/0011223344556677/5"),
        *("/releases/0", "/releases/99999999999999999999", "/releases/x", "/devices/%00/1"),
        "/?page=-1&sort=nonsense&state=none&site=%ff",
    ],
)
def test_strange_addresses_are_answered_in_order(page, path):
    """What nobody linked to is not found, or shown as an empty list; never a fault."""
    assert page.get(path).status_code in (200, 404)


@pytest.mark.parametrize("topic", ["//[", "/devices/%00", "/nothing", "/devices", "x" * 600])
def test_topic_that_is_no_page_has_no_stream(page, topic):
    """It is answered so, never by a fault."""
    assert 404 == page.get("/live", params={"topic": topic}).status_code


@pytest.mark.parametrize("topic", ["", "?", "/?" + "&" * 300, "/?q=%ff&page=x"])
def test_strange_topic_of_a_page_is_that_page(page, topic):
    """What its query does not know of is left out, as in an address."""
    assert asyncio.run(page.site._render(topic)) is not None


@pytest.mark.parametrize(("host", "name"), [("127.0.0.2", "127.0.0.2:8080"), ("::1", "[::1]:8080")])
def test_page_answers_to_the_address_it_listens_on(page, host, name):
    """Any loopback address may be set; the page answers to the one that it prints."""
    site = Site(page.room, name="test", host=host, api=dict, wall_ms=lambda: NOW_MS)

    async def ask():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(site.app), base_url=f"http://{name}"
        ) as client:
            return await client.get("/healthz")

    assert 200 == asyncio.run(ask()).status_code


def _release(page):
    return page.json(f"/releases/{page.fleet.release}")


def test_rollout_page_counts_only_sealed_heartbeats(own_page):
    """A device that says it staged, tried and confirmed a release does not count until its sealed heartbeat names the rules."""
    device = own_page.fleet.live[0].device
    before = _release(own_page)["running"]
    store = SqliteStore.open(own_page.fleet.config.parent / "office.db")
    with store.transaction():
        for at, step in enumerate((STAGED, TRIAL, CONFIRMED)):
            said = Adoption(0, 9_000 + at, 1, 1_000, own_page.fleet.release, step, bytes(32), 0, wall_ms())
            Downward(store).add_adoption(device, said)
    store.close()
    said = _release(own_page)
    row = next(row for row in said["rows"] if row["device"] == device.hex())
    beat(own_page.fleet, wall_ms, 2, runs=next_rules())
    after = _release(own_page)

    assert (before, False) == (said["running"], row["runs"])
    assert "its heartbeats name another bundle" in row["why"]
    assert before + 1 == after["running"]


def test_a_device_that_falls_back_is_no_longer_counted(own_page):
    """After it reported the new rules it reports the old ones: one heartbeat later it does not run the release any more."""
    beat(own_page.fleet, wall_ms, 2, runs=next_rules())
    before = _release(own_page)["running"]
    beat(own_page.fleet, wall_ms, 3)

    assert before - 1 == _release(own_page)["running"]
