"""A running site whose link loses acknowledgements, and one that strangers talk to."""

import asyncio
import socket
import struct

from gateway.store_view import StoreView
from protocol import coap
from tests.site.harness import lay_out, proved, start_all, stop_all, until

# How long answers to strangers are waited for.
ANSWERS_S = 3.0
# Upward datagrams above this many bytes carry a segment; heartbeats are shorter, and so are some segments.
SEGMENT_DATAGRAM_MIN = 210


class LosesFirstAnswers:
    """keep() of a relay: of each message's answers the first is dropped, and of a few segments all of them.

    A message is what a device sends under one message identifier and token; when it is repeated it is the same message. After a lost
    first answer the gateway repeats its own words; after the loss of all, the device sends the segment as a new message.
    """

    def __init__(self, blackouts):
        self.answered = set()
        self.silenced = set()
        self.segments = []
        self.blackouts = blackouts

    def __call__(self, upward, datagram):
        message = datagram[2:4] + datagram[4 : 4 + (datagram[0] & 15)]
        if upward:
            if len(datagram) > SEGMENT_DATAGRAM_MIN and message not in self.segments:
                self.segments.append(message)
                if len(self.segments) in self.blackouts:
                    self.silenced.add(message)
            return True
        if message in self.silenced:
            return False
        is_first = message not in self.answered
        self.answered.add(message)
        return not is_first


def _counts(site):
    """Return what the stopped gateway counted."""
    with StoreView(site.gateway_folder / "gateway.db") as view:
        return view.health()["counts"]


def _run(folder, story, **options):
    """Run a site, tell it a story, end it in order; and prove it; return the site."""

    async def run():
        site = await lay_out(folder, **options)
        try:
            await start_all(site)
            await story(site)
            await stop_all(site)
        finally:
            await site.close()
        proved(site)
        return site

    return asyncio.run(run())


def test_first_answer_to_each_message_lost_loses_and_doubles_nothing(tmp_path):
    """Each first acknowledgement is dropped once, of some segments all: the gateway counts duplicates, the office has each once."""
    keep = LosesFirstAnswers(blackouts=(2, 5, 8))

    async def story(_site):
        await until(lambda: len(keep.silenced) == 3, "not every silence began")

    site = _run(
        tmp_path,
        story,
        devices=2,
        keep=keep,
        samples_per_s=20,
        ack_timeout_ms=40,
        # Longer than a silence: else a heartbeat's answer says that the segment had arrived, and nothing is sent twice.
        heartbeat_ms=5000,
    )
    counts = _counts(site)

    assert site.link.dropped >= len(keep.answered) > 20
    assert counts["duplicates"] > 0, counts


STRANGERS = {
    "a segment in the clear": coap.encode(
        coap.Message(coap.CON, coap.POST, 1, b"abcd", coap.path_options("s"), b"\x83" + bytes(80))
    ),
    "a heartbeat in the clear": coap.encode(
        coap.Message(coap.CON, coap.POST, 2, b"abcd", coap.path_options("h"), b"\xa0")
    ),
    "a look at what there is": coap.encode(
        coap.Message(coap.CON, 1, 3, b"", coap.path_options(".well-known"), b"")
    ),
    "OSCORE of an unknown device": coap.encode(
        coap.Message(coap.CON, coap.POST, 4, b"abcd", [(coap.OSCORE, b"\x09\x01none")], bytes(30))
    ),
    "OSCORE that is no OSCORE": coap.encode(
        coap.Message(coap.CON, coap.POST, 5, b"abcd", [(coap.OSCORE, b"\xff\xff\xff")], bytes(30))
    ),
    "more than any segment": coap.encode(
        coap.Message(coap.CON, coap.POST, 6, b"abcd", coap.path_options("s"), bytes(1100))
    ),
    "a ping": struct.pack("!BBH", 0x40, 0, 7),
    "noise": bytes(range(200, 256)),
}


async def _answers(port, datagram):
    """Return every datagram that comes back to one sent to the gateway."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.bind(("127.0.0.1", 0))
        await loop.sock_sendto(stranger, datagram, ("127.0.0.1", port))
        answers = []
        try:
            async with asyncio.timeout(ANSWERS_S):
                while True:
                    answers.append((await loop.sock_recvfrom(stranger, 2048))[0])
        except TimeoutError:
            return answers


def test_strangers_get_no_more_than_three_times_what_they_send_and_disturb_nobody(tmp_path):
    """Requests without a device's keys are refused shortly while a site runs; it proves itself as if nobody had asked."""
    got = {}

    async def story(site):
        answers = await asyncio.gather(
            *(_answers(site.gateway_port, datagram) for datagram in STRANGERS.values())
        )
        got.update(zip(STRANGERS, answers, strict=True))

    site = _run(tmp_path, story, devices=2)
    for said, answers in got.items():
        assert sum(map(len, answers)) <= 3 * len(STRANGERS[said]), said
        for answer in answers:
            # A reset, or a refusal; nothing that says what is there.
            assert answer[1] == 0 or answer[1] >> 5 in (4, 5), (said, answer)
    assert [said for said in got if "clear" in said and not got[said]] == []
    assert _counts(site)["unauthenticated"] >= 4
