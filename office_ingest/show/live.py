"""Live pages: one look at the database a second for all viewers, and to each viewer only what changed of what he sees.

A topic is a page's address. Its elements that can change carry data-live and an id; a topic is rendered once after each change,
whoever watches it, and what differs from the rendering before is sent: some bytes a second, not the page. Where rows came or went
the viewer fetches the page's body once more.

A viewer who does not keep up loses the oldest message and is told to fetch the body; nothing is kept for him.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

_LIVE = re.compile(r'<(\w+)(?=[^>]*\bdata-live\b)[^>]*\bid="([^"]+)"[^>]*>(.*?)</\1>', re.DOTALL)
_QUEUE_MAX = 4
VIEWERS_MAX = 1000
LOOK_EVERY_S = 1.0
# A viewer must hear something, or he calls the page stale: in seconds.
BEAT_EVERY_S = 2.0

Render = Callable[[str], Awaitable[str | None]]


def live_parts(html: str) -> dict[str, str]:
    """Return id -> inner HTML of every element that carries data-live. Such an element holds none of its own name."""
    return {found[1]: found[2] for found in _LIVE.findall(html)}


class Hub:
    """render(topic): the page's HTML, None for no page. changed(): whether anything may have changed since the last call."""

    def __init__(self, render: Render, changed: Callable[[], Awaitable[bool]], as_of: Callable[[], str]):
        self._render = render
        self._changed = changed
        self._as_of = as_of
        self._topics: dict[str, dict[str, str]] = {}
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
            if await self._changed():
                for topic in list(self._viewers):
                    await self._tell(topic)
                since_beat = 0.0
            elif since_beat >= BEAT_EVERY_S:
                since_beat = 0.0
                self._send_all(self._message({}))

    async def _tell(self, topic: str) -> None:
        html = await self._render(topic)
        parts = live_parts(html or "")
        before = self._topics.get(topic)
        self._topics[topic] = parts
        if before is None or set(before) != set(parts):
            self._send(topic, self._message({"again": True}))
            return
        differs = {name: inner for name, inner in parts.items() if before[name] != inner}
        self._send(topic, self._message({"parts": differs} if differs else {}))

    def _message(self, body: dict[str, Any]) -> str:
        return f"data: {json.dumps({'as_of': self._as_of(), **body}, separators=(',', ':'))}\n\n"

    def _send_all(self, message: str) -> None:
        for topic in self._viewers:
            self._send(topic, message)

    def _send(self, topic: str, message: str) -> None:
        for queue in self._viewers.get(topic, ()):
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                message = self._message({"again": True})
            queue.put_nowait(message)

    async def stream(self, topic: str) -> AsyncIterator[str]:
        """Give a viewer's messages until the hub is closed or he goes away."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE_MAX)
        if topic not in self._topics:
            self._topics[topic] = live_parts(await self._render(topic) or "")
        self._viewers.setdefault(topic, []).append(queue)
        try:
            # Whoever comes back after a pause has missed what was sent meanwhile.
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
