"""The UDP link: what strangers, broken and hostile senders get, and how lost acknowledgements are healed."""

import asyncio
import os
import random
import socket

import pytest

from agent.coap_client import LinkRefused
from protocol import coap
from protocol.limits import segment_bytes_max
from tests.gateway.site import custody_of, device_id, segment


def plain(code=coap.POST, path="s", payload=b"", options=(), token=b"tk", message_id=None, kind=coap.CON):
    """Return the datagram of an unprotected message."""
    number = random.randrange(1 << 16) if message_id is None else message_id
    return coap.encode(
        coap.Message(kind, code, number, token, coap.path_options(path) + list(options), payload)
    )


async def exchange(port, datagram, wait_s=1.0):
    """Send one datagram from a new socket; return the first answer or None."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        link.connect(("127.0.0.1", port))
        await loop.sock_sendall(link, datagram)
        try:
            return await asyncio.wait_for(loop.sock_recv(link, 2048), wait_s)
        except TimeoutError:
            return None


def check_unauthenticated_is_refused(site):
    async def body(running):
        for path in ("s", "h", "x", ".well-known/edhoc", ".well-known", "time/x", "r/7", "r/7/0", "c/1"):
            for code in (coap.POST, coap.GET, coap.FETCH):
                for payload in (b"", segment(0)):
                    datagram = plain(code, path, payload)
                    answer = await exchange(running.gateway.link.port, datagram)

                    assert coap.decode(answer).code == coap.UNAUTHORIZED
                    assert len(answer) <= len(datagram)
        assert running.gateway.health.counts["segments"] == 0
        assert running.gateway.health.counts["unauthenticated"] == 54

    site(body)


def test_request_without_authentication_is_refused(site):
    """A plain request to any path that is not public gets 4.01 and not a byte more than it sent; nothing of it is stored."""
    check_unauthenticated_is_refused(site)


def test_answer_to_a_stranger_is_never_amplified(site):
    """Garbage in the OSCORE option, on any path, brings no answer above three times its size, and no crash."""

    async def body(running):
        chance = random.Random(1)
        options = [bytes([flags]) + chance.randbytes(size) for flags in range(256) for size in (0, 1, 7)]
        answered = 0
        for value in options:
            datagram = coap.encode(
                coap.Message(
                    coap.CON, coap.POST, chance.randrange(1 << 16), b"", [(coap.OSCORE, value)], b"x" * 9
                )
            )
            answer = await exchange(running.gateway.link.port, datagram)
            if answer is not None:
                answered += 1
                assert len(answer) <= 3 * len(datagram)
                assert coap.decode(answer).code in (coap.UNAUTHORIZED, coap.BAD_OPTION, coap.BAD_REQUEST)
        assert answered == len(options)
        assert custody_of(await running.device().send(segment(0))) == 1

    site(body)


def test_datagrams_that_are_no_coap_are_survived(site):
    """Random bytes of any length neither stop the gateway nor are stored."""

    async def body(running):
        chance = random.Random(2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            for _ in range(300):
                link.sendto(
                    chance.randbytes(chance.randrange(1, 1400)), ("127.0.0.1", running.gateway.link.port)
                )
        assert custody_of(await running.device().send(segment(0))) == 1
        assert running.gateway.health.counts["segments"] == 1

    site(body)


def remembered(running):
    """Return how many messages the gateway keeps for the case that they come again."""
    return len(running.gateway.link.server.remembered)


def check_nothing_is_kept_of_strangers(site):
    async def body(running):
        for number in range(40):
            kind = (coap.CON, coap.NON, coap.ACK)[number % 3]
            await exchange(running.gateway.link.port, plain(message_id=number, kind=kind), 0.01)
        device = running.device()
        assert custody_of(await device.send(segment(0))) == 1
        # The request that was answered with Echo, and the one with it.
        assert remembered(running) == 2

    site(body)


def test_nothing_is_kept_of_strangers(site):
    """However many requests without a claim come, they are answered and forgotten at once: they fill no memory."""
    check_nothing_is_kept_of_strangers(site)


def test_stranger_with_a_devices_address_cannot_answer_in_its_place(site):
    """A request that was refused does not stand for the true one that comes from the same address under the same identifier."""

    async def body(running):
        device = running.device()
        await device.send(segment(0))
        link = device.link._open()
        numbers = [device.client._next_id + 1 + step & 0xFFFF for step in range(8)]
        for number in numbers:
            link.send(plain(message_id=number))
        await asyncio.sleep(0.2)

        assert custody_of(await device.send(segment(1))) == 2

    site(body)


def test_path_that_is_no_text_is_refused_as_any_other(site, caplog):
    """A path that is not UTF-8 brings no more than any path of a stranger, and does not fill the log."""

    async def body(running):
        options = [(coap.URI_PATH, b"\xff\xfe")]
        datagram = coap.encode(coap.Message(coap.CON, coap.POST, 1, b"tk", options, b"x"))
        answer = await exchange(running.gateway.link.port, datagram)
        assert coap.decode(answer).code == coap.UNAUTHORIZED
        assert len(answer) <= len(datagram)
        assert custody_of(await running.device().send(segment(0))) == 1

    site(body)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_truncated_segment_is_refused_at_every_sampled_length(site):
    """A cut segment is 4.00, counted and never stored, wherever it is cut; the whole one is then taken."""

    async def body(running):
        device = running.device()
        raw = segment(0, size=200)
        lengths = [*range(0, len(raw), 23), len(raw) - 1]
        for length in lengths:
            assert (await device.post("s", raw[:length])).code == coap.BAD_REQUEST

        assert running.gateway.health.counts["malformed"] == len(lengths)
        assert custody_of(await device.send(raw)) == 1
        assert running.gateway.health.counts["segments"] == 1

    site(body)


def test_oversized_payload_is_refused(site):
    """One byte above the limit is 4.13; far above it, nothing is even decrypted."""

    async def body(running):
        device = running.device()
        response = await device.post("s", bytes(segment_bytes_max + 1))
        assert response.code == coap.TOO_LARGE_ENTITY
        with pytest.raises(LinkRefused, match=r"4\.13"):
            await device.post("s", bytes(segment_bytes_max + 200))
        assert running.gateway.health.counts["oversized"] == 1

    site(body)


def test_other_methods_paths_and_critical_options_are_refused(site):
    """Inside the protection, too, only POST /s and /h exist, and an unknown critical option is not passed over."""

    async def body(running):
        device = running.device()
        assert (await device.client.request(coap.GET, "s")).code == coap.METHOD_NOT_ALLOWED
        assert (await device.client.request(coap.POST, "x")).code == coap.NOT_FOUND
        assert (await device.client.request(coap.POST, "s/s")).code == coap.NOT_FOUND
        answer = await device.client.request(coap.POST, "s", segment(0), [(65001, b"")])
        assert answer.code == coap.BAD_OPTION

    site(body)


class TappedLink:
    """A link that keeps what was sent and, if asked, loses the first answer to each request."""

    def __init__(self, link, *, loses_first_answer=False):
        self._link = link
        self._loses = loses_first_answer
        self.sent = []
        self.lost = 0
        self._seen = set()

    def send(self, datagram):
        self.sent.append(datagram)
        self._link.send(datagram)

    async def recv(self, timeout_ms):
        datagram = await self._link.recv(timeout_ms)
        if datagram is None or not self._loses or self.sent[-1] in self._seen:
            return datagram
        self._seen.add(self.sent[-1])
        self.lost += 1
        return None

    def close(self):
        self._link.close()


def tap(device, **options):
    """Put a tap between a device and its link."""
    device.client._link = TappedLink(device.client._link, **options)
    return device.client._link


def test_replayed_datagram_is_refused(site):
    """A recorded request, sent again by somebody else, is refused and changes nothing."""

    async def body(running):
        device = running.device()
        link = tap(device)
        await device.send(segment(0))
        recorded = link.sent[-1]
        await device.send(segment(1))
        counts = dict(running.gateway.health.counts)

        answer = await exchange(running.gateway.link.port, recorded)

        assert coap.decode(answer).code == coap.UNAUTHORIZED
        assert running.gateway.sessions.counts["replayed"] == 1
        assert running.gateway.health.counts["segments"] == counts["segments"]
        assert running.gateway.health.counts["duplicates"] == 0

    site(body)


def test_first_answer_lost_each_time_is_healed_by_repetition(site):
    """When the first acknowledgement of every request is lost, each segment is stored once and custody still arrives."""

    async def body(running):
        device = running.device(ack_timeout_ms=60)
        link = tap(device, loses_first_answer=True)
        for number in range(6):
            assert custody_of(await device.send(segment(number))) == number + 1

        assert link.lost >= 6
        assert device.client.retransmissions >= 6
        assert running.gateway.health.counts["segments"] == 6
        assert running.gateway.health.counts["duplicates"] == 0

    site(body)


def test_many_devices_at_once_share_commits(site):
    """Segments of many devices that arrive together are durable in fewer commits than segments."""

    async def body(running):
        devices = [running.device(n) for n in range(1, 17)]
        for device in devices:
            await device.beat()
        before = running.gateway.store.commits.batches
        await asyncio.gather(
            *(device.send(segment(n, device=device.device)) for device in devices for n in range(4))
        )

        assert running.gateway.health.counts["segments"] == 64
        assert running.gateway.store.commits.batches - before < 64

    site(body, devices=16)


def test_aiocoap_speaks_to_the_gateway(site):
    """Another implementation of OSCORE, Echo included, is understood: aiocoap's own contexts."""
    from aiocoap.message import Direction

    from tests.aiocoap_oscore import MemoryContext, read, write
    from tests.gateway.site import secret_of

    async def body(running):
        import aiocoap

        context = MemoryContext(secret_of(), b"\x01", b"", id_context=os.urandom(8))
        echo = None
        for _ in range(2):
            request = aiocoap.Message(code=aiocoap.POST, payload=segment(0))
            request.opt.uri_path = ("s",)
            if echo is not None:
                request.opt.echo = echo
            protected, identity = context.protect(request)
            frame = plain(token=b"tk")
            answer = await exchange(running.gateway.link.port, write(protected, frame))
            message = read(answer)
            assert message.direction is Direction.INCOMING
            inner, _ = context.unprotect(message, identity)
            echo = inner.opt.echo
        assert inner.code == aiocoap.CHANGED
        assert running.gateway.store.lane(device_id(), 1, 0).watermark() == 1

    site(body)
