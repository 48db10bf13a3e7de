"""Boards without keys at the gateway: what they are answered, what is remembered of them, and what floods and forgeries cost."""

import asyncio
import random

import pytest

from gateway.errors import OfficeUnreachable
from gateway.health import Health
from gateway.links.newcomers import ASK_S, GONE_S, KNOWN_MAX, STRANGERS_MAX, Newcomers
from gateway.links.rate import TOO_MANY_REQUESTS
from gateway.links.server import AMPLIFICATION_MAX
from protocol import coap
from protocol.admission import parse_announcement, seal_announcement
from protocol.announcements import encode_admissions, parse_announcements
from protocol.blockwise import decode_block, encode_block
from protocol.limits import admission_block_bytes, announcements_max
from tests.gateway.site import TestClock, custody_of, segment, until
from tests.gateway.test_udp import exchange

SECRET = bytes(range(16))


def board_id(n):
    return b"board" + n.to_bytes(3, "big")


def announcement(n=1, secret=SECRET, hardware="u"):
    return seal_announcement(board_id(n), hardware, secret)


def request(payload, number=0, kind=coap.CON, code=coap.POST, message_id=None):
    block = (coap.BLOCK2, encode_block(number, False, admission_block_bytes))
    options = [*coap.path_options("n"), block]
    number = random.randrange(1 << 16) if message_id is None else message_id
    return coap.Message(kind, code, number, b"tokn", options, payload)


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Desk:
    """Newcomers over an office that the test is. known: board number -> what the office says after the board."""

    def __init__(self, seed=1):
        self.known = {}
        self.asked = []
        self.served = set()
        self.asked_links = 0
        self.clock = Clock()
        self.newcomers = Newcomers(
            self._ask,
            Health(),
            is_known=self.served.__contains__,
            ask_links=self._ask_links,
            clock=self.clock,
            chance=random.Random(seed),
        )

    def _ask_links(self):
        self.asked_links += 1

    async def _ask(self, method, path, bytes_max, body):
        announced = parse_announcements(body)
        self.asked.append(announced)
        said = []
        for raw in announced:
            board = parse_announcement(raw).fields.board
            if raw == announcement(int.from_bytes(board[5:], "big")) and board in self.known:
                said.append((board, *self.known[board]))
        answer = encode_admissions(said)
        assert len(answer) <= bytes_max
        return answer

    def hear(self, raw, number=0, host="10.0.0.1"):
        return self.newcomers.answer(request(raw, number), host)

    def step(self):
        asyncio.run(self.newcomers.step())

    def fetch(self, raw):
        whole, is_more = b"", True
        while is_more:
            answer = self.hear(raw, len(whole) // admission_block_bytes)
            assert answer.code == coap.CONTENT
            number, is_more, size = decode_block(coap.option(answer.options, coap.BLOCK2))
            assert (number, size) == (len(whole) // admission_block_bytes, admission_block_bytes)
            whole += answer.payload
        return whole


def check_board_is_given_what_it_was_admitted_with():
    desk = Desk()
    sealed = random.Random(3).randbytes(1000)
    assert desk.hear(announcement()).code == coap.CHANGED
    desk.step()
    # The office does not know it.
    assert len(desk.newcomers) == 0
    desk.known[board_id(1)] = ()
    assert desk.hear(announcement()).code == coap.CHANGED
    desk.step()
    assert desk.hear(announcement()).code == coap.CHANGED
    desk.known[board_id(1)] = (sealed,)
    desk.step()
    # The gateway knows the device before the board can be it.
    assert desk.asked_links == 1
    assert desk.hear(announcement()).code == coap.CHANGED
    desk.served.add(board_id(1))
    desk.step()
    assert desk.fetch(announcement()) == sealed
    assert desk.hear(announcement(), 16).code == coap.BAD_REQUEST


def test_board_is_given_what_it_was_admitted_with():
    """Nothing before the office knows it, nothing before a person said yes, then its admission block by block."""
    check_board_is_given_what_it_was_admitted_with()


def check_flood_of_forgeries_hides_no_board():
    desk = Desk()
    desk.known = {board_id(1): (), board_id(2): (b"s" * 100,)}
    desk.served.add(board_id(2))
    chance = random.Random(7)
    for _ in range(200):
        for n in range(100):
            # Strangers, and others who say that they are the boards.
            forged = announcement(chance.randrange(1, 1000), chance.randbytes(16))
            desk.hear(forged, host=f"10.0.{n}.{chance.randrange(256)}")
            assert len(desk.newcomers) <= STRANGERS_MAX + KNOWN_MAX
        desk.clock.now += 5
        for n in (1, 2):
            desk.hear(announcement(n))
        desk.step()
        assert len(desk.asked[-1]) <= announcements_max
    assert desk.fetch(announcement(2)) == b"s" * 100
    assert set(desk.newcomers._known) == {board_id(1), board_id(2)}


def test_flood_of_forgeries_hides_no_board():
    """However many announce themselves falsely, few are remembered, and the true ones come through."""
    check_flood_of_forgeries_hides_no_board()


def test_board_that_is_gone_is_forgotten():
    """Whom nobody heard for ten minutes the office is not asked about any more."""
    desk = Desk()
    desk.known[board_id(1)] = ()
    desk.hear(announcement())
    desk.step()
    desk.clock.now += GONE_S + 1
    desk.newcomers._forget_the_gone()

    assert len(desk.newcomers) == 0


def test_admission_that_the_office_takes_back_is_given_no_more():
    """A claim that ended, or that nobody knows any more, ends here with the next question."""
    desk = Desk()
    desk.known[board_id(1)] = (b"s" * 100,)
    desk.served.add(board_id(1))
    desk.hear(announcement())
    desk.step()
    assert desk.hear(announcement()).code == coap.CONTENT
    del desk.known[board_id(1)]
    desk.step()

    assert desk.hear(announcement()).code == coap.CHANGED


def test_rate_is_of_each_address_and_of_all():
    """One address that asks without end is told so, all together are left without an answer."""
    desk = Desk()
    codes = [desk.hear(announcement()).code for _ in range(250)]
    assert codes.count(TOO_MANY_REQUESTS) == 250 - 192
    desk.clock.now += 1
    codes = [desk.hear(announcement()).code for _ in range(10)]
    assert codes.count(TOO_MANY_REQUESTS) == 10 - 4
    answers = [desk.hear(announcement(), host=f"10.1.{n // 256}.{n % 256}") for n in range(300)]
    assert answers[-1] is None
    desk.clock.now += 1
    answers = [desk.hear(announcement(), host=f"10.2.{n // 256}.{n % 256}") for n in range(100)]
    assert sum(answer is not None for answer in answers) == 50


def check_many_boards_leave_room_for_strangers():
    desk = Desk()
    desk.known = {board_id(n): () for n in range(KNOWN_MAX + 20)}
    for start in range(0, len(desk.known), STRANGERS_MAX):
        for n in range(start, start + STRANGERS_MAX):
            desk.hear(announcement(n), host=n)
        for _ in range(2):
            desk.step()
    assert len(desk.newcomers) == KNOWN_MAX
    strangers = [announcement(1000 + n) for n in range(announcements_max // 2)]
    for raw in strangers:
        desk.hear(raw, host=raw)
    desk.step()
    assert len(desk.asked[-1]) == announcements_max
    assert set(strangers) <= set(desk.asked[-1])


def test_many_boards_leave_room_for_strangers():
    """As many boards as there may be are remembered, and half of what the office is asked at once are strangers all the same."""
    check_many_boards_leave_room_for_strangers()


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", bytes(200), announcement()[:-1], announcement(hardware="h" * 65)]
)
def test_what_is_no_announcement_is_not_remembered(payload):
    """It is refused, and nothing is kept of it."""
    desk = Desk()

    assert desk.hear(payload).code == coap.BAD_REQUEST
    assert len(desk.newcomers) == 0


def check_smallest_announcement_gets_every_block(site):
    """Over a real socket, through the bound on answers to strangers."""

    async def body(running):
        gateway = running.gateway
        raw = announcement()
        sealed = random.Random(4).randbytes(500)

        async def ask(method, path, bytes_max, body):
            return encode_admissions([(board_id(1), sealed)])

        gateway.newcomers._ask = ask
        gateway.newcomers._is_known = lambda device: True
        port = gateway.link.port
        asked = coap.encode(request(raw))
        answer = await exchange(port, asked)
        assert coap.decode(answer).code == coap.CHANGED
        await until(lambda: gateway.newcomers._known, "the office was not asked")
        whole = b""
        while len(whole) < len(sealed):
            asked = coap.encode(request(raw, len(whole) // admission_block_bytes))
            answer = await exchange(port, asked)
            assert answer is not None, "withheld"
            assert len(answer) <= AMPLIFICATION_MAX * len(asked)
            whole += coap.decode(answer).payload
        assert whole == sealed
        assert custody_of(await running.device().send(segment(0))) == 1
        assert len(gateway.link.server.remembered) <= 2

    site(body, listen="newcomers = true\n")


def test_smallest_announcement_gets_every_block(site):
    """The shortest there is, three times which is more than each answer."""
    check_smallest_announcement_gets_every_block(site)


def test_gateway_that_hears_no_newcomers_refuses_them(site):
    """Without the setting an announcement is what any stranger says: 4.01."""

    async def body(running):
        answer = await exchange(running.gateway.link.port, coap.encode(request(announcement())))
        assert coap.decode(answer).code == coap.UNAUTHORIZED

    site(body)


def test_office_that_cannot_be_reached_is_asked_again():
    """A failure costs a board nothing but time."""

    desk = Desk()
    desk.known[board_id(1)] = ()
    true_ask, tries = desk.newcomers._ask, []

    async def ask(*words):
        tries.append(words)
        if len(tries) == 1:
            raise OfficeUnreachable("no answer")
        return await true_ask(*words)

    desk.newcomers._ask = ask
    desk.hear(announcement())
    clock = _run_until(desk, lambda: desk.newcomers._known)

    assert len(tries) == 2
    assert clock.slept[0] == ASK_S
    assert set(desk.newcomers._known) == {board_id(1)}


def test_office_is_asked_as_long_as_boards_are_heard():
    """Every five seconds while one waits, and no more once it is gone; a stranger that the office does not know is asked about once."""
    desk = Desk()
    desk.known[board_id(1)] = ()
    desk.hear(announcement(1))
    clock = _run_until(desk, lambda: not len(desk.newcomers))
    stranger = Desk()
    stranger.hear(announcement())
    _run_until(stranger, lambda: stranger.asked, rounds=50)

    assert ASK_S == 5
    assert set(clock.slept) == {ASK_S}
    assert len(desk.asked) == GONE_S / ASK_S
    assert len(stranger.asked) == 1


def _run_until(desk, holds, rounds=0):
    """Let boards be brought to the office until something holds, and so many rounds of the loop more; return the clock, which only jumps."""

    async def main():
        running = asyncio.create_task(desk.newcomers.run())
        while not holds():
            await asyncio.sleep(0)
        for _ in range(rounds):
            await asyncio.sleep(0)
        assert not running.done()
        running.cancel()

    clock = desk.newcomers._clock = TestClock()
    clock.now = desk.clock.now
    asyncio.run(main())
    return clock
