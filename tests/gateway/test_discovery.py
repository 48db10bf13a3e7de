"""A device without its gateway's address: it asks the site's network, believes nobody for an answer, and goes to whom its keys prove."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from agent.coap_client import LinkError
from agent.flash import FileFlash, create_image
from agent.keystore import Keystore
from agent.links.search import GROUPS, SearchLink
from agent.links.several import SeveralLinks
from agent.links.udp import UdpLink, make_udp
from gateway.links.groups import IPV4_GROUPS, IPV6_GROUPS, Groups
from gateway.links.server import AMPLIFICATION_MAX
from protocol import coap
from tests.agent.desk import BUNDLE, DOWNLINK, RATCHETS, SCHEMA, SEAL_KEYS
from tests.gateway.conftest import build
from tests.gateway.site import custody_of, device_id, secret_of, segment, until, write_files
from tests.support.groups import IPV4_GROUP, NO_MULTICAST, free_group_port
from tools.device import run_command

ROOT = Path(__file__).parents[2]
needs_groups = pytest.mark.skipif(NO_MULTICAST is not None, reason=str(NO_MULTICAST))
TRIES_MAX = 12


def searching(port, host="", at=None):
    """Return the agent's link that looks for a gateway over loopback. at: port of the known host, that of the groups if not given."""
    link = SearchLink(host, port, os.urandom, [IPV4_GROUP], "127.0.0.1")
    if at is not None:
        link._port, link._link = port, UdpLink(host, at)
    return link


async def send_until_taken(device, raw):
    """Send as agent.exchange does: again, later, until a verified answer comes. Return (answer, failures)."""
    failures = []
    while True:
        try:
            return await device.send(raw), failures
        except LinkError as error:
            failures.append(error)
            assert len(failures) < TRIES_MAX, failures


@contextlib.asynccontextmanager
async def found_at(running, port=None):
    """Let the gateway be found over loopback at a port for groups, a free one if none is given; give the port."""
    port = port or free_group_port()
    groups = Groups(running.gateway.link, port)
    groups.look()
    assert groups.joined == [(IPV4_GROUP, 0)]
    try:
        yield port
    finally:
        groups.close()


def question(path=".well-known/core", query=b"rt=outstation", kind=coap.NON, code=coap.GET, token=b"look"):
    options = coap.path_options(path) + ([(coap.URI_QUERY, query)] if query else [])
    return coap.encode(coap.Message(kind, code, random.randrange(1 << 16), token, options))


async def ask_group(port, datagram, wait_s=1.0):
    """Return all that answers one datagram to the group: (answer, address)."""
    loop = asyncio.get_running_loop()
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.setblocking(False)
        asked.bind(("127.0.0.1", 0))
        asked.sendto(datagram, (IPV4_GROUP, port))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    found.append(await loop.sock_recvfrom(asked, 2048))
    return found


class Imposter:
    """Hears the group, answers before any gateway, and does with what comes then what the test says: answer(datagram) -> datagram or None."""

    def __init__(self, port, answer):
        self._answer = answer
        self.asked = self.taken = 0
        self._heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._heard.bind((IPV4_GROUP, port))
        named = struct.pack("4s4s", socket.inet_aton(IPV4_GROUP), socket.inet_aton("127.0.0.1"))
        self._heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, named)
        self._own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._own.bind(("127.0.0.1", 0))
        for one, read in ((self._heard, self._hear), (self._own, self._take)):
            one.setblocking(False)
            asyncio.get_running_loop().add_reader(one, read)

    def _hear(self):
        datagram, peer = self._heard.recvfrom(2048)
        self.asked += 1
        said = coap.decode(datagram)
        links = b'</h>;osc;rt="outstation"'
        # With a token of its own first: what answers no question of ours is nobody.
        for token in (b"none", said.token):
            answer = coap.Message(coap.NON, coap.CONTENT, 7, token, [(coap.CONTENT_FORMAT, b"\x28")], links)
            self._own.sendto(coap.encode(answer), peer)

    def _take(self):
        datagram, peer = self._own.recvfrom(2048)
        self.taken += 1
        answer = self._answer(coap.decode(datagram))
        if answer is not None:
            self._own.sendto(coap.encode(answer), peer)

    def close(self):
        for one in (self._heard, self._own):
            asyncio.get_running_loop().remove_reader(one)
            one.close()


def _silent(request):
    return None


def _refuses(request):
    return coap.Message(coap.ACK, coap.UNAUTHORIZED, request.message_id, request.token)


def _pretends(request):
    return coap.Message(coap.ACK, coap.CHANGED, request.message_id, request.token, [], b"\xa0")


def _echoes(request):
    return coap.Message(
        coap.ACK, coap.CHANGED, request.message_id, request.token, request.options, request.payload
    )


IMPOSTERS = {"silent": _silent, "refuses": _refuses, "pretends": _pretends, "echoes": _echoes}


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({"host": "10.0.0.1"}, None),
        ({"host": "10.0.0.1", "discover": False, "groups": []}, None),
        ({"host": "10.0.0.1", "discover": True}, GROUPS),
        ({"host": ""}, GROUPS),
        ({"host": None, "groups": [IPV4_GROUP]}, [IPV4_GROUP]),
    ],
)
def test_gateway_is_looked_for_where_the_settings_say_so(settings, groups):
    """At once without an address, in place of a silent one with discover; whose address is enough asks no group."""
    link = make_udp({"port": 5683, **settings}, os.urandom)

    assert (UdpLink if groups is None else SearchLink) is type(link)
    assert groups == getattr(link, "_groups", None)


def check_device_without_an_address_finds_its_gateway(site):
    async def body(running):
        async with found_at(running) as port:
            device = running.device(link=searching(port))
            answer, failures = await send_until_taken(device, segment(0))
            assert custody_of(answer) == 1
            assert failures == []
            assert custody_of(await device.send(segment(1))) == 2
            # Found once: what follows goes to the gateway alone.
            assert device.link.searches == 1
            assert device.link._sockets == []

    site(body)


@needs_groups
def test_device_without_an_address_finds_its_gateway(site):
    """One question to the group, one answer, and the exchange goes on where the answer came from."""
    check_device_without_an_address_finds_its_gateway(site)


class _Late(random.Random):
    """The gateway's leisure, always the longest: whoever else answers is quicker."""

    def uniform(self, a, b):
        return b


def check_imposter_is_left(site, answer):
    async def body(running):
        port = free_group_port()
        running.gateway.link.server._chance = _Late()
        imposter = Imposter(port, answer)
        try:
            async with found_at(running, port):
                device = running.device(link=searching(port), ack_timeout_ms=100)
                got, _ = await send_until_taken(device, segment(0))
                assert custody_of(got) == 1
                assert imposter.taken > 0
                before = imposter.taken
                assert custody_of(await device.send(segment(1))) == 2
                assert imposter.taken == before
        finally:
            imposter.close()

    site(body)


@needs_groups
@pytest.mark.parametrize("kind", sorted(IMPOSTERS))
def test_who_answers_a_search_first_without_keys_is_left_for_the_gateway(site, kind):
    """Somebody silent, refusing, pretending or echoing answers first: the device loses nothing and ends at its gateway."""
    check_imposter_is_left(site, IMPOSTERS[kind])


def check_only_what_answers_the_question_is_heard(site):
    link = searching(1)
    link._token = b"mine"
    links = b'</h>;osc;rt="outstation"'

    def is_heard(code, token, payload):
        return link._is_answer(coap.encode(coap.Message(coap.NON, code, 1, token, [], payload)))

    assert is_heard(coap.CONTENT, b"mine", links)
    assert not is_heard(coap.CONTENT, b"none", links)
    assert not is_heard(coap.CONTENT, b"", links)
    assert not is_heard(coap.CHANGED, b"mine", links)
    assert not is_heard(coap.CONTENT, b"mine", b'</h>;rt="another"')
    assert not link._is_answer(b"\x51\x45")


def test_only_what_answers_the_question_is_heard():
    """Another token, code or resource, or what is no message, makes nobody a gateway."""
    check_only_what_answers_the_question_is_heard(None)


@needs_groups
def test_device_takes_the_gateway_of_two_that_has_its_keys(site, tmp_path, certificates):
    """Both gateways of a site answer; the one that does not know the device refuses it, the other one serves it."""

    async def body(running):
        port = free_group_port()
        folder = tmp_path / "other"
        folder.mkdir()
        shutil.copy(tmp_path / "office-ca.pem", folder)
        path = write_files(folder, office_port=1, coap_port=0, devices=0)
        other = build(path)
        await other.start()
        groups = Groups(other.link, port)
        groups.look()
        try:
            async with found_at(running, port):
                assert len(await ask_group(port, question())) == 2
                for n in (1, 2):
                    device = running.device(n, link=searching(port), ack_timeout_ms=100)
                    got, _ = await send_until_taken(device, segment(0, device=device_id(n)))
                    assert custody_of(got) == 1
        finally:
            groups.close()
            await other.stop()
        assert other.health.counts["segments"] == 0

    site(body)


def check_device_whose_gateway_is_not_there_looks_for_it(site):
    async def body(running):
        async with found_at(running) as port:
            # Port 9 of loopback: nobody listens there.
            device = running.device(link=searching(port, "127.0.0.1", at=9), ack_timeout_ms=50)
            got, _ = await send_until_taken(device, segment(0))
            assert custody_of(got) == 1
            assert device.link.searches == 1

    site(body)


@needs_groups
def test_device_whose_gateway_is_not_at_its_address_looks_for_it(site):
    """Where the known address is silent the network is asked, within one request."""
    check_device_whose_gateway_is_not_there_looks_for_it(site)


@needs_groups
def test_gateway_that_moved_is_found_again(site):
    """The gateway comes back at another port: what was found is left after some exchanges, and nothing is lost or doubled."""

    async def body(running):
        async with found_at(running) as port:
            device = running.device(link=searching(port), ack_timeout_ms=50)
            await send_until_taken(device, segment(0))
        await running.gateway.stop()
        text = running.path.read_text()
        moved = text.replace(f"port = {running.gateway.link.port}", f"port = {free_group_port()}")
        assert moved != text
        running.path.write_text(moved)
        running.gateway = build(running.path)
        await running.gateway.start()
        async with found_at(running, port):
            got, failures = await send_until_taken(device, segment(1))
            assert custody_of(got) == 2
            assert len(failures) <= 3
        assert running.gateway.health.counts["segments"] == 2
        assert running.gateway.health.counts["duplicates"] == 0

    site(body)


@needs_groups
def test_several_links_tell_the_searching_one_of_its_gateway(site):
    """Among several links the one that looks for a gateway learns too that it has found it."""

    async def body(running):
        async with found_at(running) as port:
            clock = running.gateway._clock
            ticks = lambda: int(clock.monotonic() * 1000)  # noqa: E731
            search = searching(port)
            link = SeveralLinks([search, UdpLink("127.0.0.1", 9)], ticks, lambda new, old: new - old)
            device = running.device(link=link)
            await send_until_taken(device, segment(0))
            assert search._is_proved
            assert link.at == 0

    site(body)


def check_group_is_answered_only_what_is_here_and_never_amplified(site):
    async def body(running):
        async with found_at(running) as port:
            asked = question()
            [(answer, address)] = await ask_group(port, asked)
            said = coap.decode(answer)
            assert (said.type, said.code, said.token) == (coap.NON, coap.CONTENT, b"look")
            assert said.payload == b'</h>;osc;rt="outstation"'
            assert address == ("127.0.0.1", running.gateway.link.port)
            assert len(answer) <= AMPLIFICATION_MAX * len(asked)
            # The shortest question, for all that is here.
            shortest = question(query=b"", token=b"")
            [(answer, _)] = await ask_group(port, shortest)
            assert len(answer) <= AMPLIFICATION_MAX * len(shortest)
            silent = [
                question("time", b""),
                question(query=b"rt=another"),
                question(kind=coap.CON),
                question(code=coap.POST),
                question("s", b"", code=coap.POST),
                b"\x50",
                b"\x70\x00\x00\x01",
            ]
            for datagram in silent:
                assert await ask_group(port, datagram, 0.4) == []
        assert len(running.gateway.link.server.remembered) == 0

    site(body)


@needs_groups
def test_group_is_answered_only_what_is_here_and_never_amplified(site):
    """By unicast, the link that was asked for; nothing to all else, and nothing longer than three times the question."""
    check_group_is_answered_only_what_is_here_and_never_amplified(site)


@needs_groups
def test_flood_of_questions_is_answered_so_often(site):
    """However often a group is asked, one address gets the few answers that it may have, and a device is served meanwhile."""

    async def body(running):
        async with found_at(running) as port:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
                flood.bind(("127.0.0.1", 0))
                flood.setblocking(False)
                for number in range(500):
                    flood.sendto(question(token=b"%04d" % number), (IPV4_GROUP, port))
                assert custody_of(await running.device().send(segment(0))) == 1
                await asyncio.sleep(0.3)
                answers = 0
                with contextlib.suppress(BlockingIOError):
                    while flood.recv(2048):
                        answers += 1
            assert 1 <= answers <= 10

    site(body)


@needs_groups
def test_settings_let_the_gateway_be_found(site):
    """`[discovery]` in gateway.toml is enough; without it nobody is answered."""
    port = free_group_port()

    async def body(running):
        await until(lambda: running.gateway.groups.joined, "the group was not joined")
        assert len(await ask_group(port, question())) == 1

    site(body, more=f"[discovery]\nport = {port}\n")

    async def silent(running):
        assert running.gateway.groups is None

    site(silent)


def test_network_that_comes_and_goes_is_joined_and_left(site):
    """Groups of IPv4 and IPv6 on every network of the machine; what is gone is left, what cannot be joined is passed over."""

    async def body(running):
        link = running.gateway.link
        link.is_any, link.family = True, socket.AF_INET6
        groups = Groups(link, free_group_port(), [1])
        groups.look()
        had = groups.joined
        assert {group for group, _ in had} <= {*IPV4_GROUPS, *IPV6_GROUPS}
        groups._interfaces = [1, 1 << 20]
        groups.look()
        assert groups.joined == had
        groups._interfaces = []
        groups.look()
        assert groups.joined == []
        groups.close()

    site(body)


def _provision(folder, n):
    flash = folder / "flash.bin"
    create_image(str(flash), 28)
    opened = FileFlash(str(flash), 28)
    Keystore(opened).provision(SEAL_KEYS, RATCHETS, DOWNLINK)
    opened.close()
    (folder / "schema.cbor").write_bytes(SCHEMA)
    (folder / "bundle.cbor").write_bytes(BUNDLE)
    (folder / "recording.csv").write_text("20,50\n")
    (folder / "link.toml").write_text(f'kid = "{n:02x}"\nsecret = "{secret_of(n).hex()}"\n')


@needs_groups
def test_process_of_the_unix_port_finds_its_gateway(site, tmp_path):
    """The real agent under MicroPython, with `host = ""`: it is served by the gateway that the group's answer led it to."""
    folder = tmp_path / "device"
    folder.mkdir()
    _provision(folder, 1)
    port = free_group_port()
    lines = [
        f'device = "{device_id(1).hex()}"',
        "flash_sectors = 24",
        "clock_scale = 100",
        "[link]",
        'host = ""',
        f"port = {port}",
        'local = "127.0.0.1"',
        f'groups = ["{IPV4_GROUP}"]',
    ]
    (folder / "device.toml").write_text("\n".join(lines) + "\n")

    async def body(running):
        async with found_at(running, port):
            process = await asyncio.create_subprocess_exec(
                *run_command(folder), env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            try:
                counts = running.gateway.health.counts
                await until(lambda: counts["heartbeats"] and counts["segments"], "nothing came", 30)
            finally:
                process.terminate()
                await process.wait()

    site(body)


_NETWORK = "OUTSTATION_TEST_NETWORK"
# A network of two ends in a namespace of its own: IPv6 and its groups, and nothing that leaves the machine.
_SET_UP = """
ip link set lo up && ip link add d0 type veth peer name d1 &&
sysctl -qw net.ipv6.conf.d0.accept_dad=0 net.ipv6.conf.d1.accept_dad=0 &&
ip link set d0 up && ip link set d1 up && exec "$@"
"""


def _in_namespace(*words):
    command = ["unshare", "-rn", "sh", "-c", _SET_UP, "sh", *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, _NETWORK: "d0"},
        check=False,
        cwd=ROOT,
    )


def _no_namespace():
    try:
        done = _in_namespace("true")
    except (OSError, subprocess.SubprocessError) as error:
        return f"no network namespace can be made: {error}"
    return f"no network namespace can be made: {done.stderr.strip()}" if done.returncode else ""


@pytest.mark.skipif(_NETWORK not in os.environ, reason="run by the test below, within its network")
def test_device_finds_its_gateway_over_ipv6_inside(site):
    """The question goes to ff02::fd of one link, the answer comes from the gateway's address there."""

    async def body(running):
        port = free_group_port()
        groups = Groups(running.gateway.link, port)
        groups.look()
        try:
            zone = socket.if_nametoindex(os.environ[_NETWORK])
            assert ("ff02::fd", zone) in groups.joined
            link = SearchLink("", port, os.urandom, [f"ff02::fd%{os.environ[_NETWORK]}"])
            device = running.device(link=link)
            answer, _ = await send_until_taken(device, segment(0))
            assert custody_of(answer) == 1
            assert link._link.found[0] == socket.AF_INET6
            assert link._link.found[1][0].startswith("fe80::")
        finally:
            groups.close()

    site(body, listen='host = "::"\n')


def test_device_finds_its_gateway_over_ipv6():
    """In a network of its own, link-local addresses alone: the gateway is found and serves."""
    hinder = _no_namespace()
    if hinder:
        pytest.skip(hinder)
    name = f"{Path(__file__).relative_to(ROOT)}::test_device_finds_its_gateway_over_ipv6_inside"
    done = _in_namespace(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", name)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
