"""Releases and commands through the gateway: fetched whole from the office, kept, and handed to the devices they are for, and to no other."""

import asyncio
import hashlib
import socket
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.collector import Reply
from gateway.delivery import Delivery
from gateway.health import Health
from gateway.points import EXIT_CODE
from gateway.shelf import Shelf
from gateway.store_down import StoreDown
from protocol import coap
from protocol.blockwise import decode_block, encode_block
from protocol.command import Command, seal_command
from protocol.keys import downlink_key
from protocol.limits import block_bytes
from protocol.manifest import MODEL
from tests.agent.release_bench import make_release
from tests.gateway.site import (
    DOWNLINK,
    DeviceDouble,
    GatewayProcess,
    OfficeDouble,
    custody_of,
    device_id,
    drip,
    flood,
    new_store,
    segment,
    until,
)
from tools.ports import free_port

NUMBER = 7
BODY = bytes(range(256)) * 40
RELEASE, BODIES = make_release(NUMBER, [BODY], kinds=[MODEL])
PART = hashlib.sha256(BODY).hexdigest()


def command(number, device=None):
    """Return a sealed command to report."""
    fields = Command(device or device_id(), number, 1 << 50, [2])
    return seal_command(fields, downlink_key(DOWNLINK, "command"))


async def offered(running, n=1):
    """Let the office want the release on device n, and return the device once the gateway names it."""
    return await running.offer(RELEASE, BODIES, n)


@pytest.mark.parametrize("size", [16, 64, 512])
def test_release_and_part_arrive_block_by_block_byte_for_byte(site, size):
    """Whatever block size the device asks for, from any block on, it gets the very bytes that the office signed."""

    async def body(running):
        device = await offered(running)
        start = 3

        assert await device.fetch(f"r/{NUMBER}", size) == RELEASE
        assert await device.fetch(f"r/{NUMBER}/0") == BODY
        assert await device.fetch(f"r/{NUMBER}", size, start) == RELEASE[start * size :]

    site(body)


def check_etag_is_of_the_whole_body(site):
    async def body(running):
        device = await offered(running)
        answers = [await device.get(f"r/{NUMBER}/0", (number, block_bytes)) for number in (0, 1, 5)]

        etag = hashlib.sha256(BODY).digest()[:8]
        assert [coap.option(one.options, coap.ETAG) for one in answers] == [etag] * 3
        assert int.from_bytes(coap.option(answers[0].options, coap.SIZE2), "big") == len(BODY)
        assert coap.option(answers[1].options, coap.SIZE2) is None

    site(body)


def test_blocks_of_one_body_carry_one_tag(site):
    """The ETag is of the whole body on every block, so that blocks of two are never put together; block 0 tells the size."""
    check_etag_is_of_the_whole_body(site)


def check_nobody_else_gets_it(site):
    async def body(running):
        await offered(running)
        running.office.commands[device_id(1)] = [command(4)]
        await running.devices[0].beat(counter=99)
        await until(lambda: running.gateway.shelf.newest_command(device_id(1)) == 4, "no command")
        other = running.device(2)
        answers = [await other.get(path) for path in (f"r/{NUMBER}", f"r/{NUMBER}/0", "c/1")]
        beat = await other.beat(counter=1)

        assert [one.code for one in answers] == [coap.NOT_FOUND] * 3
        assert (beat.release, beat.command) == (None, None)
        assert running.gateway.health.counts["not_for_device"] == 2

    site(body)


def test_other_devices_release_and_command_are_not_there(site):
    """What is wanted on one device does not exist for another, and the question is counted."""
    check_nobody_else_gets_it(site)


def check_named_only_when_whole(site):
    async def body(running):
        running.office.put_release(RELEASE, BODIES)
        part = running.office.bodies.pop(f"/v1/parts/{PART}")
        running.office.wanted[device_id()] = NUMBER
        device = running.device()
        await device.beat(counter=1)
        await until(lambda: f"/v1/parts/{PART}" in running.office.gets, "the part was not asked for")
        early = await device.beat(counter=2)
        early_get = await device.get(f"r/{NUMBER}")
        running.office.bodies[f"/v1/parts/{PART}"] = part
        await until(lambda: running.gateway.shelf.deliverable(device_id()) == NUMBER, "it never came")

        assert (early.release, early_get.code) == (None, coap.NOT_FOUND)
        assert (await device.beat(counter=3)).release == NUMBER

    site(body)


def test_release_is_named_only_once_all_of_it_is_here(site):
    """A device is never sent for what cannot be delivered."""
    check_named_only_when_whole(site)


def test_release_is_delivered_after_a_restart_without_the_office(site):
    """What was fetched is durable: the gateway starts again, the office is gone, the device gets every byte."""

    async def body(running):
        device = await offered(running)
        await running.office.stop()
        await running.restart()

        assert (await device.beat(counter=50)).release == NUMBER
        assert await device.fetch(f"r/{NUMBER}/0") == BODY

    site(body)


LIES = {
    "another number": lambda: {f"/v1/releases/{NUMBER}": make_release(8, [BODY], kinds=[MODEL])[0]},
    "no release at all": lambda: {f"/v1/releases/{NUMBER}": b"\x00" * 200},
    "an oversized release": lambda: {f"/v1/releases/{NUMBER}": bytes(12_000)},
    "an empty body": lambda: {f"/v1/releases/{NUMBER}": b""},
    "not there": lambda: {f"/v1/releases/{NUMBER}": None},
    "another part": lambda: {f"/v1/parts/{PART}": BODY[:-1] + b"x"},
    "a short part": lambda: {f"/v1/parts/{PART}": BODY[:-1]},
    "a long part": lambda: {f"/v1/parts/{PART}": BODY + b"x"},
}
# These come to nothing: there is nothing that could be refused.
ABSENT = ("not there",)


def check_lying_office(site, lie):
    async def body(running):
        running.office.put_release(RELEASE, BODIES)
        told = LIES[lie]()
        running.office.bodies.update(told)
        running.office.wanted[device_id()] = NUMBER
        device = running.device()
        await device.beat(counter=1)
        await until(lambda: running.office.gets.count(next(iter(told))) >= 3, "it was not asked for again")
        answers = [await device.send(segment(number)) for number in range(3)]

        assert running.gateway.shelf.deliverable(device_id()) is None
        assert custody_of(answers[-1]) == 3
        name = "fetch_failures" if lie in ABSENT else "bodies_refused"
        assert running.gateway.health.counts[name] >= 2
        running.office.put_release(RELEASE, BODIES)
        await until(
            lambda: running.gateway.shelf.deliverable(device_id()) == NUMBER, "the truth was not taken"
        )
        assert await device.fetch(f"r/{NUMBER}/0") == BODY

    site(body)


@pytest.mark.parametrize("lie", LIES)
def test_lying_office_gets_nothing_stored_and_holds_up_no_segment(site, lie):
    """What is not what was asked for is not kept and asked for again; segments flow meanwhile, and the truth is taken when it comes."""
    check_lying_office(site, lie)


def check_endless_body(site, path, pour, counted):
    async def body(running):
        running.office.put_release(RELEASE, BODIES)
        running.office.slow[path] = pour
        running.office.wanted[device_id()] = NUMBER
        device = running.device()
        await device.beat(counter=1)
        await until(lambda: running.office.gets.count(path) >= 3, "it was not asked for again")
        await device.send(segment(0))
        await until(lambda: running.office.numbers(device_id()) == [0], "the segment did not get through")

        assert running.gateway.shelf.deliverable(device_id()) is None
        assert running.gateway.health.counts[counted] >= 2
        running.office.slow.clear()
        await until(lambda: running.gateway.shelf.deliverable(device_id()) == NUMBER, "it never came")
        assert await device.fetch(f"r/{NUMBER}/0") == BODY

    site(body, timeout_s=0.5)


@pytest.mark.parametrize("path", [f"/v1/releases/{NUMBER}", f"/v1/parts/{PART}"], ids=["release", "part"])
def test_dripping_office_holds_up_no_segment(site, path):
    """A release or part whose bytes come one by one is given up; segments get through meanwhile, and it when it comes whole."""
    check_endless_body(site, path, drip, "fetch_failures")


@pytest.mark.parametrize("path", [f"/v1/releases/{NUMBER}", f"/v1/parts/{PART}"], ids=["release", "part"])
def test_endless_body_is_left_at_the_longest_honest_size(site, path):
    """A release or part that tells no size and never ends is refused as too long, not read until the time is up."""
    check_endless_body(site, path, flood, "bodies_refused")


def check_withdrawn_command_is_gone(site):
    async def body(running):
        running.office.commands[device_id()] = [command(4), command(6)]
        device = running.device()
        await device.beat(counter=1)
        await until(lambda: running.gateway.shelf.newest_command(device_id()) == 6, "no commands")
        first, second = await device.get("c/1"), await device.get("c/5")
        running.office.commands[device_id()] = [command(6)]
        await device.beat(counter=2)
        await until(lambda: running.gateway.shelf.command(device_id(), 1) == command(6), "4 is still there")
        running.office.commands[device_id()] = []
        await device.beat(counter=3)
        await until(lambda: running.gateway.shelf.newest_command(device_id()) is None, "6 is still there")

        assert (first.payload, second.payload) == (command(4), command(6))
        assert (await device.get("c/1")).code == coap.NOT_FOUND
        assert (await device.beat(counter=4)).command is None

    site(body)


def test_offices_newest_word_about_commands_replaces_the_one_before(site):
    """The lowest number at or above the one asked for is handed over; what the office no longer names is gone."""
    check_withdrawn_command_is_gone(site)


def test_what_no_device_is_to_have_any_more_is_removed(site):
    """A halted release leaves the gateway's disk with its parts."""

    async def body(running):
        device = await offered(running)
        running.office.wanted[device_id()] = 0
        await device.beat(counter=60)
        await until(lambda: running.gateway.shelf.document()["releases"] == [], "it is still there")

        assert (await device.beat(counter=61)).release is None
        with sqlite3.connect(running.path.parent / "gateway.db") as connection:
            assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)

    site(body)


def test_methods_paths_and_options_that_are_not_ours_are_refused(site):
    """POST where only GET is, GET where only POST is, numbers in another form than the one, an option nobody knows."""

    async def body(running):
        device = await offered(running)

        assert (await device.post(f"r/{NUMBER}", b"")).code == coap.METHOD_NOT_ALLOWED
        assert (await device.get("s")).code == coap.METHOD_NOT_ALLOWED
        for path in (
            "r",
            "c",
            f"r/0{NUMBER}",
            f"r/+{NUMBER}",
            "r/12345678901",
            f"r/{NUMBER}/1",
            f"r/{NUMBER}/0/0",
            "c/1/1",
        ):
            assert (await device.get(path)).code == coap.NOT_FOUND, path
        assert (await device.get(f"r/{NUMBER}/0", (20, 512))).code == coap.BAD_REQUEST
        strange = await device.client.request(coap.GET, f"r/{NUMBER}", b"", [(2049, b"x")])
        assert strange.code == coap.BAD_OPTION

    site(body)


def test_larger_blocks_than_ours_are_answered_with_ours():
    """A request for 1,024 bytes gets 512 and says so; a size that does not exist is 4.00, an option too long 4.02."""
    ask = Delivery(_OneBody(), Health()).get
    path = [b"r", b"%d" % NUMBER]

    reply = ask(device_id(), path, encode_block(1, False, 1024))
    assert reply.payload == BODY[1024:1536]
    assert decode_block(coap.option(list(reply.options), coap.BLOCK2)) == (2, True, 512)
    assert ask(device_id(), path, b"\x07").code == coap.BAD_REQUEST
    assert ask(device_id(), path, b"\0\0\0\0").code == coap.BAD_OPTION


class _OneBody:
    def release(self, device, number):
        from gateway.shelf import Body

        return Body(BODY, b"t" * 8) if number == NUMBER else None

    def part(self, device, number, index):
        return None

    def command(self, device, at_least):
        return None


@settings(max_examples=300, deadline=None)
@given(
    path=st.lists(st.one_of(st.binary(max_size=6), st.sampled_from([b"r", b"c", b"7"])), max_size=4),
    block=st.one_of(st.none(), st.binary(max_size=5)),
)
def test_any_path_and_block_end_in_a_reply(path, block):
    """Whatever an authenticated device asks for, it is answered, with at most one block."""
    reply = Delivery(_OneBody(), Health()).get(device_id(), path, block)

    assert isinstance(reply, Reply)
    assert len(reply.payload) <= block_bytes
    if reply.code == coap.CONTENT:
        number, is_more, size = decode_block(coap.option(list(reply.options), coap.BLOCK2))
        assert is_more == ((number + 1) * size < len(BODY))


@pytest.mark.parametrize("point", ["before_release_stored", "after_release_stored"])
def test_kill_between_fetch_and_commit_leaves_nothing_half(files, certificates, point):
    """Killed around the moment in which a body becomes durable, the gateway starts again and delivers every byte."""

    async def main():
        office = await OfficeDouble(certificates).start()
        office.put_release(RELEASE, BODIES)
        office.wanted[device_id()] = NUMBER
        port = free_port(socket.SOCK_DGRAM)
        path = files(coap_port=port, office_port=office.port)
        gateway = await asyncio.to_thread(GatewayProcess, path, point=f"{point}:1")
        device = DeviceDouble(port, ack_timeout_ms=300)
        try:
            await device.beat(counter=1)
            assert await asyncio.to_thread(gateway.wait) == EXIT_CODE
            gateway = await asyncio.to_thread(GatewayProcess, path)
            counter = 2
            async with asyncio.timeout(30):
                while (await device.beat(counter=counter)).release != NUMBER:
                    counter += 1
                    await asyncio.sleep(0.1)
            assert await device.fetch(f"r/{NUMBER}") == RELEASE
            assert await device.fetch(f"r/{NUMBER}/0") == BODY
        finally:
            if gateway.is_running():
                gateway.terminate()
            device.close()
            await office.stop()

    asyncio.run(main())


def test_delivery_goes_on_at_any_block_after_a_kill_without_the_office(files, certificates):
    """kill -9 in the middle of a body, and the office gone: the device goes on at the next block and has every byte."""

    async def main():
        office = await OfficeDouble(certificates).start()
        office.put_release(RELEASE, BODIES)
        office.wanted[device_id()] = NUMBER
        port = free_port(socket.SOCK_DGRAM)
        path = files(coap_port=port, office_port=office.port)
        gateway = await asyncio.to_thread(GatewayProcess, path)
        device = DeviceDouble(port, ack_timeout_ms=300)
        try:
            async with asyncio.timeout(30):
                counter = 1
                while (await device.beat(counter=counter)).release != NUMBER:
                    counter += 1
                    await asyncio.sleep(0.05)
            await office.stop()
            begun = [(await device.get(f"r/{NUMBER}/0", (number, 512))).payload for number in range(7)]
            gateway.kill()
            gateway = await asyncio.to_thread(GatewayProcess, path)
            assert b"".join(begun) + await device.fetch(f"r/{NUMBER}/0", start=7) == BODY
        finally:
            if gateway.is_running():
                gateway.terminate()
            device.close()

    asyncio.run(main())


def test_store_of_the_step_before_goes_on_with_what_it_holds(tmp_path):
    """A gateway that was made before releases existed keeps its segments and gets its shelf."""

    async def main():
        store = new_store(tmp_path)
        from protocol.segment import parse_segment

        await store.add_segment(parse_segment(segment(0)))
        await store.close()
        with sqlite3.connect(tmp_path / "gateway.db") as connection:
            for table in ("wanted", "commands", "releases", "parts"):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("DELETE FROM migrations WHERE name = '0002_down'")
        again = new_store(tmp_path)
        shelf = Shelf(StoreDown(again))
        await shelf.load()
        held = again.lane(device_id(), 1, 0).held.count()
        await again.close()
        return held, shelf.document()

    held, document = asyncio.run(main())
    assert held == 1
    assert document == {
        "releases": [],
        "wanted": {},
        "lacking": 0,
        "commands_waiting": 0,
        "commands_refused": 0,
    }
