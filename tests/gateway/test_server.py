"""The message layer that stands under every link: each request is carried out once, and no stranger gets or keeps much of us."""

import asyncio
import itertools
import random

from gateway.links.remembered import EXCHANGE_LIFETIME_S, OVERHEAD_BYTES, PEER_WAITING_MAX, Remembered
from gateway.links.server import AMPLIFICATION_MAX, EMPTY_ACK_DELAY_S, RETRANSMIT_MAX, CoapServer, Verdict
from protocol import coap
from tests.sim.clock import SimLoop, Time

PEER = ("192.0.2.7", 40001)
SPAN_S = 2.0 * 1.5 * (2 ** (RETRANSMIT_MAX + 1) - 1)


class SlowSite:
    """Carries out what begins with the token b"ok", in seconds_of(request); refuses the rest with refusal."""

    def __init__(self):
        self.carried_out = []
        self.seconds_of = lambda request: 0.0
        self.refusal = Verdict(answer=coap.Message(coap.ACK, coap.UNAUTHORIZED, 0))
        self.wrong = 0

    def admit(self, request, peer, *, is_multicast=False):
        if request.token.startswith(b"ok") and not is_multicast:
            return Verdict(opened=request)
        return self.refusal

    async def respond(self, opened):
        self.carried_out.append(opened.payload)
        await asyncio.sleep(self.seconds_of(opened))
        if opened.payload == b"fault":
            raise ValueError("a fault of ours")
        return coap.Message(coap.ACK, coap.CHANGED, 0, b"", [], b"did " + opened.payload)

    def sent(self):
        pass

    def moved(self, device, received, sent):
        pass

    def malformed(self):
        self.wrong += 1


def request(payload=b"x", *, token=b"ok", number=7, kind=coap.CON, code=coap.POST):
    """Return a request's datagram."""
    return coap.encode(coap.Message(kind, code, number, token, coap.path_options("s"), payload))


def serve(body, **options):
    """Run an async body(server, site, sent) in virtual time; sent gets (seconds, peer, message) of all that goes out."""
    loop = SimLoop(Time())

    async def main():
        site, sent = SlowSite(), []

        def send(peer, datagram):
            sent.append((loop.time(), peer, coap.decode(datagram)))

        server = CoapServer(site, send, chance=random.Random(1), **options)
        await body(server, site, sent)
        await server.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def answers(sent):
    """Return (type, code, payload) of what was sent."""
    return [(message.type, message.code, message.payload) for _, _, message in sent]


ANSWER = (coap.ACK, coap.CHANGED, b"did x")


def test_quick_answer_rides_on_the_acknowledgement():
    """A request is answered in its acknowledgement, under its own identifier and token."""

    async def body(server, site, sent):
        server.feed(PEER, request())
        await asyncio.sleep(0.01)
        (_, peer, message) = sent[0]

        assert answers(sent) == [ANSWER]
        assert (peer, message.message_id, message.token) == (PEER, 7, b"ok")

    serve(body)


def test_repeated_request_gets_the_same_answer():
    """A request that comes again within its lifetime is not carried out again; afterwards it is another one."""

    async def body(server, site, sent):
        for _ in range(3):
            server.feed(PEER, request())
            await asyncio.sleep(EXCHANGE_LIFETIME_S / 4)
        assert answers(sent) == [ANSWER] * 3
        assert site.carried_out == [b"x"]

        await asyncio.sleep(EXCHANGE_LIFETIME_S)
        assert len(server.remembered) == server.remembered.bytes == 0
        server.feed(PEER, request())
        await asyncio.sleep(0.01)
        assert site.carried_out == [b"x", b"x"]

    serve(body)


def check_slow_answer_goes_by_itself():
    async def body(server, site, sent):
        site.seconds_of = lambda _: 3.0
        server.feed(PEER, request())
        await asyncio.sleep(2.0)
        server.feed(PEER, request())
        await asyncio.sleep(1.5)
        acknowledgement = (coap.ACK, coap.EMPTY, b"")
        assert answers(sent) == [acknowledgement, acknowledgement, (coap.CON, coap.CHANGED, b"did x")]
        assert sent[0][0] == EMPTY_ACK_DELAY_S
        response = sent[2][2]
        assert response.token == b"ok"

        # The acknowledgement was lost: the device asks once more, long after the answer went.
        server.feed(PEER, request())
        await asyncio.sleep(0.1)
        assert answers(sent[3:]) == [acknowledgement]
        assert site.carried_out == [b"x"]

        server.feed(PEER, coap.encode(coap.Message(coap.ACK, coap.EMPTY, response.message_id)))
        await asyncio.sleep(SPAN_S)
        assert answers(sent[4:]) == []

    serve(body)


def test_slow_answer_goes_by_itself_and_once():
    """What takes longer than a second is acknowledged first and answered by itself; a repetition starts nothing anew."""
    check_slow_answer_goes_by_itself()


def test_answer_by_itself_is_repeated_until_acknowledged():
    """Without an acknowledgement it goes out five times, ever later, and is then given up."""

    async def body(server, site, sent):
        site.seconds_of = lambda _: 2.0
        server.feed(PEER, request())
        await asyncio.sleep(2 * SPAN_S)
        times = [seconds for seconds, _, message in sent if message.type == coap.CON]
        waits = [later - sooner for sooner, later in itertools.pairwise(times)]

        assert len(times) == RETRANSMIT_MAX + 1
        assert len({message.message_id for _, _, message in sent if message.type == coap.CON}) == 1
        assert 2.0 <= waits[0] <= 3.0
        doubled = [round(later / sooner, 6) for sooner, later in itertools.pairwise(waits)]
        assert doubled == [2.0] * 3
        assert server.unanswered == 1

    serve(body)


def test_reset_ends_an_answer_that_goes_by_itself():
    """A peer that knows nothing of the request any more says so once."""

    async def body(server, site, sent):
        site.seconds_of = lambda _: 2.0
        server.feed(PEER, request())
        await asyncio.sleep(2.1)
        number = sent[-1][2].message_id
        stranger = ("192.0.2.8", 1)
        server.feed(stranger, coap.encode(coap.Message(coap.RST, coap.EMPTY, number)))
        await asyncio.sleep(4)
        assert len(sent) == 3
        server.feed(PEER, coap.encode(coap.Message(coap.RST, coap.EMPTY, number)))
        await asyncio.sleep(SPAN_S)

        assert len(sent) == 3

    serve(body)


def test_other_bytes_under_the_same_identifier_are_another_request():
    """A device that started anew may hit an identifier of before; it is not given the answer of then."""

    async def body(server, site, sent):
        server.feed(PEER, request(b"x"))
        server.feed(PEER, request(b"y"))
        await asyncio.sleep(0.01)
        server.feed(PEER, request(b"y"))

        assert [message.payload for _, _, message in sent] == [b"did x", b"did y", b"did y"]
        assert site.carried_out == [b"x", b"y"]

    serve(body)


def test_what_is_no_request_is_reset_or_passed_over():
    """A ping and a confirmable message that we cannot use are reset; all else gets no answer."""

    async def body(server, site, sent):
        ping = bytes.fromhex("40000102")
        for datagram in (ping, bytes.fromhex("49010102") + bytes(9), request(code=coap.CHANGED)):
            server.feed(PEER, datagram)
        assert answers(sent) == [(coap.RST, coap.EMPTY, b"")] * 3
        assert [message.message_id for _, _, message in sent] == [0x0102, 0x0102, 7]

        for datagram in (
            bytes.fromhex("80010102"),  # version 2
            bytes.fromhex("59010102") + bytes(9),  # non-confirmable, token of 9
            b"\x40\x01\x01",
            b"",
            bytes(1200),
            bytes.fromhex("60440102"),  # acknowledges nothing
            bytes.fromhex("70000102"),
            request(kind=coap.ACK),
            request(kind=coap.RST),
            request(kind=coap.NON, code=coap.CHANGED),
        ):
            server.feed(PEER, datagram)
        assert len(sent) == 3
        assert site.wrong == 8
        assert site.carried_out == []

    serve(body)


def test_non_confirmable_request_is_answered_once():
    """A request that wants no acknowledgement gets an answer that wants none, and nothing for its repetition."""

    async def body(server, site, sent):
        site.seconds_of = lambda _: 5.0
        for _ in range(2):
            server.feed(PEER, request(kind=coap.NON))
            await asyncio.sleep(6.0)

        assert answers(sent) == [(coap.NON, coap.CHANGED, b"did x")]
        assert site.carried_out == [b"x"]

    serve(body)


def check_stranger_is_never_sent_more_than_he_may():
    async def body(server, site, sent):
        for size in range(0, 200, 7):
            for kind in (coap.CON, coap.NON):
                site.refusal = Verdict(
                    answer=coap.Message(coap.ACK, coap.UNAUTHORIZED, 0, b"", [], bytes(size)), is_kept=True
                )
                datagram = request(b"", token=b"", number=size, kind=kind)
                before = len(sent)
                server.feed(PEER, datagram)
                for _, _, message in sent[before:]:
                    assert len(coap.encode(message)) <= AMPLIFICATION_MAX * len(datagram)
        assert sent
        assert server.withheld > 0

    serve(body)


def test_stranger_is_never_sent_more_than_he_may():
    """Whatever a resource would say to somebody who did not verify: above three times his bytes nothing is said at all."""
    check_stranger_is_never_sent_more_than_he_may()


def check_memory_is_bounded():
    peer_bytes, all_bytes = 8 * (OVERHEAD_BYTES + 20), 80 * (OVERHEAD_BYTES + 20)

    async def body(server, site, sent):
        for number in range(400):
            server.feed(PEER, request(number=number))
            await asyncio.sleep(0)
        assert server.remembered.bytes <= peer_bytes
        # The newest is what a device repeats.
        server.feed(PEER, request(number=399))
        assert len(site.carried_out) == 400
        for host in range(40):
            for number in range(8):
                server.feed(("192.0.2.9", host), request(number=number))
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert server.remembered.bytes <= all_bytes
        assert server.remembered._answered.keys() == {
            one for known in server.remembered._peers.values() for one in known.exchanges.values()
        }

    serve(body, remembered=Remembered(bytes_max=all_bytes, peer_bytes_max=peer_bytes))


def test_what_is_remembered_is_bounded_by_peer_and_in_all():
    """One peer with many requests pushes out its own oldest, many peers those of all; no more is ever kept."""
    check_memory_is_bounded()


def test_peer_with_too_many_requests_at_once_is_not_heard():
    """What is carried out at once for one peer is bounded; the rest is not opened, so that it can be repeated."""

    async def body(server, site, sent):
        site.seconds_of = lambda _: 0.5
        for number in range(PEER_WAITING_MAX + 5):
            server.feed(PEER, request(number=number))
        server.feed(("192.0.2.9", 1), request(number=1))
        await asyncio.sleep(0.6)
        assert len(site.carried_out) == PEER_WAITING_MAX + 1
        assert server.unheard == 5

        server.feed(PEER, request(number=PEER_WAITING_MAX + 1))
        await asyncio.sleep(0.6)
        assert len(site.carried_out) == PEER_WAITING_MAX + 2

    serve(body)


def test_fault_of_ours_is_said_and_not_repeated():
    """A resource that breaks is answered 5.00 and named in the log; the server goes on."""
    problems = []

    async def body(server, site, sent):
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        server.feed(PEER, request(b"fault"))
        await asyncio.sleep(0.1)
        server.feed(PEER, request(number=8))
        await asyncio.sleep(0.1)

        assert answers(sent) == [(coap.ACK, coap.INTERNAL_SERVER_ERROR, b""), ANSWER]

    serve(body)
    assert ["a fault of ours"] == [str(context["exception"]) for context in problems]


def test_connection_that_ended_takes_its_requests_along():
    """Who comes next under the name of a peer that went away is another one."""

    async def body(server, site, sent):
        site.seconds_of = lambda request: 2.0 if request.payload == b"slow" else 0.0
        server.feed(PEER, request())
        server.feed(PEER, request(b"slow", number=8))
        await asyncio.sleep(2.1)
        assert server._separate
        server.forget(PEER)
        assert not server._separate and len(server.remembered) == server.remembered.bytes == 0
        server.feed(PEER, request())
        await asyncio.sleep(0.1)

        assert site.carried_out == [b"x", b"slow", b"x"]

    serve(body)


def test_multicast_is_never_refused_and_never_acknowledged():
    """What came to many is answered by itself or not at all: no refusal, no reset, nothing for a confirmable one."""

    async def body(server, site, sent):
        site.refusal = Verdict()
        for datagram in (
            request(token=b"no", kind=coap.NON),
            request(token=b"ok"),
            request(token=b"ok", kind=coap.NON),
            bytes.fromhex("40000102"),
            bytes.fromhex("49010102"),
        ):
            server.feed(PEER, datagram, is_multicast=True)
        await asyncio.sleep(5)
        assert sent == []
        assert site.carried_out == []

        site.refusal = Verdict(answer=coap.Message(coap.ACK, coap.CONTENT, 0, b"", [], b"here"))
        server.feed(PEER, request(token=b"no", kind=coap.NON), is_multicast=True)
        await asyncio.sleep(5)
        assert answers(sent) == [(coap.NON, coap.CONTENT, b"here")]

    serve(body)
