"""OSCORE contexts over restarts: no nonce twice, no old request accepted, one current context a device."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest

from agent.coap_client import LinkRefused
from gateway.config import Link
from gateway.sessions import CHALLENGES_AT_ONCE, UNCONFIRMED_MAX, Challenged, Refused, Sessions
from protocol import coap
from protocol.aes_host import Aes128
from protocol.oscore import OscoreContext, decode_option
from tests.gateway.site import ROOT, Counter, TestClock, device_id, new_store, secret_of, segment
from tests.soak import IS_SOAK

LINK = Link(device_id(), b"\x01", secret_of())
# A fault in it is found within 30; 200 are for who has the time.
RESTARTS = 200 if IS_SOAK else 40


class Bench:
    """Sessions on a store, and a device's requests without a network."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = TestClock()
        self.start()

    def start(self):
        self.store = new_store(self.folder, clock=self.clock)
        self.sessions = Sessions(self.store, [LINK], secret=os.urandom(32), clock=self.clock)

    def restart(self):
        self.close()
        self.start()

    def close(self):
        asyncio.run(self.store.close())

    def ask(self, context, options=()):
        """Return the protected request and its exchange."""
        path = coap.path_options("h")
        plain = coap.Message(coap.CON, coap.POST, 1, b"", path + list(options), b"")
        return context.protect_request(plain)

    def meet(self, context):
        """Let a device be challenged and answer the Echo; return the opened request."""
        request, exchange = self.ask(context)
        with pytest.raises(Challenged) as challenged:
            self.sessions.open(request)
        return self.sessions.open(self.with_echo(context, challenged.value, exchange))

    def with_echo(self, context, challenged, exchange):
        answer = context.unprotect_response(challenged.message, exchange)
        assert answer.code == coap.UNAUTHORIZED
        echo = coap.option(answer.options, coap.ECHO)
        return self.ask(context, [(coap.ECHO, echo)])[0]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def device_context(id_context=None, sequence=0):
    return OscoreContext(Aes128, LINK.secret, LINK.kid, b"", Counter(sequence), id_context=id_context)


def test_first_request_after_each_start_goes_through_echo(bench):
    """No replay window outlives the process: every start asks the device once to show that it is there."""
    context = device_context()
    for _ in range(3):
        assert bench.meet(context).device == LINK.device
        assert bench.sessions.open(bench.ask(context)[0]).device == LINK.device
        bench.restart()


def test_replayed_request_is_refused(bench):
    """A request that was accepted is never accepted again, not in this start and not in a later one."""
    context = device_context()
    bench.meet(context)
    request, _ = bench.ask(context)
    bench.sessions.open(request)

    with pytest.raises(Refused, match="accepted before"):
        bench.sessions.open(request)
    bench.restart()
    with pytest.raises(Challenged):
        bench.sessions.open(request)


def test_echo_of_an_earlier_start_opens_nothing(bench):
    """A recorded request with its Echo does not open the window of a later start."""
    context = device_context()
    request, exchange = bench.ask(context)
    with pytest.raises(Challenged) as challenged:
        bench.sessions.open(request)
    shown = bench.with_echo(context, challenged.value, exchange)
    bench.sessions.open(shown)
    bench.restart()

    with pytest.raises(Challenged):
        bench.sessions.open(shown)


def test_requests_below_the_one_with_echo_are_refused(bench):
    """What was sent before the Echo came may be old, so it is refused."""
    context = device_context()
    early, _ = bench.ask(context)
    bench.meet(context)

    with pytest.raises(Refused, match="accepted before"):
        bench.sessions.open(early)


def test_fresh_id_context_becomes_current_only_after_echo_and_retires_the_old(bench):
    """Until the device answers the Echo the old context still works; after it the old one is refused, for good."""
    old, new = device_context(), device_context(b"8 bytes!")
    bench.meet(old)
    with pytest.raises(Challenged):
        bench.sessions.open(bench.ask(new)[0])
    assert bench.sessions.open(bench.ask(old)[0]).device == LINK.device

    bench.meet(new)
    with pytest.raises(Refused, match="newer context"):
        bench.sessions.open(bench.ask(old)[0])
    bench.restart()
    with pytest.raises(Refused, match="newer context"):
        bench.sessions.open(bench.ask(old)[0])
    assert bench.meet(new).device == LINK.device


@pytest.mark.parametrize("id_context", [b"", b"7 bytes", b"9 bytes!!"])
def test_id_context_of_another_length_is_refused(bench, id_context):
    """Only an ID Context of eight bytes is one of ours."""
    with pytest.raises(Refused, match="has 8 bytes"):
        bench.sessions.open(bench.ask(device_context(id_context))[0])


def test_unknown_device_and_wrong_secret_are_refused_and_nothing_is_kept(bench):
    """A stranger leaves no trace: no row, no context in memory."""
    stranger = OscoreContext(Aes128, LINK.secret, b"\x09", b"", Counter())
    liar = OscoreContext(Aes128, b"x" * 16, LINK.kid, b"", Counter(), id_context=b"8 bytes!")

    with pytest.raises(Refused, match="unknown kid") as refused:
        bench.sessions.open(bench.ask(stranger)[0])
    assert refused.value.code == coap.UNAUTHORIZED
    with pytest.raises(Refused) as refused:
        bench.sessions.open(bench.ask(liar)[0])
    assert refused.value.code == coap.BAD_REQUEST
    assert bench.store.session_rows() == []
    assert not bench.sessions._unconfirmed


def test_unconfirmed_contexts_are_bounded_and_still_confirmed_later(bench):
    """However many contexts wait for their Echo, memory is bounded, and the first of them can still answer."""
    first = device_context(b"context0")
    request, exchange = bench.ask(first)
    with pytest.raises(Challenged) as challenged:
        bench.sessions.open(request)
    for n in range(UNCONFIRMED_MAX + 5):
        bench.clock.now += 10
        with pytest.raises(Challenged):
            bench.sessions.open(bench.ask(device_context(n.to_bytes(8, "big")))[0])

    assert len(bench.sessions._unconfirmed) == UNCONFIRMED_MAX
    assert bench.sessions.open(bench.with_echo(first, challenged.value, exchange)).device == LINK.device


def test_challenges_are_limited_in_rate(bench):
    """Old requests sent again and again cannot use up the gateway's own sequence."""
    request, _ = bench.ask(device_context())
    answers = []
    for _ in range(CHALLENGES_AT_ONCE + 5):
        with pytest.raises((Challenged, Refused)) as caught:
            bench.sessions.open(request)
        answers.append(type(caught.value))

    assert answers == [Challenged] * CHALLENGES_AT_ONCE + [Refused] * 5
    bench.clock.now += 1
    with pytest.raises(Challenged):
        bench.sessions.open(request)


def check_newest_request_is_challenged_whatever_is_replayed(bench):
    context = device_context()
    old = [bench.ask(context)[0] for _ in range(CHALLENGES_AT_ONCE + 5)]
    for request in old * 3:
        with pytest.raises((Challenged, Refused)):
            bench.sessions.open(request)

    assert bench.meet(context).device == LINK.device


def test_newest_request_is_challenged_whatever_is_replayed(bench):
    """Whoever replays a device's requests faster than challenges are given cannot keep the device itself from being asked."""
    check_newest_request_is_challenged_whatever_is_replayed(bench)


def test_replays_are_challenged_once_for_each_request_and_then_at_the_rate(bench):
    """Each request that is newer than all before costs one number, any other only what the rate allows."""
    context = device_context()
    old = [bench.ask(context)[0] for _ in range(3 * CHALLENGES_AT_ONCE)]
    challenged = 0
    for request in [*old, *old, *old]:
        with pytest.raises((Challenged, Refused)) as caught:
            bench.sessions.open(request)
        challenged += caught.type is Challenged

    assert challenged == len(old)


def test_reloading_links_ends_sessions_of_devices_that_left(bench):
    """A device that was taken off the list is refused at once; when it comes back, its old Echo opens nothing."""
    context = device_context()
    request, exchange = bench.ask(context)
    with pytest.raises(Challenged) as challenged:
        bench.sessions.open(request)
    shown = bench.with_echo(context, challenged.value, exchange)
    bench.sessions.open(shown)

    bench.sessions.reload([])
    with pytest.raises(Refused, match="unknown kid"):
        bench.sessions.open(bench.ask(context)[0])
    bench.sessions.reload([LINK])
    with pytest.raises(Challenged):
        bench.sessions.open(shown)


OTHER = Link(device_id(), b"\x02\x03\x04\x05", bytes(range(16)))


def check_both_links_count(bench):
    """Serve a device under two links, let it go over, and end the one of before."""
    before = device_context()
    after = OscoreContext(Aes128, OTHER.secret, OTHER.kid, b"", Counter(0), id_context=b"8 bytes!")
    bench.meet(before)
    bench.sessions.reload([LINK, OTHER])
    # The session that was open goes on: no Echo for who is served as before.
    assert bench.sessions.open(bench.ask(before)[0]).device == LINK.device
    assert bench.meet(after).device == LINK.device
    assert bench.sessions.open(bench.ask(after)[0]).device == LINK.device
    # A device that did not hear the answer turns back, with a fresh context.
    again = OscoreContext(Aes128, LINK.secret, LINK.kid, b"", Counter(0), id_context=b"8 others")
    assert bench.meet(again).device == LINK.device
    bench.meet(OscoreContext(Aes128, OTHER.secret, OTHER.kid, b"", Counter(0), id_context=b"8 at end"))
    bench.sessions.reload([OTHER])
    with pytest.raises(Refused, match="unknown kid"):
        bench.sessions.open(bench.ask(again)[0])


def test_both_links_of_a_device_count_and_the_one_that_ends_opens_nothing(bench):
    """A device goes from one to the other and back as often as it must; what ended is refused like a stranger's."""
    check_both_links_count(bench)


def test_device_that_goes_over_to_its_other_link_leaves_no_session_of_before(bench):
    """One current context a device, under whichever link: what was recorded under the one of before is refused for good."""
    bench.sessions.reload([LINK, OTHER])
    before = device_context()
    bench.meet(before)
    bench.meet(OscoreContext(Aes128, OTHER.secret, OTHER.kid, b"", Counter(0), id_context=b"8 bytes!"))

    with pytest.raises(Refused, match="newer context"):
        bench.sessions.open(bench.ask(before)[0])


def nonces_over_restarts(folder, *fault, restarts=RESTARTS):
    """Return every (keys, sequence number) that so many killed starts of the gateway used."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.gateway.restart_program", str(folder), str(restarts), "7", *fault],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def check_nonces(folder, *fault, restarts=RESTARTS):
    nonces = nonces_over_restarts(folder, *fault, restarts=restarts)

    assert len(nonces) > 5 * restarts, "too few nonces to prove anything"
    assert len(set(nonces)) == len(nonces), "a sequence number was used twice under one key"
    return nonces


def test_sender_sequence_is_never_used_twice_over_killed_starts(tmp_path):
    """Forty starts and more, each killed at once, many in the middle of a commit: no keys ever see a sequence number twice."""
    nonces = check_nonces(tmp_path)

    assert len({line.split()[0] for line in nonces}) > 1


def test_restart_costs_the_device_one_echo_and_nothing_is_lost(site):
    """A device goes on through a restart of the gateway: its next segment is accepted after one Echo."""

    async def body(running):
        device = running.device()
        await device.send(segment(0))
        before = device.client.requests
        await running.restart()
        answer = await device.send(segment(1))

        assert device.client.requests - before == 2
        assert (1, 0, 2) in answer.custody

    site(body)


def test_device_with_fresh_id_context_is_taken_over_udp(site):
    """A device that lost its sequence starts again under a fresh ID Context; its old keys are refused from then on."""

    async def body(running):
        old = running.device()
        await old.send(segment(0))
        new = running.device(id_context=os.urandom(8))
        await new.send(segment(1))

        with pytest.raises(LinkRefused, match=r"4\.01"):
            await old.send(segment(2))
        assert (1, 0, 3) in (await new.send(segment(2))).custody

    site(body)


def test_finding_a_context_does_not_depend_on_how_many_devices_there_are(tmp_path):
    """Contexts are found by dictionary: ten thousand devices cost a lookup no scan over them."""
    store = new_store(tmp_path)
    links = [Link(n.to_bytes(8, "big"), n.to_bytes(4, "big"), secret_of()) for n in range(10_000)]
    sessions = Sessions(store, links, secret=bytes(32), clock=TestClock())
    context = OscoreContext(Aes128, LINK.secret, links[-1].kid, b"", Counter())
    plain = coap.Message(coap.CON, coap.POST, 1, b"", coap.path_options("h"), b"")
    request, _ = context.protect_request(plain)
    with pytest.raises(Challenged):
        sessions.open(request)

    lookups = CountingDict(sessions._links)
    sessions._links = lookups
    with pytest.raises(Challenged):
        sessions.open(request)
    assert lookups.scans == 0
    asyncio.run(store.close())


class CountingDict(dict):
    """A dictionary that counts who walks over it."""

    scans = 0

    def __iter__(self):
        self.scans += 1
        return super().__iter__()

    def values(self):
        self.scans += 1
        return super().values()

    def items(self):
        self.scans += 1
        return super().items()


def rot_reserved(bench):
    """Let the reserved sequence of every context fall on the disk, and let the store see that it is damaged."""
    with contextlib.closing(sqlite3.connect(bench.folder / "gateway.db", isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET reserved = reserved - 64")
    bench.store.doubt("damaged")
    bench.clock.now += 2


def test_context_that_a_repair_retired_is_refused_while_the_gateway_runs(bench):
    """A session that was open when its row was found damaged ends with the repair; the device goes on in a fresh context."""
    check_retired_session_ends(bench)


def check_retired_session_ends(bench):
    """Repair the store under an open session; fail if the session goes on."""
    context = device_context()
    bench.meet(context)
    rot_reserved(bench)
    bench.store.session_rows()

    code = None
    try:
        bench.sessions.open(bench.ask(context)[0])
    except Refused as refused:
        code = refused.code
    assert code == coap.UNAUTHORIZED
    fresh = device_context(b"8 bytes!")
    assert bench.meet(fresh).device == LINK.device
    assert bench.sessions.open(bench.ask(fresh)[0]).device == LINK.device


def test_context_that_a_repair_retires_between_challenge_and_echo_is_refused(bench):
    """An Echo answered while its row is being retired opens nothing, and the row stays retired."""
    context = device_context()
    request, exchange = bench.ask(context)
    with pytest.raises(Challenged) as challenged:
        bench.sessions.open(request)
    shown = bench.with_echo(context, challenged.value, exchange)
    rot_reserved(bench)

    with pytest.raises(Refused, match="newer context"):
        bench.sessions.open(shown)
    assert [row.state for row in bench.store.session_rows()] == ["retired"]
    with pytest.raises(Refused, match="newer context"):
        bench.sessions.open(bench.ask(context)[0])


def test_open_contexts_outlast_a_store_that_was_opened_anew(bench):
    """A disk that failed for a moment ends no session: what was not retired goes on."""
    context = device_context()
    bench.meet(context)
    bench.store.doubt("the disk failed")
    bench.clock.now += 2
    bench.store.session_rows()

    assert bench.store.reopened == 1
    assert bench.sessions.open(bench.ask(context)[0]).device == LINK.device


def check_revoked_device_is_not_served(bench):
    context = device_context()
    bench.meet(context)
    bench.sessions.revoke([LINK.device])
    asyncio.run(bench.store.add_revoked([LINK.device]))
    for id_context in (None, bytes(8)):
        with pytest.raises(Refused, match="revoked") as refused:
            bench.sessions.open(bench.ask(context if id_context is None else device_context(id_context))[0])
        assert refused.value.code == coap.UNAUTHORIZED
    bench.sessions.reload([])
    bench.sessions.reload([LINK])
    with pytest.raises(Refused, match="revoked"):
        bench.sessions.open(bench.ask(context)[0])
    bench.restart()
    with pytest.raises(Refused, match="revoked"):
        bench.sessions.open(bench.ask(device_context(sequence=100))[0])


def test_revoked_device_is_served_no_more(bench):
    """Its session ends at once, and neither a fresh ID Context, nor its link read again, nor a restart brings it back."""
    check_revoked_device_is_not_served(bench)


def test_echo_of_a_device_that_was_revoked_meanwhile_opens_nothing(bench):
    """A device between challenge and Echo is refused too."""
    context = device_context()
    request, exchange = bench.ask(context)
    with pytest.raises(Challenged) as challenged:
        bench.sessions.open(request)
    bench.sessions.revoke([LINK.device])

    with pytest.raises(Refused, match="revoked"):
        bench.sessions.open(bench.with_echo(context, challenged.value, exchange))


class _Twins:
    """Two gateways of one site, each with a store of its own, and both with the device's link."""

    def __init__(self, folder):
        self.ends = []
        for n in (1, 2):
            (folder / str(n)).mkdir()
            store = new_store(folder / str(n), clock=TestClock(), seed=n)
            sessions = Sessions(store, [LINK], secret=os.urandom(32), clock=TestClock())
            self.ends.append((store, sessions))

    def ask(self, context, options=()):
        """Return a protected request and its exchange."""
        plain = coap.Message(coap.CON, coap.POST, 1, b"", coap.path_options("h") + list(options), b"")
        return context.protect_request(plain)

    def answers(self, request):
        """Return what each gateway answers to one request, which both accept."""
        return [
            sessions.open(request).protect(coap.Message(coap.ACK, coap.CHANGED, 1, b"", [], b"answer %d" % n))
            for n, (_, sessions) in enumerate(self.ends)
        ]

    def close(self):
        for store, _ in self.ends:
            asyncio.run(store.close())


def check_no_nonce_of_two_gateways(folder):
    """Bring each request of a device to two gateways that both know it, and compare what their answers were sealed under."""
    twins = _Twins(folder)
    context = device_context(b"8 bytes!")
    for _, sessions in twins.ends:
        request, exchange = twins.ask(context)
        with pytest.raises(Challenged) as challenged:
            sessions.open(request)
        answer = context.unprotect_response(challenged.value.message, exchange)
        sessions.open(twins.ask(context, [(coap.ECHO, coap.option(answer.options, coap.ECHO))])[0])
    numbers = []
    for _ in range(200):
        request, exchange = twins.ask(context)
        for n, answer in enumerate(twins.answers(request)):
            numbers.append(decode_option(coap.option(answer.options, coap.OSCORE))[0])
            assert b"answer %d" % n == context.unprotect_response(answer, exchange).payload
    twins.close()

    assert None not in numbers
    assert len(numbers) == len(set(numbers))


def test_two_gateways_never_seal_two_answers_under_one_nonce(tmp_path):
    """A request that somebody brings to a second gateway of the site is answered under a number of that gateway's own."""
    check_no_nonce_of_two_gateways(tmp_path)
