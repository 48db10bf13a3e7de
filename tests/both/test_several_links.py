"""Falling over between links chooses the same on CPython and on the device's interpreter."""

import asyncio

from agent.links.several import SeveralLinks

_WRAP = 1 << 30


class _Link:
    def __init__(self):
        self.sent_bytes = self.received_bytes = self.lost = 0
        self.sent = []
        self.came = []
        self.closed = 0

    def send(self, datagram):
        self.sent.append(datagram)

    async def recv(self, _timeout_ms):
        return self.came.pop(0) if self.came else None

    def close(self):
        self.closed += 1


class _Ticks:
    def __init__(self):
        self.ms = _WRAP - 10

    def ticks_ms(self):
        return self.ms % _WRAP

    def ticks_diff(self, new, old):
        return (new - old + _WRAP // 2) % _WRAP - _WRAP // 2


def _request(number):
    return b"\x44\x02\x00" + bytes([number]) + b"toke" + b"payload"


def _receive(links):
    return asyncio.run(links.recv(0))


def test_the_fourth_transmission_goes_over_the_next_link():
    """Three over the first; then the same bytes over the second, and what comes late on the first is taken."""
    first, second = _Link(), _Link()
    ticks = _Ticks()
    links = SeveralLinks([first, second], ticks.ticks_ms, ticks.ticks_diff)
    for _ in range(5):
        links.send(_request(1))
    first.came.append(b"late")

    assert (first.sent, second.sent) == ([_request(1)] * 3, [_request(1)] * 2)
    assert (links.at, links.moves, _receive(links)) == (1, 1, b"late")

    # What answers a message goes back to where it came from.
    links.send(b"\x60\x00\x00\x07")
    links.answered()
    links.send(_request(2))
    assert first.sent[3:] == [b"\x60\x00\x00\x07"]
    assert (second.sent[2:], first.closed) == ([_request(2)], 1)


def test_the_preferred_link_is_looked_at_after_a_pause_that_doubles():
    """Over the wrap of the ticks."""
    first, second = _Link(), _Link()
    ticks = _Ticks()
    links = SeveralLinks([first, second], ticks.ticks_ms, ticks.ticks_diff)
    looks = []
    for number in range(200):
        before = len(first.sent)
        links.send(_request(number))
        while links.at == 0:
            links.send(_request(number))
        second.came.append(b"answer")
        assert _receive(links) == b"answer"
        links.answered()
        if len(first.sent) > before:
            looks.append(number)
        ticks.ms += 10000

    # The first one dies at once: a pause of two minutes, then four, eight and sixteen.
    assert looks == [0, 12, 36, 84, 180]
    assert links.at == 1 and not links.is_looking


def test_a_look_that_is_answered_stays():
    """A link that is back is the one in use again."""
    first, second = _Link(), _Link()
    ticks = _Ticks()
    links = SeveralLinks([first, second], ticks.ticks_ms, ticks.ticks_diff)
    for _ in range(4):
        links.send(_request(1))
    ticks.ms += 120000
    second.came.append(b"answer")
    assert _receive(links) == b"answer"
    links.answered()
    links.send(_request(2))
    assert links.at == 0 and links.is_looking
    first.came.append(b"back")
    assert _receive(links) == b"back"
    links.answered()

    assert links.at == 0 and not links.is_looking
