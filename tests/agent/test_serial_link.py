"""The serial link moves datagrams over a line that loses and spoils bytes, and says how many were lost."""

import asyncio

from agent.links.serial import SerialLink
from protocol.slipmux import encode_frame, encode_text


class Line:
    """A line whose far end is this test: `far` is what comes, `sent` what left."""

    def __init__(self):
        self.far = b""
        self.sent = b""

    def read(self, n):
        piece, self.far = self.far[:n], self.far[n:]
        return piece or None

    def write(self, piece):
        self.sent += piece


def receive(link, timeout_ms=0):
    return asyncio.run(link.recv(timeout_ms))


def test_datagram_leaves_as_one_frame():
    """What is sent is on the line at once, and counted without framing."""
    line = Line()
    link = SerialLink(line)
    link.send(b"\xc0\xdb")

    assert (line.sent, link.sent_bytes) == (encode_frame(b"\xc0\xdb"), 2)


def test_datagrams_arrive_in_order_and_text_is_not_one():
    """A line for people is no datagram."""
    line = Line()
    link = SerialLink(line)
    line.far = encode_text("hello") + encode_frame(b"one") + encode_frame(b"two" * 100)

    assert [receive(link), receive(link), receive(link)] == [b"one", b"two" * 100, None]
    assert (link.received_bytes, link.lost) == (303, 0)


def test_spoiled_frame_is_lost_and_the_next_one_arrives():
    """Noise costs the frame that it hits."""
    line = Line()
    link = SerialLink(line)
    spoiled = encode_frame(b"one").replace(b"n", b"m")
    line.far = spoiled + encode_frame(b"two")

    assert (receive(link), link.lost) == (b"two", 1)


def test_datagram_that_comes_later_is_waited_for():
    """Receiving ends when a datagram comes, not when the time is up."""

    async def run():
        line = Line()
        link = SerialLink(line)
        task = asyncio.create_task(link.recv(60_000))
        await asyncio.sleep(0)
        line.far = encode_frame(b"late")
        return await task

    assert asyncio.run(run()) == b"late"


def test_what_nobody_asked_for_is_given_up_oldest_first():
    """Memory stays bounded however much the far end sends."""
    line = Line()
    link = SerialLink(line)
    line.far = b"".join(encode_frame(bytes([i])) for i in range(10))

    assert receive(link) == b"\x06"
    assert link.lost == 6


def test_closed_link_has_forgotten_what_came():
    """A new session begins with an empty line."""
    line = Line()
    link = SerialLink(line)
    line.far = encode_frame(b"old")
    link.close()

    assert receive(link) is None
