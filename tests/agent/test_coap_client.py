"""The device's CoAP client and UDP link, on both runtimes, against aiocoap over loopback and a relay that misbehaves."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from protocol.coap import ACK, CHANGED, CON, EMPTY, OSCORE, POST, RST, UNAUTHORIZED, Message, decode, encode
from tests.agent.oscore_server import run_site
from tools.ports import free_port
from tools.upy import micropython_command

ROOT = Path(__file__).parents[2]
# Rules that lose datagrams. Only under them may a client repeat, and so need not wait for long: where nothing is lost, an answer that
# a busy machine brings late is no reason to.
_LOSING = []


@pytest.fixture(params=["cpython", "micropython"])
def run(request):
    """Return run(rule, *orders, first=0) -> (site, relay, answers, counters), the client running on that runtime."""

    def start(rule, *orders, first=0):
        async def client(port):
            return await _client(request.param, port, first, orders, 800 if rule in _LOSING else 5000)

        site, relay, lines = asyncio.run(run_site(rule, client))
        return site, relay, lines[:-1], lines[-1]

    return start


async def _client(runtime, port, first, orders, ack_timeout_ms=200):
    program = micropython_command() if runtime == "micropython" else [sys.executable]
    paths = {"MICROPYPATH": f".frozen:{ROOT}:{ROOT}/firmware", "PYTHONPATH": f"{ROOT}:{ROOT}/firmware"}
    process = await asyncio.create_subprocess_exec(
        *program,
        str(Path(__file__).with_name("client_program.py")),
        str(port),
        str(first),
        str(ack_timeout_ms),
        *orders,
        env={**os.environ, **paths},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return [json.loads(line) for line in output.splitlines()]


def _pass_on(direction, _number, datagram):
    return [(direction, datagram)]


def _dropping(direction, *numbers):
    """Return a rule that loses the datagrams with these numbers in one direction."""

    def rule(way, number, datagram):
        return [] if way == direction and number in numbers else [(way, datagram)]

    _LOSING.append(rule)
    return rule


def _injecting(make):
    """Return a rule that answers the first request with make(request) before it passes that on."""

    def rule(way, number, datagram):
        if way == "up" and number == 0:
            return [("down", encode(make(decode(datagram)))), (way, datagram)]
        return [(way, datagram)]

    return rule


def test_segments_arrive_and_are_answered(run):
    """Requests of 200 and 512 bytes each cost one datagram either way, are carried out once, and answered intact."""
    site, relay, answers, counters = run(_pass_on, *["s:200", "s:512"] * 5)
    assert [answer["code"] for answer in answers] == ["2.04"] * 10
    assert all(answer["is_intact"] for answer in answers)
    assert len(site.handled) == len(relay.seen["up"]) == len(relay.seen["down"]) == 10
    assert counters["sent_bytes"] == sum(map(len, relay.seen["up"]))
    assert counters["received_bytes"] == sum(map(len, relay.seen["down"]))
    assert (counters["retransmissions"], counters["refused"], counters["lost"]) == (0, 0, 0)


def test_a_lost_request_is_sent_again(run):
    """The first datagram lost: the second is the same, and one request is carried out."""
    site, relay, answers, counters = run(_dropping("up", 0), "s:512")
    assert answers[0]["is_intact"] and counters["retransmissions"] == 1
    assert relay.seen["up"][0] == relay.seen["up"][1] and site.handled == ["s"]


def test_a_lost_response_is_sent_again_and_nothing_is_done_twice(run):
    """Each first ACK lost: the request is repeated, the server answers from memory, the effect happens once."""
    site, _relay, answers, counters = run(_dropping("down", 0, 2, 4), "s:200", "s:512", "s:1")
    assert all(answer["is_intact"] for answer in answers)
    assert site.handled == ["s"] * 3 and counters["retransmissions"] == 3


def test_doubled_datagrams_change_nothing(run):
    """Every datagram doubled both ways: each request is carried out once, and old answers are ignored."""
    site, _relay, answers, counters = run(lambda way, _, datagram: [(way, datagram)] * 2, *["s:200"] * 4)
    assert all(answer["is_intact"] for answer in answers)
    assert site.handled == ["s"] * 4 and counters["retransmissions"] == 0


def test_a_server_that_lost_its_window_asks_for_echo_once(run):
    """After the restart one request costs one more datagram; the ones after it none."""
    site, relay, answers, counters = run(_pass_on, "s:200", "restart:0", "s:512", "s:512")
    assert all(answer["is_intact"] for answer in answers)
    assert site.echoes == 1 and site.handled == ["s", "restart", "s", "s"]
    assert counters["requests"] == len(relay.seen["up"]) == 5 and counters["retransmissions"] == 0


def test_a_server_that_lost_its_window_and_an_ack_is_still_met(run):
    """Echo and a lost answer together: both are mended, nothing is carried out twice."""
    site, _relay, answers, _counters = run(_dropping("down", 1), "restart:0", "s:512")
    assert [answer["code"] for answer in answers] == ["2.04", "2.04"]
    assert site.handled == ["restart", "s"]


def test_a_separate_response_is_awaited_and_acknowledged(run):
    """After an empty ACK nothing is repeated; the response that follows is acknowledged."""
    site, relay, answers, counters = run(_pass_on, "slow:512")
    assert answers[0]["is_intact"] and counters["retransmissions"] == 0 and site.handled == ["slow"]
    down = [decode(datagram) for datagram in relay.seen["down"]]
    assert [(message.type, message.code) for message in down] == [(ACK, EMPTY), (CON, CHANGED)]
    last = decode(relay.seen["up"][-1])
    assert (last.type, last.code, last.message_id) == (ACK, EMPTY, down[1].message_id)


def test_a_separate_response_that_comes_again_is_acknowledged_again(run):
    """Our ACK was lost: the old response, repeated during the next request, is acknowledged and not taken for its answer."""
    old = []

    def rule(way, _number, datagram):
        message = decode(datagram)
        if way == "down" and message.type == CON:
            old.append(datagram)
        elif way == "up" and message.type == CON and old:
            return [("down", old[0]), (way, datagram)]
        return [(way, datagram)]

    _site, relay, answers, _counters = run(rule, "slow:512", "s:1")
    assert all(answer["is_intact"] for answer in answers)
    empty = [message for message in map(decode, relay.seen["up"]) if message.code == EMPTY]
    assert [(message.type, message.message_id) for message in empty] == [(ACK, decode(old[0]).message_id)] * 2


@pytest.mark.parametrize("code", [CHANGED, POST, EMPTY])
def test_a_confirmable_message_that_belongs_to_nothing_is_reset(run, code):
    """A response to nobody, a request to us, and a ping: each gets a reset, so that its sender stops."""
    token = b"" if code == EMPTY else b"none"
    _site, relay, answers, _counters = run(_injecting(lambda _: Message(CON, code, 99, token)), "s:1")
    resets = [message for message in map(decode, relay.seen["up"]) if message.type == RST]
    assert answers[0]["is_intact"] and [message.message_id for message in resets] == [99]


def test_a_separate_response_may_come_before_its_empty_ack(run):
    """The empty ACK lost: the client repeats, or takes the response that overtakes it; the effect happens once."""
    site, _relay, answers, _counters = run(_dropping("down", 0), "slow:200", "s:1")
    assert all(answer["is_intact"] for answer in answers) and site.handled == ["slow", "s"]


def test_an_answer_that_is_promised_and_never_comes_ends_in_link_down(run):
    """An empty ACK and then silence: the client gives up by itself."""
    _site, relay, answers, _counters = run(_pass_on, "never:1")
    assert answers[0]["error"] == "down" and "acknowledged" in answers[0]["text"]
    assert len(relay.seen["up"]) == 1


def test_silence_ends_in_link_down_after_the_last_retransmission(run):
    """With two retransmissions allowed exactly three equal datagrams leave, then the link is down."""
    site, relay, answers, counters = run(_dropping("up", 0, 1, 2), "s:200", "s:200")
    assert answers[0]["error"] == "down" and answers[1]["code"] == "2.04"
    assert len(set(relay.seen["up"][:3])) == 1 and relay.seen["up"][3] != relay.seen["up"][0]
    assert counters["retransmissions"] == 2 and site.handled == ["s"]


@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_a_closed_port_ends_in_link_down(runtime):
    """Nobody listens: the system's errors are counted, and the link is down after the last retransmission."""
    lines = asyncio.run(_client(runtime, free_port(socket.SOCK_DGRAM), 0, ["s:200"]))
    assert lines[0]["error"] == "down"
    assert lines[1]["lost"] >= 1 and lines[1]["retransmissions"] == 2


def test_a_busy_server_says_when_to_come_back(run):
    """A protected 5.03 is an answer, and its Max-Age reaches the caller."""
    _site, _relay, answers, _counters = run(_pass_on, "busy:1")
    assert (answers[0]["code"], answers[0]["max_age_s"]) == ("5.03", 7)


def test_an_old_sequence_is_refused_and_reported(run):
    """A device whose sequence fell back is told so without protection: a link error, never a success."""
    site, _relay, answers, _counters = run(_pass_on, "s:1", first=40)
    assert answers[0]["code"] == "2.04"

    async def twice(port):
        await _client("micropython", port, 40, ["s:1"], 5000)
        return await _client("micropython", port, 3, ["s:1"], 5000)

    site, _, lines = asyncio.run(run_site(_pass_on, twice))
    assert lines[0] == {"error": "refused", "code": "4.01"} and site.handled == ["s"]


def test_an_unprotected_error_is_a_link_error(run):
    """A forged or helpless 4.01 ends the attempt, and is not handed on as an answer."""
    rule = _injecting(lambda sent: Message(ACK, UNAUTHORIZED, sent.message_id, sent.token))
    _site, _relay, answers, _counters = run(rule, "s:1")
    assert answers == [{"error": "refused", "code": "4.01"}]


def test_a_reset_is_a_link_error(run):
    """A reset of our request ends the attempt; one of another message does not."""
    rule = _injecting(lambda sent: Message(RST, EMPTY, sent.message_id))
    assert run(rule, "s:1")[2] == [{"error": "refused", "code": "reset"}]
    rule = _injecting(lambda sent: Message(RST, EMPTY, sent.message_id ^ 1))
    assert run(rule, "s:1")[2][0]["code"] == "2.04"


@pytest.mark.parametrize(
    "forge",
    [
        lambda sent: Message(ACK, CHANGED, sent.message_id, sent.token, (), b"forged"),
        lambda sent: Message(ACK, CHANGED, sent.message_id, sent.token, [(OSCORE, b"")], b"forged" * 3),
        lambda sent: Message(ACK, CHANGED, sent.message_id, b"none", [(OSCORE, b"")], b"forged" * 3),
        lambda sent: Message(ACK, CHANGED, sent.message_id ^ 1, sent.token, [(OSCORE, b"")], b"forged" * 3),
        lambda sent: Message(CON, CHANGED, 1, sent.token, [(OSCORE, b"\x01\x00")], b"forged" * 3),
        lambda sent: Message(CON, CHANGED, 1, b"none", [(OSCORE, b"\x01\x00")], b"forged" * 3),
        lambda sent: Message(ACK, CHANGED, sent.message_id, sent.token, [(OSCORE, b"\xff")], b"forged" * 3),
        lambda sent: Message(CON, sent.code, 1, sent.token, sent.options, sent.payload),
        lambda _sent: Message(CON, EMPTY, 1),
    ],
    ids=[
        "unprotected success",
        "forged success",
        "other token",
        "other message id",
        "forged separate",
        "separate of another",
        "bad option",
        "our request back",
        "ping",
    ],
)
def test_a_forged_answer_does_not_stand_in_for_the_true_one(run, forge):
    """Whatever is put in front of it, the true answer still arrives, without a repetition."""
    site, _relay, answers, counters = run(_injecting(forge), "s:200")
    assert answers[0]["is_intact"] and site.handled == ["s"] and counters["retransmissions"] == 0


def test_garbage_on_the_wire_is_counted_and_ignored(run):
    """Cut, oversized and random datagrams in front of each answer."""

    def rule(way, number, datagram):
        garbage = [b"", b"\x40", os.urandom(40), bytes(1400), datagram[:-1], datagram + b"\x00"]
        return [(way, bad) for bad in garbage if way == "down"] + [(way, datagram)]

    _site, _relay, answers, counters = run(rule, "s:200", "s:512")
    assert all(answer["is_intact"] for answer in answers)
    assert counters["refused"] >= 8 and counters["retransmissions"] == 0
