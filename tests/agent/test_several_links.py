"""A device with several links: the same promises over each, and falling over between them, over media that lose, double and are cut by seed."""

import asyncio
import itertools
import random

import pytest

from agent.links import several
from tests.support.several_ways import KINDS, World

PAIRS = list(itertools.permutations(KINDS, 2))
COUNT = 40


def lived(folder, body, asked):
    """Return the world of a device with UDP and behind it a wire, after body(world), whose questions (asked) were answered once each."""
    world = World(folder, ["udp", "serial"])
    world.run(body)
    world.check(asked)
    return world


# ---- the same promises over each


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_lossy_medium_loses_and_doubles_nothing(kind, seed, tmp_path):
    """Each fifth datagram lost, each fifth doubled, and cuts of seconds to minutes: every question once, in order, with its own answer."""
    world = World(tmp_path, [kind], seed, loss=0.2, double=0.2)
    chance = random.Random(seed)

    async def cuts():
        while True:
            await asyncio.sleep(chance.uniform(5, 60))
            world.media[0].cut()
            await asyncio.sleep(chance.uniform(1, 90))
            world.media[0].cut(False)

    async def body(world):
        cutting = asyncio.ensure_future(cuts())
        await world.ask_all(COUNT, every_s=5.0)
        cutting.cancel()

    world.run(body)
    world.check(COUNT)
    assert world.session.sent_again() > 0


# ---- falling over


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_first_link_dies_the_second_takes_over_and_the_first_comes_back(pair, seed, tmp_path):
    """At a seeded moment, with what is under way: nothing is lost or doubled, and the preferred link is used again."""
    world = World(tmp_path, pair, seed, loss=0.1, double=0.1)
    chance = random.Random(seed)

    async def body(world):
        asking = asyncio.ensure_future(world.ask_all(100_000, every_s=6.0))
        await asyncio.sleep(chance.uniform(10, 60))
        world.media[0].cut()
        before = len(world.answers)
        await asyncio.sleep(300)
        assert len(world.answers) > before + 10, "the second link does not take over"
        world.media[0].cut(False)
        while world.link.at or world.link.is_looking:
            await asyncio.sleep(6)
            assert world.time.now < 7200, "it never comes back"
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for question in range(len(world.answers), len(world.answers) + 5):
            await world.ask(question)
        return len(world.answers)

    world.check(world.run(body))


def check_request_under_way_goes_over_the_other_link(folder):
    """One link dies while a question is on it: the same request goes on over the other, and nobody has to ask again."""

    async def body(world):
        await world.ask(0)
        world.media[0].cut()
        await world.ask(1)

    world = lived(folder, body, 2)
    assert world.failures == []
    assert world.link.moves == 1
    # The gateway's sessions saw each number once: no request was made anew.
    assert len(world.numbers) == len(set(world.numbers)) == 2


def test_request_under_way_goes_over_the_other_link(tmp_path):
    """Falling over costs the waits of three transmissions, and no exchange."""
    check_request_under_way_goes_over_the_other_link(tmp_path)


def check_request_that_was_carried_out_is_not_carried_out_again_over_another_link(folder):
    """Only the answers are lost: repeated over the other link the same request is refused as a replay, and asked again it is known."""

    async def body(world):
        await world.ask(0)
        world.media[0].is_down_cut = True
        await world.ask(1)
        await world.ask(2)

    world = lived(folder, body, 3)
    assert world.sessions.counts["replayed"] >= 1
    # Once as it was, and once under another number with the same bytes, which a store knows by their digest.
    assert world.taken == [0, 1, 1, 2]
    assert [str(error)[:20] for error in world.failures] == ["the gateway answered"]


def test_request_that_was_carried_out_is_not_carried_out_again_over_another_link(tmp_path):
    """The replay window is one over all links of a gateway."""
    check_request_that_was_carried_out_is_not_carried_out_again_over_another_link(tmp_path)


def check_late_answer_of_the_link_that_was_left_is_taken(folder):
    """The first link answers late, the second not at all: the answer is good wherever it comes."""

    async def body(world):
        await world.ask(0)
        world.media[1].cut()
        held = []
        true_carry = world.media[0].carry
        world.media[0].carry = lambda is_up, d, deliver, **o: (
            true_carry(is_up, d, deliver, **o) if is_up else held.append((d, deliver))
        )
        asking = asyncio.ensure_future(world.ask(1))
        await asyncio.sleep(25)
        assert world.link.at == 1
        datagram, deliver = held[0]
        deliver(datagram)
        await asyncio.sleep(1)
        assert asking.done()
        assert len(world.ways[0].link._open()._came) == 0

    world = lived(folder, body, 2)
    assert world.failures == []


def test_late_answer_of_the_link_that_was_left_is_taken(tmp_path):
    """While its question is still asked."""
    check_late_answer_of_the_link_that_was_left_is_taken(tmp_path)


def check_late_answer_answers_no_other_question(folder):
    """The answer to the question before arrives, late, in place of this one's: it is nobody's."""

    async def body(world):
        await world.ask(0)
        world.media[0].is_down_cut = True
        await world.ask(1)
        late = [d for is_up, d in world.media[0].heard if not is_up][-1]
        asking = asyncio.ensure_future(world.ask(2))
        await asyncio.sleep(0)
        world.ways[1].link._waiting.append(late)
        await asking

    lived(folder, body, 3)


def test_late_answer_answers_no_other_question(tmp_path):
    """An answer is bound to its request, over whichever link it comes."""
    check_late_answer_answers_no_other_question(tmp_path)


def check_preferred_link_is_looked_at_again_after_a_growing_pause(folder):
    """While it stays away the looks become rarer, up to one an hour, and cost no exchange; when it is back it is used."""
    world = World(folder, ["udp", "serial"])
    looks = []

    async def body(world):
        await world.ask(0)
        world.media[0].cut()
        question = 1
        while world.time.now < 4000:
            moves = world.link.moves
            await world.ask(question)
            if world.link.moves == moves + 2:
                looks.append(world.time.now)
            question += 1
            await asyncio.sleep(5)
        world.media[0].cut(False)
        while world.link.at != 0:
            await world.ask(question)
            question += 1
            await asyncio.sleep(5)
            assert world.time.now < 12_000, "the preferred link is never used again"
        world.check(question)

    world.run(body)
    assert world.failures == []
    pauses = [after - before for before, after in itertools.pairwise(looks)]
    assert len(pauses) >= 3
    assert all(1.5 * one < other for one, other in itertools.pairwise(pauses))


def test_preferred_link_is_looked_at_again_after_a_growing_pause(tmp_path):
    """It comes back by itself."""
    check_preferred_link_is_looked_at_again_after_a_growing_pause(tmp_path)


def check_who_refuses_without_keys_does_not_hold_a_device(folder):
    """Somebody on the first link answers each request at once with a refusal that nothing protects: the device leaves for the other link."""

    async def body(world):
        await world.ask(0)
        world.media[0].is_down_cut = True

        def refuse(datagram):
            token = datagram[4 : 4 + (datagram[0] & 15)]
            world.ways[0]._came.append(bytes([0x60 | len(token), 0x81]) + datagram[2:4] + token)

        world.ways[0].send = refuse
        for question in range(1, 20):
            await world.ask(question)

    world = lived(folder, body, 20)
    assert world.link.at == 1
    assert len(world.failures) == several._UNANSWERED_MAX


def test_who_refuses_without_keys_does_not_hold_a_device(tmp_path):
    """Only a verified answer says that a link is good."""
    check_who_refuses_without_keys_does_not_hold_a_device(tmp_path)


def test_three_links_go_round(tmp_path):
    """The first two die one after the other, then the first comes back, and it is found."""
    world = World(tmp_path, KINDS, 5)

    async def body(world):
        asking = asyncio.ensure_future(world.ask_all(400, every_s=3.0))
        await asyncio.sleep(20)
        world.media[0].cut()
        await asyncio.sleep(60)
        assert world.link.at == 1
        world.media[1].cut()
        await asyncio.sleep(200)
        assert len(world.answers) > 20
        assert world.link.at == 2 or world.link.is_looking
        world.media[0].cut(False)
        await asking
        assert world.link.at == 0

    world.run(body)
    world.check(400)


def test_counts_are_those_of_all_links(tmp_path):
    """What the allowance of a day is reckoned by."""
    world = World(tmp_path, ["udp", "serial"])

    async def body(world):
        await world.ask(0)
        world.media[0].cut()
        await world.ask(1)
        links = [way.link for way in world.ways]
        assert all(link.sent_bytes and link.received_bytes for link in links)
        assert world.link.sent_bytes == sum(link.sent_bytes for link in links)
        assert world.link.received_bytes == sum(link.received_bytes for link in links)
        assert world.link.lost == 0
        world.link.close()

    world.run(body)
