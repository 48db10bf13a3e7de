"""What anybody may read at a gateway, by clients that others wrote, and that nobody is worth reaching through it."""

import asyncio
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.links.public import ALL_AT_ONCE, PEER_AT_ONCE, Public
from gateway.links.rate import TOO_MANY_REQUESTS
from gateway.links.server import AMPLIFICATION_MAX
from protocol import coap
from tests.gateway.site import TestClock, custody_of, segment
from tests.gateway.test_udp import exchange, plain

CORE = b'</h>;osc;rt="outstation",</s>;osc,</time>;ct=0'
LIBCOAP = shutil.which("coap-client-notls") or shutil.which("coap-client")
AIOCOAP = Path(sys.executable).with_name("aiocoap-client")


def ask_aiocoap(port, path, method="get"):
    """Return (what it printed, what it complained of) of aiocoap's own client program."""
    words = [sys.executable, str(AIOCOAP), "--quiet", "-m", method, f"coap://127.0.0.1:{port}/{path}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip(), done.stderr.strip()


def ask_libcoap(port, path, method="get"):
    """Return the same of libcoap's."""
    words = [LIBCOAP, "-B", "20", "-m", method, f"coap://127.0.0.1:{port}/{path}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip(), done.stderr.strip()


def check_foreign_client(site, ask):
    async def body(running):
        port = running.gateway.link.port

        async def asked(*words):
            return await asyncio.to_thread(ask, port, *words)

        assert (await asked(".well-known/core"))[0] == CORE.decode()
        assert (await asked(".well-known/core?rt=out*"))[0] == CORE.split(b",")[0].decode()
        said = int((await asked("time"))[0])
        assert abs(said - time.time()) < 120
        assert running.gateway.health.counts["public"] == 3

        for path, method, code in (
            ("s", "post", "4.01"),
            ("h", "post", "4.01"),
            ("r/1", "get", "4.01"),
            ("c/1", "get", "4.01"),
            ("x", "get", "4.01"),
            ("time", "delete", "4.05"),
            (".well-known/core?rt=thermometer", "get", "4.04"),
        ):
            assert code in " ".join(await asked(path, method)), path
        assert custody_of(await running.device().send(segment(0))) == 1

    site(body)


def test_aiocoap_client_reads_what_is_public_and_is_refused_the_rest(site):
    """aiocoap's own client gets the links and the time; everything else is 4.01, and a wrong method 4.05."""
    check_foreign_client(site, ask_aiocoap)


@pytest.mark.skipif(LIBCOAP is None, reason="no coap-client: apt-get install libcoap3-bin")
def test_libcoap_client_reads_what_is_public_and_is_refused_the_rest(site):
    """libcoap's coap-client gets the same."""
    check_foreign_client(site, ask_libcoap)


def test_smallest_request_is_never_amplified(site):
    """The smallest request for each public path brings at most three times its bytes, and not a byte to a wrong one."""

    async def body(running):
        port = running.gateway.link.port
        for path, code in ((".well-known/core", coap.CONTENT), ("time", coap.CONTENT)):
            for kind in (coap.CON, coap.NON):
                datagram = plain(coap.GET, path, token=b"", kind=kind)
                answer = await exchange(port, datagram)
                assert coap.decode(answer).code == code
                assert len(answer) <= AMPLIFICATION_MAX * len(datagram)
        assert running.gateway.link.server.withheld == 0

    site(body)


def test_one_address_is_answered_so_often_and_devices_go_on(site):
    """Above its rate an address gets 4.29, nothing longer than its request, whatever port it uses; its devices are served."""

    async def body(running):
        datagram = plain(coap.GET, "time", token=b"t")
        codes = []
        for _ in range(PEER_AT_ONCE + 20):
            answer = await exchange(running.gateway.link.port, datagram)
            codes.append(coap.decode(answer).code)
            if codes[-1] == TOO_MANY_REQUESTS:
                assert len(answer) <= len(datagram)
        assert codes[:PEER_AT_ONCE] == [coap.CONTENT] * PEER_AT_ONCE
        assert codes.count(TOO_MANY_REQUESTS) >= 10
        assert custody_of(await running.device().send(segment(0))) == 1

    site(body)


def ask(public, host, path="time", **options):
    """Return the answer of the resources alone."""
    return public.answer(coap.decode(plain(coap.GET, path, **options)), host)


def test_all_addresses_together_are_answered_so_often():
    """However many addresses there are, only so many answers go out; and only so many addresses are remembered."""
    clock = TestClock()
    public = Public(clock)
    answered = [ask(public, f"host {number}") for number in range(5000)]

    assert sum(answer is not None for answer in answered) == ALL_AT_ONCE
    assert len(public._rates._peers) == 1024
    clock.now += 1.0
    assert sum(ask(public, f"host {number}") is not None for number in range(500)) == 50


def test_options_are_heeded():
    """Another format is 4.06, an unknown critical option 4.02, a block is cut, and one behind the end is 4.00."""
    clock = TestClock()

    def code(path="time", *options, method=coap.GET):
        answer = Public(clock).answer(coap.decode(plain(method, path, options=list(options))), "host")
        return answer.code, answer.payload

    assert code(".well-known/core", (17, b"\x28")) == (coap.CONTENT, CORE)
    assert code(".well-known/core", (17, b"\x3c"))[0] == 0x86
    assert code("time", (65001, b""))[0] == coap.BAD_OPTION
    assert code("time", (65000, b""))[0] == coap.CONTENT
    assert code("time", method=coap.POST)[0] == coap.METHOD_NOT_ALLOWED
    assert code(".well-known/core", (coap.BLOCK2, b"\x10")) == (coap.CONTENT, CORE[16:32])
    assert code(".well-known/core", (coap.BLOCK2, b"\x70"))[0] == coap.BAD_REQUEST
    assert code(".well-known/core", (coap.BLOCK2, b"\x07"))[0] == coap.BAD_REQUEST
    assert code(".well-known/core", (coap.URI_QUERY, b"\xff\xfe"))[0] == coap.NOT_FOUND


def test_another_hosts_resource_is_not_fetched(site):
    """Who asks us to fetch from elsewhere is told that we do not, protected or not."""

    async def body(running):
        options = [(coap.PROXY_URI, b"coap://192.0.2.1/")]
        answer = await exchange(running.gateway.link.port, plain(coap.GET, "time", options=options))
        assert coap.decode(answer).code == 0xA5

    site(body)


def test_random_requests_for_public_paths_are_answered_or_refused():
    """Whatever options and payload a request has, it ends in a code."""
    chance = random.Random(4)
    for _ in range(2000):
        public = Public(TestClock())
        options = [
            (chance.choice((3, 7, 12, 15, 17, 23, 27, 60, 252)), chance.randbytes(chance.randrange(5)))
            for _ in range(3)
        ]
        answer = ask(public, "host", chance.choice(("time", ".well-known/core")), options=options)
        assert coap.decode(coap.encode(answer)).code in (
            coap.CONTENT,
            coap.BAD_OPTION,
            coap.BAD_REQUEST,
            coap.NOT_FOUND,
            0x86,
        )
