"""The gateway over BLE: every device is served and nothing is lost or doubled, whatever happens to connections, radio and adapter.

The gateway's own code through bleak, the agent's own link, bumble's controllers between them, on a virtual clock. Not tried: a radio.
"""

import asyncio
import random

import pytest

from protocol.coap import ACK, CHANGED, OSCORE, Message, encode
from protocol.gatt import DOWN, SERVICE, UP
from protocol.slipmux import encode_frame
from tests.support.ble_site import BleSite


def questions_of(site, device):
    return [question for name, question in site.taken if name == device.number]


async def all_asked(site, count, every_s=0.0):
    await asyncio.gather(*(device.ask_all(range(count), every_s) for device in site.devices))


def check_all_once(site, count):
    for device in site.devices:
        assert list(range(count)) == device.answered
        assert list(range(count)) == questions_of(site, device)


def test_request_and_answer_cross_in_pieces():
    """A device that has something to say is found, connected and answered; each direction in pieces of the MTU less 3."""

    async def body(site):
        device = site.device()
        assert await device.ask(7)
        (peer,) = site.peers[0]
        assert peer.startswith("ble:F0:")
        site.central.count()
        return site.health

    site = BleSite()
    health = site.run(body)

    assert [(0, 7)] == site.taken
    assert health.counts["ble_frames"] == 1
    assert health.links["ble"]["state"] == "scanning"
    assert health.links["ble"]["connected"] == 1


@pytest.mark.parametrize("mtu", [23, 24, 61, 158, 247, 512])
def test_any_mtu_serves(mtu):
    """Whatever radio and device agree to, longest requests and answers pass, both ways."""

    async def body(site):
        site.answer_bytes = 1000
        device = site.device()
        for question in range(3):
            assert await device.ask(question, 1000)
        assert device.transmissions == 3

    BleSite(mtu=mtu, adapter_mtu=mtu).run(body)


def test_mtu_may_be_another_after_each_connection():
    """A gateway that was updated, or another radio: pieces follow what the connection has."""

    async def body(site):
        device = site.device()
        for number, mtu in enumerate((23, 247, 61, 512, 23)):
            site.adapter.mtu = mtu
            assert await device.ask(number, 600)
            site.air.cut_all(site.adapter.device.controller)

    BleSite(mtu=512).run(body)


@pytest.mark.parametrize("seed", range(4))
def test_connections_that_break_at_any_packet_lose_and_double_nothing(seed):
    """Four devices, a radio that ends connections all the time, at any packet of finding, opening, asking and answering."""

    async def body(site):
        for _ in range(4):
            site.device(piece_s=0.01)
        await asyncio.sleep(0)
        site.air.cut_chance = 0.02
        await all_asked(site, 25)

    site = BleSite(seed)
    site.run(body)

    check_all_once(site, 25)
    assert site.air.cuts > 10


@pytest.mark.parametrize("packet", range(1, 60, 2))
def test_connection_that_breaks_at_one_packet_heals(packet):
    """Every other packet of two exchanges, from the first of a connection on, is lost once, and the connection with it."""

    async def body(site):
        device = site.device()
        site.air.cut_at = packet
        await device.ask_all(range(2))
        return device

    site = BleSite(mtu=60, adapter_mtu=60)
    device = site.run(body)

    check_all_once(site, 2)
    # A question is sent again when a connection opens, not when its time is up.
    assert site.time.now < 40
    assert len(device.heard) <= 3


def test_answer_of_an_ended_connection_is_not_sent_into_the_next():
    """What was not delivered is asked for again; a gateway that sent it by itself would answer questions that nobody asks."""

    async def body(site):
        device = site.device()
        assert await device.ask(1)
        (peer,) = site.peers[0]
        site.air.cut_all(site.adapter.device.controller)
        for n in range(3):
            answer = Message(ACK, CHANGED, n, b"late", [(OSCORE, b"")], b"too late")
            site.central.send(peer, encode(answer))
        assert await device.ask(2)
        return device

    site = BleSite()
    device = site.run(body)

    assert 2 == len(device.heard)
    assert site.health.counts["ble_unsent"] == 3


def test_halves_of_a_frame_from_two_connections_are_never_joined():
    """The first half of a request in one connection, the second in another: nobody is asked anything."""
    asked = []

    async def body(site):
        site.feed = lambda peer, datagram: asked.append(datagram)
        site.central._feed = site.feed
        device = site.device()
        frame = encode_frame(b"half and half, and no more")
        device.stream.write(frame[:10])
        await settled(site, device)
        site.air.cut_all(site.adapter.device.controller)
        await asyncio.sleep(1)
        device.stream.heard()
        device.stream.forget()
        device.stream.write(frame[10:])
        await settled(site, device)

    async def settled(site, device):
        for _ in range(30):
            device.link._look()
            await asyncio.sleep(0.5)
        assert site.central.document()["connected"] == 1

    BleSite().run(body)

    assert [] == asked


def test_slow_stack_of_a_device_delays_and_spoils_nothing():
    """Room for one piece that takes a fifth of a second: frames take their time, and arrive once."""

    async def body(site):
        device = site.device(room=1, piece_s=0.2)
        await device.ask_all(range(3))
        return device

    site = BleSite(mtu=23)
    site.run(body)

    check_all_once(site, 3)
    assert {1} == set(site.arrived.values())
    site.central.count()
    assert site.health.counts["ble_spoiled"] == 0


@pytest.mark.parametrize("connections", [1, 4])
def test_more_devices_than_connections_have_their_turns(connections):
    """Four devices that always want more: all are served, about equally, and never more connections than allowed."""

    async def body(site):
        for _ in range(4):
            site.device()
        tasks = [asyncio.ensure_future(device.ask_all(range(100_000), 1.0)) for device in site.devices]
        # By then nobody is a stranger any more.
        await asyncio.sleep(60)
        before = [len(device.answered) for device in site.devices]
        await asyncio.sleep(160)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [len(device.answered) - count for device, count in zip(site.devices, before, strict=True)]

    site = BleSite(connections=connections, turn_s=8)
    counts = site.run(body)

    assert site.adapter.connected_max == connections
    assert min(counts) > 0.5 * max(counts), counts
    for device in site.devices:
        assert device.answered == questions_of(site, device)[: len(device.answered)]


def test_garbage_under_our_service_costs_devices_nothing():
    """Strangers connect, subscribe and talk noise, text, unfinished frames without end; devices are served as before."""

    async def body(site):
        for _ in range(3):
            site.device()
        noise = random.Random(5)
        babbling = []
        for _ in range(3):
            stranger = site.device()
            site.devices.remove(stranger)
            babbling.append(asyncio.ensure_future(babble(stranger.stream, noise)))
        await all_asked(site, 12, every_s=2.0)

    async def babble(stream, noise):
        while True:
            stream._is_unanswered = True
            stream._frame = noise.choice(
                (noise.randbytes(200), b"\xc0\x0ahello\xc0", b"\xc0\xa9" + noise.randbytes(90))
            )
            stream._at = 0
            stream._tend()
            await asyncio.sleep(0.3)

    site = BleSite(connections=2, turn_s=10)
    site.run(body)

    check_all_once(site, 12)
    assert site.time.now < 200


def test_stranger_whose_requests_are_refused_gives_his_place_back():
    """He has the secret of another gateway, or none: after three refusals he is let go, and asked again less and less often."""

    async def body(site):
        site.protects = False
        stranger = site.device()
        for question in range(5):
            await stranger.ask(question)
            await asyncio.sleep(1)
        return site.central.turns, site.central.document()["connected"]

    turns, connected = BleSite().run(body)

    assert 2 <= turns <= 4


def test_adapter_that_is_pulled_off_is_found_again():
    """It is said once, tried again, and nothing is lost or doubled."""

    async def body(site):
        for _ in range(3):
            site.device()
        asking = asyncio.ensure_future(all_asked(site, 30, every_s=2.0))
        for _ in range(3):
            await asyncio.sleep(20)
            site.adapter.switch_off()
            await asyncio.sleep(15)
            await site.adapter.switch_on()
        await asking

    site = BleSite()
    site.run(body)

    check_all_once(site, 30)
    assert ["ble-away"] * len(site.told) == [said.code for said in site.told]
    assert 1 <= len(site.told) <= 3
    assert site.health.counts["ble_losses"] == len(site.told)


def test_what_has_our_service_and_not_its_characteristics_is_left_alone():
    """It is connected, found out, and let go; later attempts become rare."""

    async def body(site):
        device = site.device()
        radio = device.radio
        await asyncio.sleep(0.1)
        for attribute in radio._attributes.values():
            attribute.uuid = type(attribute.uuid)(SERVICE[:-4] + "00ff")
        device.link.send(b"question")
        for _ in range(600):
            await asyncio.sleep(1)
            device.link._look()
        return site.central.turns

    turns = BleSite().run(body)

    assert 2 <= turns <= 10


def test_answers_that_nobody_fetches_are_bounded():
    """A connection that takes nothing any more: the newest find no room and are counted."""

    async def body(site):
        device = site.device()
        assert await device.ask(1)
        (peer,) = site.peers[0]
        for n in range(100):
            site.central.send(peer, encode(Message(ACK, CHANGED, n, b"", [], bytes(500))))
        await asyncio.sleep(5)
        site.central.count()

    site = BleSite()
    site.run(body)

    assert 90 <= site.health.counts["ble_unsent"] <= 99


def test_service_and_characteristics_are_those_of_the_specification():
    """A gateway of today finds a device of tomorrow."""
    assert SERVICE == "867009b6-bee8-4a23-ae2f-da5976c90001"
    assert {DOWN[-1], UP[-1]} == {"2", "3"}
