"""An office with a small fleet, and its page in this process: no socket, no browser."""

import asyncio
import time

import httpx
import pytest

from office_ingest.show.reading_room import ReadingRoom
from office_ingest.show.site import Site
from tools.page_fleet import make_office

NOW_MS = 1_800_000_000_000
DEVICES = 120


class Page:
    """fleet: what is in the office; room: where the page reads."""

    def __init__(self, folder, devices=DEVICES):
        self.fleet = make_office(folder, devices=devices, now_ms=NOW_MS)
        self.room = ReadingRoom(folder / "office.db", folder / "keystore.db")
        self.site = Site(
            self.room,
            name="test",
            host="127.0.0.1",
            api=lambda: {"openapi": "3.1.0", "paths": {}},
            wall_ms=lambda: NOW_MS,
        )

    def ask(self, method, path, **more):
        """Return the answer to a request; more: as httpx takes it."""

        async def request():
            transport = httpx.ASGITransport(self.site.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(request())

    def get(self, path, **more):
        """Return the answer to a GET."""
        return self.ask("GET", path, **more)

    def json(self, path):
        """Return what a page shows of the database as it is now."""
        self.look()
        return self.get(path, params={"format": "json"}).json()

    def look(self):
        """See what has changed, as the page does once a second."""
        return self.room._worker.submit(self.room._look).result()


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """An office and its page, which tests only look at."""
    made = Page(tmp_path_factory.mktemp("show") / "office")
    yield made
    made.room.close()


@pytest.fixture
def own_page(tmp_path):
    """An office of this test's own, which it may change, and its page."""
    made = Page(tmp_path / "office")
    yield made
    made.room.close()


def wall_ms():
    """The real clock, for what is recorded while a test runs."""
    return time.time_ns() // 1_000_000
