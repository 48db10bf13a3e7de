"""What goes down, on its shelf and on its way there: what is kept, for whom, within which room, and when it is asked for again."""

import asyncio
import hashlib
import random
import sqlite3

import pytest

from gateway.downlink import Downlink
from gateway.errors import OfficeBusy, OfficeUnreachable, StoreFull
from gateway.fetcher import Fetcher
from gateway.health import Health
from gateway.outbox import Outbox
from gateway.readings import Readings
from gateway.shelf import COMMANDS_MAX, COMMANDS_PER_DEVICE_MAX, Shelf
from gateway.store import STORED, Batch
from gateway.store_down import BODY_BYTES_MAX, COMMAND_BYTES_MAX, DOWN_BYTES_MAX, StoreDown, command_bytes
from gateway.uplink import Backoff
from protocol.command import Command, seal_command
from protocol.keys import downlink_key
from protocol.manifest import MODEL
from protocol.segment import parse_segment
from protocol.uplink import UplinkAnswer, encode_uplink_answer
from tests.agent.release_bench import make_release
from tests.gateway.site import DOWNLINK, TestClock, device_id, new_store, segment, until
from tests.gateway.test_store import pages

BODY = bytes(range(256)) * 20
RELEASE, BODIES = make_release(7, [BODY], kinds=[MODEL])
OTHER, OTHER_BODIES = make_release(8, [BODY[::-1]], kinds=[MODEL])


def command(number, device):
    """Return a sealed command to report."""
    return seal_command(Command(device, number, 1 << 50, [2]), downlink_key(DOWNLINK, "command"))


def run(folder, body, **options):
    """Run body(store, shelf) on a store in folder."""

    async def main():
        store = new_store(folder, **options)
        shelf = Shelf(StoreDown(store))
        await shelf.load()
        try:
            return await body(store, shelf)
        finally:
            await store.close()

    return asyncio.run(main())


async def fill(shelf, release=RELEASE, bodies=BODIES, number=7):
    """Let device 1 want a release and put all of it on the shelf."""
    await shelf.replace([(device_id(), number)], [])
    for raw in (release, *bodies):
        await shelf.put(shelf.lacking()[0], raw)


async def rows(store, table):
    return await store.read(lambda at: at.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def check_withdrawn_on_its_way(folder, bodies_before):
    async def body(store, shelf):
        await shelf.replace([(device_id(), 7)], [])
        for raw in (RELEASE, *BODIES)[:bodies_before]:
            await shelf.put(shelf.lacking()[0], raw)
        on_its_way = shelf.lacking()[0]
        await shelf.replace([(device_id(), 0)], [])
        await shelf.put(on_its_way, (RELEASE, *BODIES)[bodies_before])

        kept = [await rows(store, table) for table in ("wanted", "releases", "parts")]
        assert kept == [0, 0, 0], "it is kept"
        assert shelf.document()["releases"] == []
        await fill(shelf)
        assert shelf.deliverable(device_id()) == 7

    run(folder, body)


@pytest.mark.parametrize("bodies_before", [0, 1])
def test_body_that_was_withdrawn_on_its_way_is_let_go(tmp_path, bodies_before):
    """The office takes a release back while it, or a part of it, is being fetched: nothing of it stays, and it may come again."""
    check_withdrawn_on_its_way(tmp_path, bodies_before)


def test_release_that_gained_a_signature_is_fetched_again_when_it_is_wanted_again(tmp_path):
    """Its bytes stay as they came while it is wanted; halted and rolled out again, it is fetched anew, with what it gained."""

    async def body(store, shelf):
        signed_twice, _ = make_release(7, [BODY], ("release", "recovery"), kinds=[MODEL])
        await fill(shelf)
        await shelf.replace([(device_id(), 0)], [])
        await fill(shelf, signed_twice)

        assert shelf.release(device_id(), 7).raw == signed_twice

    run(tmp_path, body)


def check_damaged_body(folder):
    run(folder, lambda store, shelf: fill(shelf))
    with sqlite3.connect(folder / "gateway.db") as connection:
        connection.execute("UPDATE parts SET body = zeroblob(length(body))")

    async def body(store, shelf):
        lacking = shelf.lacking()
        assert [one.at for one in lacking] == [(0,)]
        assert shelf.deliverable(device_id()) is None
        await shelf.put(lacking[0], BODY)
        assert shelf.part(device_id(), 7, (0,)).raw == BODY

    run(folder, body)


def test_part_that_the_disk_damaged_is_fetched_again(tmp_path):
    """A part whose bytes are not those that were stored is lacking after a restart, not handed out."""
    check_damaged_body(tmp_path)


def test_release_that_the_disk_damaged_is_fetched_again(tmp_path):
    """A release that does not parse any more does not keep the gateway from starting: it is lacking."""
    run(tmp_path, lambda store, shelf: fill(shelf))
    with sqlite3.connect(tmp_path / "gateway.db") as connection:
        connection.execute("UPDATE releases SET raw = zeroblob(100)")

    async def body(store, shelf):
        (lacking,) = shelf.lacking()
        await shelf.put(lacking, RELEASE)
        assert shelf.release(device_id(), 7).raw == RELEASE

    run(tmp_path, body)


def check_no_room_is_taken(folder, size):
    async def body(store, shelf):
        down = StoreDown(store)
        free = await store.read(lambda _: store._free_bytes())
        for n in range(40):
            await down.put_part(bytes([n]) * 32, bytes(size))
            assert await store.read(lambda _: store._free_bytes()) >= free - 4096

    run(folder, body, bytes_max=1 << 20)


@pytest.mark.parametrize("size", [1, 300, 900, 1100, 2100, 4050, 4100, 8200, 16_000, 16_384])
def test_releases_take_no_room_from_custody(tmp_path, size):
    """Whatever size the bodies have: custody has the room that it had without them, to the page."""
    check_no_room_is_taken(tmp_path, size)


def test_commands_take_no_room_from_custody(tmp_path):
    """Nor do a thousand waiting commands, or the devices that they wait for."""

    async def body(store, shelf):
        free = await store.read(lambda _: store._free_bytes())
        for n in range(16):
            named = [n.to_bytes(8, "big")]
            waiting = [command(number, device) for device in named for number in range(1, 65)]
            await shelf.replace([(device, 7) for device in named], waiting)
        assert shelf.document()["commands_waiting"] == 1024
        assert await store.read(lambda _: store._free_bytes()) >= free - 4096

    run(tmp_path, body, bytes_max=1 << 20)


def test_full_share_refuses_bodies_and_no_segment(tmp_path):
    """When what goes down fills its share, the next body is refused and segments are taken as before."""

    async def body(store, shelf):
        down = StoreDown(store)
        with pytest.raises(StoreFull, match=str(BODY_BYTES_MAX)):
            for n in range(1000):
                await down.put_part(n.to_bytes(32, "big"), bytes(16_000))
        assert await rows(store, "parts") > 100
        assert await store.add_segment(parse_segment(segment(0))) == STORED

    run(tmp_path, body, bytes_max=1 << 20)


def test_commands_of_one_device_and_of_all_are_limited(tmp_path):
    """However many commands the office names, the lowest 64 of a device are kept, and so many of the site."""

    async def body(store, shelf):
        await shelf.replace([(device_id(), 0)], [command(number, device_id()) for number in range(1, 200)])
        assert await rows(store, "commands") == COMMANDS_PER_DEVICE_MAX
        assert shelf.newest_command(device_id()) == COMMANDS_PER_DEVICE_MAX
        for n in range(2, COMMANDS_MAX // COMMANDS_PER_DEVICE_MAX + 9):
            device = n.to_bytes(8, "big")
            waiting = [command(number, device) for number in range(1, COMMANDS_PER_DEVICE_MAX + 1)]
            await shelf.replace([(device, 0)], waiting)
        assert await rows(store, "commands") == COMMANDS_MAX

    run(tmp_path, body)


# Commands from here on are alike in length.
FIRST = 100


def big_command(number, device):
    """Return a sealed command of the largest size."""
    fields = Command(device, number, 1 << 62, [200, *[1 << 62] * 4])
    return seal_command(fields, downlink_key(DOWNLINK, "command"))


async def fill_commands(shelf):
    """Let so many commands wait that the next device's find no room for some; return that device and all commands for it."""
    n = 0
    while True:
        n += 1
        device = n.to_bytes(8, "big")
        waiting = [big_command(FIRST + n, device) for n in range(COMMANDS_PER_DEVICE_MAX)]
        await shelf.replace([(device, 0)], waiting)
        if shelf.document()["commands_refused"]:
            return device, waiting
        assert n * COMMANDS_PER_DEVICE_MAX < COMMANDS_MAX, "nothing was refused"


def check_command_share(folder):
    async def body(store, shelf):
        free = await store.read(lambda _: store._free_bytes())
        device, waiting = await fill_commands(shelf)
        kept = await rows(store, "commands")
        taken = kept * command_bytes(waiting[0])
        refused = shelf.document()["commands_refused"]

        assert COMMAND_BYTES_MAX - command_bytes(waiting[0]) < taken <= COMMAND_BYTES_MAX
        assert shelf.newest_command(device) == FIRST + len(waiting) - refused - 1
        assert await store.read(lambda _: store._free_bytes()) >= free - 4096
        assert await store.add_segment(parse_segment(segment(0))) == STORED

    run(folder, body, bytes_max=1 << 20)


def test_commands_above_their_share_are_refused_and_no_segment(tmp_path, caplog):
    """Commands that are fewer than the most, but longer than their share, are refused and named; custody has the room that it had."""
    check_command_share(tmp_path)

    (said,) = [record.message for record in caplog.records if record.name == "gateway.shelf"]
    assert str(COMMAND_BYTES_MAX) in said and "withdraw" in said


def check_lower_command_goes_first(folder):
    async def body(store, shelf):
        device, waiting = await fill_commands(shelf)
        kept = len(waiting) - shelf.document()["commands_refused"]
        await shelf.replace([(device, 0)], [*waiting[: kept + 1], command(FIRST + 99, device)])

        assert shelf.newest_command(device) == FIRST + kept - 1, (
            "a later command overtook one that was refused"
        )

    run(folder, body)


def test_no_command_overtakes_one_that_was_refused(tmp_path):
    """A device never looks below the highest number that it took: after a refused command nothing of that device is kept."""
    check_lower_command_goes_first(tmp_path)


def test_refused_command_is_taken_when_there_is_room_again(tmp_path):
    """When others are carried out, the office's next word about the device is taken whole, and nothing is called refused."""

    async def body(store, shelf):
        device, waiting = await fill_commands(shelf)
        await shelf.replace([(bytes(7) + b"\1", 0)], [])
        await shelf.replace([(device, 0)], waiting)

        assert shelf.newest_command(device) == FIRST + len(waiting) - 1
        assert shelf.document()["commands_refused"] == 0

    run(tmp_path, body)


def check_shares_are_apart(folder, *, commands_first):
    async def body(store, shelf):
        down = StoreDown(store)
        if commands_first:
            await fill_commands(shelf)
        with pytest.raises(StoreFull):
            for n in range(1000):
                await down.put_part(n.to_bytes(32, "big"), bytes(16_000))
        if not commands_first:
            await fill_commands(shelf)

        assert await rows(store, "parts") * 16_000 > BODY_BYTES_MAX * 0.7
        assert (
            await rows(store, "commands") * command_bytes(big_command(FIRST, bytes(8)))
            > COMMAND_BYTES_MAX - 400
        )
        assert store.down_bytes <= DOWN_BYTES_MAX

    run(folder, body)


@pytest.mark.parametrize("commands_first", [True, False])
def test_commands_and_releases_do_not_crowd_each_other_out(tmp_path, commands_first):
    """Whichever of the two came first and filled its share: the other has all of its own, and together they keep theirs."""
    check_shares_are_apart(tmp_path, commands_first=commands_first)


def test_full_disk_leaves_the_shelf_as_it_was(tmp_path):
    """A disk that cannot grow refuses a body: it stays lacking, what was there is delivered on, and segments are taken when there is room."""

    async def body(store, shelf):
        await fill(shelf)
        big, bodies = make_release(
            9, [random.Random(n).randbytes(16_000) for n in range(8)], kinds=[MODEL] * 8
        )
        await shelf.replace([(device_id(2), 9)], [])
        await shelf.put(shelf.lacking()[0], big)
        with pytest.raises(StoreFull):
            for raw in bodies:
                await shelf.put(shelf.lacking()[0], raw)

        assert shelf.deliverable(device_id(2)) is None
        assert shelf.part(device_id(), 7, (0,)).raw == BODY
        await shelf.replace([(device_id(2), 0)], [])
        assert await store.add_segment(parse_segment(segment(0))) == STORED

    run(tmp_path, body, connect=pages(48))


def check_device_that_left(folder):
    async def body(store, shelf):
        links = {device_id(1), device_id(2)}
        outbox = Outbox(
            *(store, Downlink(), shelf, Health()),
            is_known=lambda device: device in links,
            lacks=lambda: None,
            is_revoked=lambda device: True,
            revoke=lambda devices: None,
            readings=Readings(store, Health(), clock=None),
        )
        named = [(device_id(1), 7), (device_id(2), 8), (device_id(3), 7)]
        answer = encode_uplink_answer(UplinkAnswer(releases=named, commands=[command(1, device_id(2))]))
        await outbox.settle(Batch([], []), answer)
        assert shelf.devices() == links
        links.remove(device_id(2))
        await outbox.settle(Batch([], []), encode_uplink_answer(UplinkAnswer()))

        assert shelf.devices() == {device_id(1)}
        assert [await rows(store, table) for table in ("wanted", "commands")] == [1, 0]
        assert [one.number for one in shelf.lacking()] == [7]

    run(folder, body)


def test_what_was_for_a_device_that_left_is_removed(tmp_path):
    """A device that is not in links.toml gets nothing kept; one that was taken out of it loses what was."""
    check_device_that_left(tmp_path)


def test_part_that_two_releases_name_is_fetched_once(tmp_path):
    """An unchanged part travels once: it is lacking once, and kept while one of the two is wanted."""

    async def body(store, shelf):
        twin, _ = make_release(9, [BODY], kinds=[MODEL])
        await shelf.replace([(device_id(1), 7), (device_id(2), 9)], [])
        for raw in (RELEASE, twin):
            await shelf.put(next(one for one in shelf.lacking() if one.at == ()), raw)
        (lacking,) = shelf.lacking()
        await shelf.put(lacking, BODY)
        await shelf.replace([(device_id(1), 0)], [])

        assert shelf.part(device_id(2), 9, (0,)).raw == BODY

    run(tmp_path, body)


def fetcher_of(shelf, get, clock):
    """Return a fetcher that waits 1 s, then 2 s, to 60 s, and its health."""
    health = Health()
    backoff = Backoff(least_s=1.0, most_s=60.0, rng=random.Random(5))
    return Fetcher(shelf, health, get, backoff=backoff, clock=clock, point=lambda name: None), health


def check_retry_after(folder):
    async def body(store, shelf):
        async def get(path, bytes_max):
            raise OfficeBusy("the office answered 503", 40.0)

        clock = TestClock()
        fetcher, health = fetcher_of(shelf, get, clock)
        await shelf.replace([(device_id(), 7)], [])
        await fetcher.step()

        assert clock.slept[0] >= 40.0
        assert health.counts["fetch_failures"] == 1

    run(folder, body)


def test_office_that_asks_to_come_back_later_is_heard(tmp_path):
    """503 with Retry-After for a release: it is not asked for before."""
    check_retry_after(tmp_path)


def test_waits_for_a_release_that_does_not_come_grow(tmp_path):
    """Each failure waits longer than the one before, to the longest; a success starts over."""

    async def body(store, shelf):
        answers = [OfficeUnreachable("down")] * 9 + [RELEASE, BODY]

        async def get(path, bytes_max):
            answer = answers.pop(0)
            if isinstance(answer, OfficeUnreachable):
                raise answer
            return answer

        clock = TestClock()
        fetcher, health = fetcher_of(shelf, get, clock)
        await shelf.replace([(device_id(), 7)], [])
        while await fetcher.step():
            pass

        # Half to whole of 1, 2, 4 ... 60 s.
        assert all(2 ** min(n, 5) / 2 <= slept <= 60 for n, slept in enumerate(clock.slept[:9]))
        assert health.counts["bodies_fetched"] == 2
        assert fetcher._backoff.failures == 0

    run(tmp_path, body)


class Endless(TestClock):
    """A clock whose waits never end."""

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.Event().wait()


def test_release_that_is_new_does_not_wait_for_one_that_failed(tmp_path):
    """While one release is left alone for long, another that the office names is fetched at once, with its parts."""

    async def body(store, shelf):
        there = {
            "/v1/releases/8": OTHER,
            f"/v1/parts/{hashlib.sha256(OTHER_BODIES[0]).hexdigest()}": OTHER_BODIES[0],
        }

        async def get(path, bytes_max):
            if path not in there:
                raise OfficeUnreachable("not that one")
            return there[path]

        clock = Endless()
        fetcher, _ = fetcher_of(shelf, get, clock)
        task = asyncio.create_task(fetcher.run())
        await shelf.replace([(device_id(1), 7)], [])
        fetcher.wake()
        await until(lambda: clock.slept, "it did not wait")
        fetcher.wake()
        await shelf.replace([(device_id(2), 8)], [])
        fetcher.wake()
        await until(lambda: shelf.deliverable(device_id(2)) == 8, "the new one waited")
        task.cancel()

        assert shelf.deliverable(device_id(1)) is None

    run(tmp_path, body)


def test_release_that_failed_waits_its_time_whatever_else_the_office_names(tmp_path):
    """New releases end the pause for themselves only: who is asked for the failed one is not asked more often for them."""

    async def body(store, shelf):
        asked = []

        async def get(path, bytes_max):
            asked.append(path)
            raise OfficeBusy("the office answered 503", 60.0)

        clock = Endless()
        fetcher, health = fetcher_of(shelf, get, clock)
        task = asyncio.create_task(fetcher.run())
        named = []
        for number in (7, 8, 9):
            named.append((device_id(number), number))
            await shelf.replace(named, [])
            fetcher.wake()
            await until(lambda: len(asked) >= len(named), "the new one was not asked for")
        await asyncio.sleep(0.05)
        task.cancel()

        assert [f"/v1/releases/{number}" for number in (7, 8, 9)] == asked

    run(tmp_path, body)
