"""What the viewers of a live page are told: what changed, once, each at his own pace, whatever goes wrong meanwhile."""

import asyncio
import json

import pytest

from office_ingest.show import live
from office_ingest.show.live import Hub, live_parts
from tests.office_ingest.show.conftest import NOW_MS, wall_ms
from tools.page_fleet import beat

_TOPIC = "/page"


class Story:
    """A page whose parts and rest a test changes; a turn is one look that finds a change. wrong: what fails in it."""

    def __init__(self):
        self.parts = {"a": "1", "b": "1"}
        self.rest = ""
        self.kind = "good"
        self.wrong = None
        self._is_due = False
        self.hub = Hub(self._render, self._changed, lambda: "00:00:00")

    async def _render(self, topic):
        if self.wrong == "render":
            raise ValueError("a page that cannot be written")
        cells = "".join(
            f'<td data-live id="{name}" class="{self.kind}">{inner}</td>'
            for name, inner in self.parts.items()
        )
        return f"<table><tr>{cells}</tr></table>{self.rest}"

    async def _changed(self):
        is_due, self._is_due = self._is_due, False
        if is_due and self.wrong == "look":
            raise OSError("a database that cannot be read")
        return is_due

    async def turn(self, **parts):
        """Change parts and let the hub look, and tell."""
        self.parts.update(parts)
        self._is_due = True
        for _ in range(10):
            await asyncio.sleep(0)


class Viewer:
    """Reads a stream, or stalls."""

    def __init__(self, hub, topic=_TOPIC):
        self._stream = hub.stream(topic)

    async def open(self):
        """Begin to view and pass over the first word."""
        assert json.loads((await anext(self._stream)).split("data: ")[1])["again"]
        return self

    async def read(self):
        """Return the next message."""
        return json.loads((await asyncio.wait_for(anext(self._stream), 5)).removeprefix("data: "))

    async def leave(self):
        """Go away."""
        await self._stream.aclose()


def _tell(story):
    """Run a story with a hub that looks at every turn of the loop."""

    async def run():
        told = Story()
        task = asyncio.create_task(told.hub.run())
        try:
            await story(told)
        finally:
            task.cancel()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Looks follow each other as fast as the loop turns."""
    monkeypatch.setattr(live, "LOOK_EVERY_S", 0)


def test_viewer_is_told_what_changed_and_no_more():
    """One part of two."""

    async def story(told):
        viewer = await Viewer(told.hub).open()
        await told.turn(b="2")
        assert {"b": "2"} == (await viewer.read())["parts"]

    _tell(story)


@pytest.mark.parametrize("change", ["row", "text", "class"])
def test_viewer_fetches_the_page_again_where_anything_else_of_it_changed(change):
    """A row that came has parts that his page has no place for; a heading is no part at all, nor is a live element's own tag."""

    async def story(told):
        viewer = await Viewer(told.hub).open()
        told.rest = "<h2>Findings</h2>" if change == "text" else ""
        told.kind = "bad" if change == "class" else told.kind
        await told.turn(**({"c": "1"} if change == "row" else {}))
        assert {"as_of": "00:00:00", "again": True} == await viewer.read()

    _tell(story)


@pytest.mark.parametrize("wrong", ["look", "render"])
def test_what_fails_is_said_and_tried_again(wrong, caplog):
    """One page that cannot be written, or a database that is busy, ends nobody's stream."""
    go_on_after(wrong)

    assert {"look": "tries again", "render": "cannot be shown"}[wrong] in caplog.text


def go_on_after(wrong):
    """Let a look go wrong; the next must reach the viewer."""

    async def story(told):
        viewer = await Viewer(told.hub).open()
        told.wrong = wrong
        await told.turn()
        told.wrong = None
        await told.turn(a="3")
        assert {"a": "3"} == (await viewer.read())["parts"]

    _tell(story)


def test_viewer_who_stalls_holds_nobody_up():
    """What waited for him is gone and he is told to fetch the page; who keeps up gets every part of it."""

    async def story(told):
        slow = await Viewer(told.hub).open()
        quick = await Viewer(told.hub).open()
        for value in range(12):
            await told.turn(a=f"x{value}")
            assert {"a": f"x{value}"} == (await quick.read())["parts"]
        assert "again" in (await slow.read())

    _tell(story)


def test_nothing_is_kept_of_a_page_that_nobody_views():
    """A render that runs while its last viewer leaves brings nothing back."""

    async def story(told):
        viewer = await Viewer(told.hub).open()
        await told.turn()
        await viewer.leave()
        await told.turn(a="9")
        assert ({}, 0) == (told.hub._topics, told.hub.viewers)

    _tell(story)


def test_mere_heartbeats_cost_a_viewer_some_bytes_and_no_page(own_page):
    """On the real pages: what differs after a heartbeat lies in live parts only."""
    device = own_page.fleet.live[0].device.hex()
    for topic in ("/", f"/devices/{device}", "/findings", f"/releases/{own_page.fleet.release}"):
        before = _rendered(own_page, topic)
        beat(own_page.fleet, wall_ms, NOW_MS % 1000 + 2 + len(topic))
        now = _rendered(own_page, topic)
        assert before.rest == now.rest, topic
        assert (
            len(
                json.dumps(
                    {name: now.parts[name] for name in now.parts if now.parts[name] != before.parts[name]}
                )
            )
            < 2_000
        )


def _rendered(page, topic):
    page.look()
    return live._rendering(asyncio.run(page.site._render(topic)))


def test_live_part_holds_tags_of_other_names():
    """A table's body is one part; what is no part is not taken."""
    html = '<tbody data-live id="t"><tr><td id="x">1</td></tr></tbody><p id="q">2</p>'

    assert {"t": '<tr><td id="x">1</td></tr>'} == live_parts(html)
