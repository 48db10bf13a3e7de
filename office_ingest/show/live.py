"""Live pages: one look at the database a second for all viewers, and to each viewer only what changed of what he sees.

A topic is a page's address. Its elements that can change carry data-live and an id; a topic is rendered once after each change,
whoever watches it, and what differs from the rendering before is sent: some bytes a second, not the page. Where anything else of
the page differs, as when rows came or went, the viewer fetches the page's body once more.

A viewer who does not keep up loses what waited for him and is told to fetch the body; nothing is kept for him. What cannot be
looked at or rendered is said in the log and tried again; its viewers hear nothing meanwhile, and call their page stale.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

_log = logging.getLogger("office_ingest.show.live")

_LIVE = re.compile(r'(<(\w+)(?=[^>]*\bdata-live\b)[^>]*\bid="([^"]+)"[^>]*>)(.*?)</\2>', re.DOTALL)
_QUEUE_MAX = 4
VIEWERS_MAX = 1000
LOOK_EVERY_S = 1.0
# A viewer must hear something, or he calls the page stale: in seconds.
BEAT_EVERY_S = 2.0

Render = Callable[[str], Awaitable[str | None]]


def live_parts(html: str) -> dict[str, str]:
    """Return id -> inner HTML of every element that carries data-live. Such an element holds none of its own name."""
    return {found[2]: found[3] for found in _LIVE.findall(html)}


class _Rendering(NamedTuple):
    """A page as it was rendered. rest: hash of all that lies outside its live parts, the elements' own tags with it."""

    parts: dict[str, str]
    rest: int


def _rendering(html: str) -> _Rendering:
    return _Rendering(live_parts(html), hash(_LIVE.sub(r"\1", html)))


class Hub:
    """render(topic): the page's HTML less the time it was written, None for no page. changed(): whether anything may have changed since the last call."""

    def __init__(self, render: Render, changed: Callable[[], Awaitable[bool]], as_of: Callable[[], str]):
        self._render = render
        self._changed = changed
        self._as_of = as_of
        self._topics: dict[str, _Rendering] = {}
        self._viewers: dict[str, list[asyncio.Queue[str | None]]] = {}
        self.is_closed = False

    @property
    def viewers(self) -> int:
        """Return how many streams are open."""
        return sum(len(queues) for queues in self._viewers.values())

    async def run(self) -> None:
        """Look and tell, for ever; ends by being cancelled."""
        since_beat = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            since_beat += LOOK_EVERY_S
            try:
                has_changed = await self._changed()
            except Exception as error:  # noqa: BLE001 - a busy or damaged database must not end the page
                _log.error("the page cannot look at the database, and tries again: %s", error)
                continue
            if has_changed:
                for topic in list(self._viewers):
                    await self._tell(topic)
                since_beat = 0.0
            elif since_beat >= BEAT_EVERY_S:
                since_beat = 0.0
                self._send_all(self._message({}))

    async def _tell(self, topic: str) -> None:
        try:
            now = _rendering(await self._render(topic) or "")
        except Exception as error:  # noqa: BLE001 - one page that cannot be written must not end the others
            _log.error("%s cannot be shown: %s: %s", topic, type(error).__name__, error)
            return
        if topic not in self._viewers:
            # The last one left meanwhile.
            return
        before = self._topics.get(topic)
        self._topics[topic] = now
        if before is None or before.rest != now.rest:
            self._send(topic, self._message({"again": True}))
            return
        differs = {name: inner for name, inner in now.parts.items() if before.parts[name] != inner}
        self._send(topic, self._message({"parts": differs} if differs else {}))

    def _message(self, body: dict[str, Any]) -> str:
        return f"data: {json.dumps({'as_of': self._as_of(), **body}, separators=(',', ':'))}\n\n"

    def _send_all(self, message: str) -> None:
        for topic in self._viewers:
            self._send(topic, message)

    def _send(self, topic: str, message: str) -> None:
        for queue in self._viewers.get(topic, ()):
            is_full = queue.full()
            while is_full and not queue.empty():
                queue.get_nowait()
            queue.put_nowait(self._message({"again": True}) if is_full else message)

    async def stream(self, topic: str) -> AsyncIterator[str]:
        """Give a viewer's messages until the hub is closed or he goes away."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE_MAX)
        if topic not in self._topics:
            self._topics[topic] = _rendering(await self._render(topic) or "")
        self._viewers.setdefault(topic, []).append(queue)
        try:
            # What changed since the page was written, or while its viewer was away, was sent to nobody.
            yield "retry: 1000\n" + self._message({"again": True})
            while not self.is_closed and (message := await queue.get()) is not None:
                yield message
        finally:
            self._viewers[topic].remove(queue)
            if not self._viewers[topic]:
                del self._viewers[topic]
                self._topics.pop(topic, None)

    def close(self) -> None:
        """End every stream: a server that stops waits for them."""
        self.is_closed = True
        for queues in self._viewers.values():
            for queue in queues:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
