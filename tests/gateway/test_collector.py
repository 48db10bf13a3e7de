"""Exchanges with devices: custody, wants, receipts, time; forks; what is refused."""

import asyncio

import pytest

from protocol import coap
from protocol.segment import parse_segment
from tests.gateway.site import custody_of, device_id, heartbeat, segment, time_token, tombstone, until
from tests.gateway.test_store import FailingDisk

DIGEST = b"x" * 32


def digest_of(number, **fields):
    return parse_segment(segment(number, **fields)).digest


def check_custody_stops_at_a_hole(site):
    async def body(running):
        device = running.device()
        assert custody_of(await device.send(segment(0))) == 1
        assert custody_of(await device.send(segment(2))) == 1
        answer = await device.beat(routine=(0, 2, digest_of(2)))
        assert answer.wants == [(1, 0, 1, 2)]
        assert custody_of(answer) == 1

        assert custody_of(await device.send(segment(1))) == 3
        assert (await device.beat(counter=2, routine=(0, 2, digest_of(2)))).wants == []

    site(body)


def test_custody_stops_at_a_hole_and_the_hole_is_wanted(site):
    """A missing segment holds custody below it and is asked for; when it comes, custody passes over it."""
    check_custody_stops_at_a_hole(site)


def check_custody_survives_a_restart(site):
    async def body(running):
        running.office.hold.clear()
        device = running.device()
        for number in range(5):
            await device.send(segment(number))
        await running.restart()
        answer = await device.beat(routine=(0, 4, digest_of(4)))

        assert custody_of(answer) == 5
        assert answer.wants == []

    site(body, timeout_s=0.2)


def test_custody_is_the_same_after_a_restart(site):
    """What was in custody before a restart is in custody after it, and is not asked for again."""
    check_custody_survives_a_restart(site)


def check_both_digests_of_a_fork_reach_the_office(site):
    async def body(running):
        device = running.device()
        first, second = segment(0), segment(0, text=b"another past")
        await device.send(first)
        answer = await device.send(second)
        assert custody_of(answer) == 1
        # Sent after the segments, so it arrives with them or after them.
        await device.beat()
        await until(lambda: running.office.heartbeats, "the heartbeat arrives")

        assert sorted(running.office.arrivals) == sorted([first, second])
        assert running.gateway.health.counts["forks"] == 1

    site(body)


def test_both_digests_of_a_fork_reach_the_office(site):
    """Two segments for one number are both taken and both forwarded: evidence."""
    check_both_digests_of_a_fork_reach_the_office(site)


def test_forked_head_in_an_offer_is_asked_for(site):
    """A heartbeat whose head has another digest than ours is answered with a want for that number."""

    async def body(running):
        device = running.device()
        await device.send(segment(0))
        answer = await device.beat(routine=(0, 0, DIGEST))

        assert answer.wants == [(1, 0, 0, 1)]

    site(body)


def test_critical_wants_come_first(site):
    """The critical lane is asked for before the routine one."""

    async def body(running):
        answer = await running.device().beat(critical=(0, 3, DIGEST), routine=(0, 5, DIGEST))

        assert answer.wants == [(0, 0, 0, 4), (1, 0, 0, 6)]

    site(body)


def test_tombstone_closes_a_gap_for_custody(site):
    """Numbers that a tombstone covers are not asked for, and custody passes over them."""

    async def body(running):
        device = running.device()
        await device.send(segment(0))
        answer = await device.send(tombstone(4, 1, 3))

        assert custody_of(answer) == 5
        assert (await device.beat(routine=(4, 4, DIGEST))).wants == [(1, 0, 4, 5)]
        await running.restart()
        assert custody_of(await device.beat(counter=2, routine=(0, 4, DIGEST))) == 5

    site(body)


def test_segment_of_another_device_is_refused(site):
    """A device can speak for itself only: another's segment or heartbeat is 4.03, counted, not stored."""

    async def body(running):
        device = running.device(1)
        other = device_id(2)
        assert (await device.post("s", segment(0, device=other))).code == coap.FORBIDDEN
        assert (await device.post("h", heartbeat(device=other))).code == coap.FORBIDDEN

        assert running.gateway.health.counts["wrong_device"] == 2
        assert running.gateway.health.counts["segments"] == 0
        assert not running.office.arrivals

    site(body)


@pytest.mark.parametrize("path", ["s", "h"])
@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x80", b"\xa0", b"\x84\x40\xa0\x40\x40", bytes(300)])
def test_malformed_payload_is_refused_and_counted(site, path, payload):
    """What is no segment or heartbeat is 4.00 and never stored as good."""

    async def body(running):
        assert (await running.device().post(path, payload)).code == coap.BAD_REQUEST
        assert running.gateway.health.counts["malformed"] == 1

    site(body)


def test_heartbeat_reaches_the_office_and_its_time_token_the_device(site):
    """The newest heartbeat is forwarded as it is; the token comes back once, and only for the boot it is for."""

    async def body(running):
        device = running.device()
        raw = heartbeat(counter=7)
        await device.post("h", raw)
        await until(lambda: running.office.heartbeats == [raw], "the heartbeat arrives")
        await until(lambda: running.gateway.downlink._tokens, "the token is here")
        answer = await device.beat(counter=8)
        assert answer.time_token == time_token(counter=7)
        await until(lambda: running.gateway.downlink._tokens, "the next token is here")
        assert (await device.beat(boot=2)).time_token is None

    site(body)


def test_receipts_are_repeated_with_each_heartbeat_and_sent_once_with_segments(site):
    """A receipt goes down with the next answer; a device that lost it finds it with its next heartbeat."""

    async def body(running):
        device = running.device()
        await device.send(segment(0))
        await until(lambda: running.gateway.health.counts["released"] == 1, "released")
        running.office.gives_receipts = False
        first = await device.send(segment(1))
        second = await device.send(segment(2))
        beat = await device.beat(routine=(0, 2, digest_of(2)))

        assert (len(first.receipts), len(second.receipts), len(beat.receipts)) == (1, 0, 1)
        await running.restart()
        assert (await device.beat(counter=2, routine=(0, 2, digest_of(2)))).receipts == beat.receipts

    site(body)


def test_full_store_refuses_with_max_age_and_goes_on_when_there_is_room(site):
    """A full store is 5.03 with Max-Age; what was taken stays; receipts make room again."""

    async def body(running):
        running.office.hold.clear()
        device = running.device()
        number = 0
        while (response := await device.post("s", segment(number, size=340))).code == coap.CHANGED:
            number += 1
            assert number < 4000
        assert response.code == coap.SERVICE_UNAVAILABLE
        assert coap.max_age_s(response.options) == 30
        assert running.gateway.health.counts["custody_refused"] == 1

        running.office.hold.set()
        await until(lambda: running.gateway.health.counts["released"] == number, "all is released")
        assert custody_of(await device.send(segment(number, size=340))) == number + 1
        assert running.office.numbers(device.device)[:number] == list(range(number))

    site(body, store_bytes=1 << 20, timeout_s=60)


def test_failed_fsync_refuses_custody_and_says_so(site, caplog):
    """A failing disk is 5.03, said in the log and in the status; after it works again nothing acknowledged is missing."""
    disk = FailingDisk()

    async def body(running):
        gateway = running.gateway
        device = running.device()
        await device.send(segment(0))
        disk.fails = True
        response = await device.post("s", segment(1))
        assert response.code == coap.SERVICE_UNAVAILABLE
        assert coap.max_age_s(response.options) == 5
        assert "custody refused" in caplog.text
        disk.fails = False
        await gateway._save_health()
        assert "disk I/O error" in gateway.health.store_fault

        gateway.store._failed_at -= 10
        assert custody_of(await device.send(segment(1))) == 2
        await gateway._save_health()
        assert gateway.health.store_fault == ""
        assert gateway.health.counts["store_reopened"] == 1
        await until(lambda: running.office.numbers(device.device) == [0, 1], "both arrive")

    site(body, gateway_options={"connection": disk})


def test_kept_from_above_the_head_is_refused(site):
    """A heartbeat that claims to keep nothing up to far above its head cannot push custody over what exists."""

    async def body(running):
        device = running.device()
        response = await device.post("h", heartbeat(routine=(900, 3, DIGEST)))
        assert response.code == coap.BAD_REQUEST
        assert running.gateway.store.lane(device.device, 1, 0).watermark() == 0

    site(body)


def test_commit_is_not_lost_when_the_caller_gives_up(tmp_path):
    """A request whose sender went away does not take the other requests of its batch with it."""
    from tests.gateway.site import new_store

    async def main():
        store = new_store(tmp_path)
        tasks = [asyncio.create_task(store.add_segment(parse_segment(segment(n)))) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        held = [raw for _, raw in (await store.next_batch(9, 9)).segments]
        await store.close()
        return done, held

    done, held = asyncio.run(main())

    assert isinstance(done[1], asyncio.CancelledError)
    assert held == [segment(n) for n in range(3)]
