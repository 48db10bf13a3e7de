"""The way to the office: down, slow, lying, in pieces; nothing is released before its answer was understood."""

import asyncio
import random

import httpx
import pytest

from gateway.downlink import Downlink
from gateway.errors import OfficeBusy, OfficeConfused, OfficeRefused, OfficeUnreachable, RequestTooLarge
from gateway.health import Health
from gateway.outbox import Outbox
from gateway.readings import Readings
from gateway.shelf import Shelf
from gateway.store_down import StoreDown
from gateway.uplink import Backoff, Uplink, _no_answer, _refusal
from protocol import coap
from protocol.cbor import dumps
from protocol.messages import parse_heartbeat
from protocol.segment import parse_segment
from protocol.uplink import UplinkAnswer, encode_uplink_answer, parse_request
from tests.gateway.site import (
    TOKEN,
    TestClock,
    custody_of,
    device_id,
    heartbeat,
    new_store,
    receipt,
    segment,
    time_token,
    until,
)


class Bench:
    """An uplink on a store, with an office that is a function."""

    def __init__(self, folder, office, *, batch_segments=4):
        self.clock = TestClock()
        self.health = Health()
        self.store = new_store(folder, clock=self.clock)
        self.downlink = Downlink()
        self.shelf = Shelf(StoreDown(self.store))
        self.revoked = set()
        outbox = Outbox(
            self.store,
            self.downlink,
            self.shelf,
            self.health,
            is_known=lambda device: device == device_id(),
            lacks=lambda: None,
            is_revoked=self.revoked.__contains__,
            revoke=self.revoked.update,
            readings=Readings(self.store, self.health, clock=self.clock),
        )
        self.requests = []

        async def post(body):
            self.requests.append(parse_request(body))
            return office(*parse_request(body))

        self.uplink = Uplink(
            outbox,
            self.health,
            post,
            backoff=Backoff(least_s=1.0, most_s=60.0, rng=random.Random(5)),
            clock=self.clock,
            batch_segments=batch_segments,
            point=lambda name: None,
        )

    async def add(self, *numbers, **fields):
        for number in numbers:
            await self.store.add_segment(parse_segment(segment(number, **fields)))

    async def waiting(self):
        return [raw for _, raw in (await self.store.next_batch(512, 1)).segments]


def run(folder, body, office, **options):
    async def main():
        bench = Bench(folder, office, **options)
        try:
            return await body(bench)
        finally:
            await bench.store.close()

    return asyncio.run(main())


def takes(segments, heartbeats):
    """The office stores all and gives a receipt for the last."""
    receipts = [receipt(parse_segment(segments[-1]).header.number, segments[-1])] if segments else []
    return encode_uplink_answer(UplinkAnswer([0] * len(segments), [8] * len(heartbeats), receipts))


def test_batches_go_critical_first_and_oldest_first(tmp_path):
    """The critical lane is sent before the routine one, each from its oldest on, in batches of the size set."""

    async def body(bench):
        await bench.add(0, 1, 2, 3, 4)
        await bench.add(0, 1, lane=0)
        while await bench.uplink.step():
            pass
        assert [segments for segments, _ in bench.requests] == [
            [segment(0, lane=0), segment(1, lane=0), segment(0), segment(1)],
            [segment(2), segment(3), segment(4)],
        ]

    run(tmp_path, body, takes)


def raising(error):
    def office(segments, heartbeats):
        raise error

    return office


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OfficeUnreachable("down"), "unreachable"),
        (OfficeRefused("401"), "refused"),
        (OfficeBusy("503"), "busy"),
        (OfficeConfused("nonsense"), "confused"),
    ],
)
def test_failure_keeps_everything_and_waits_longer_each_time(tmp_path, error, state):
    """While the office fails nothing leaves the outbox, the waits double to the limit, and the status says why."""

    async def body(bench):
        await bench.add(0, 1)
        for _ in range(12):
            assert await bench.uplink.step()

        assert await bench.waiting() == [segment(0), segment(1)]
        for failures, wait_s in enumerate(bench.clock.slept):
            limit = min(60.0, 2.0**failures)
            assert limit / 2 <= wait_s <= limit
        assert len(set(bench.clock.slept)) == len(bench.clock.slept)
        assert bench.health.uplink["state"] == state
        assert bench.health.uplink["reason"] == str(error)
        assert bench.health.counts["uplink_failures"] == 12

    run(tmp_path, body, raising(error))


def test_retry_after_is_obeyed_up_to_the_longest_wait(tmp_path):
    """The office may ask for a longer wait than the backoff, but not silence the gateway."""

    async def body(bench):
        await bench.add(0)
        await bench.uplink.step()
        bench.uplink._post = post_later
        await bench.uplink.step()
        assert bench.clock.slept == [30.0, 60.0]

    async def post_later(body):
        raise OfficeBusy("503", 1_000_000.0)

    run(tmp_path, body, raising(OfficeBusy("503", 30.0)))


@pytest.mark.parametrize(
    "text", ["\u00b2", "\u0663", "-1", "1e3", "9" * 7, "", "Fri, 27 Nov 2026 00:00:00 GMT"]
)
def test_retry_after_that_is_no_count_of_seconds_is_as_if_it_were_not_there(text):
    """A header of the office, or of whatever stands between, does not end the gateway."""
    response = httpx.Response(503, headers=[(b"Retry-After", text.encode("utf-8"))])

    assert _refusal(response).retry_after_s is None


def test_too_large_request_is_halved_and_grows_again(tmp_path):
    """A limit below ours in the way makes smaller batches, down to one segment, not an endless loop."""

    def office(segments, heartbeats):
        if len(segments) > 2:
            raise RequestTooLarge("413")
        return takes(segments, heartbeats)

    async def body(bench):
        await bench.add(*range(9))
        while await bench.uplink.step():
            pass
        assert [len(segments) for segments, _ in bench.requests][:3] == [8, 4, 2]
        assert await bench.waiting() == []

    run(tmp_path, body, office, batch_segments=8)


def garbage():
    """Answers that are not what SPEC.md section 7 says, for two segments and one heartbeat."""
    good = UplinkAnswer([0, 0], [8], [receipt(1, segment(1))], [time_token()])
    encoded = encode_uplink_answer(good)
    yield from [b"", b"\xff", b"<html>", bytes(1000), b"\xa0", dumps({0: [0, 0]}), encoded + b"\0"]
    yield from [encoded[:n] for n in range(0, len(encoded), 7)]
    for outcomes, beats in [([0], [8]), ([0, 0, 0], [8]), ([0, 0], []), ([0, 7], [8]), ([0, 0], [3])]:
        yield encode_uplink_answer(UplinkAnswer(outcomes, beats, good.receipts))
    yield encode_uplink_answer(UplinkAnswer([0, 0], [8], [b"not a receipt"]))
    yield encode_uplink_answer(UplinkAnswer([0, 0], [8], [], [b"not a token"]))


def check_garbage_releases_nothing(folder):
    answers = list(garbage())

    async def body(bench):
        await bench.add(0, 1)
        await bench.store.add_heartbeat(parse_heartbeat(heartbeat()))
        for _ in answers:
            assert await bench.uplink.step()
        assert await bench.waiting() == [segment(0), segment(1)]
        assert len((await bench.store.next_batch(1, 9)).heartbeats) == 1
        assert bench.health.counts["uplink_garbage"] == len(answers)
        assert bench.downlink.receipts_for(device_id(), 0, again=True) == []

    left = iter(answers)
    run(folder, body, lambda segments, heartbeats: next(left))


def test_garbage_releases_nothing(tmp_path):
    """Bad CBOR, wrong lengths, unknown outcomes, broken receipts: counted, and not one row changes."""
    check_garbage_releases_nothing(tmp_path)


def check_release_needs_a_receipt(folder):
    def stores(segments, heartbeats):
        return encode_uplink_answer(UplinkAnswer([0] * len(segments), [8] * len(heartbeats)))

    async def body(bench):
        await bench.add(0, 1)
        await bench.uplink.step()
        held = await bench.store.read(
            lambda connection: connection.execute(
                "SELECT count(*) FROM segments WHERE raw IS NOT NULL"
            ).fetchone()
        )
        assert held == (2,)
        assert bench.health.counts["released"] == 0

    run(folder, body, stores)


def test_stored_without_a_receipt_releases_nothing(tmp_path):
    """The office's word that it stored a segment is not enough: only a receipt over it is."""
    check_release_needs_a_receipt(tmp_path)


def test_receipts_and_wants_of_unknown_devices_are_left_aside(tmp_path):
    """An office that speaks of devices of another site changes nothing here."""
    other = device_id(9)

    def office(segments, heartbeats):
        return encode_uplink_answer(
            UplinkAnswer([0], [], [receipt(0, segment(0), device=other)], [], [(other, 1, 0, 0, 9)])
        )

    async def body(bench):
        await bench.add(0)
        await bench.uplink.step()
        assert (other, 1, 0) not in bench.store.lanes
        assert bench.downlink.wants(other, 1, 0) == []

    run(tmp_path, body, office)


def test_office_down_slow_and_back(site):
    """Segments pile up while the office is away, hangs, or answers nonsense; when it is back, all arrive and are released."""

    async def body(running):
        device, office, health = running.device(), running.office, running.gateway.health
        port = office.port
        await office.stop()
        await device.send(segment(0))
        await until(lambda: health.uplink["state"] == "unreachable", "the office is down")
        await office.start(port)
        await until(lambda: health.counts["released"] == 1, "the office is back")

        office.hold.clear()
        await device.send(segment(1))
        await until(lambda: "no answer within" in health.uplink["reason"], "the office is slow")
        office.hold.set()
        await until(lambda: health.counts["released"] == 2, "the office answers again")

        office.misbehave = lambda body: (200, {}, b"<html>maintenance</html>")
        await device.send(segment(2))
        await until(lambda: health.uplink["state"] == "confused", "the office talks nonsense")
        office.misbehave = lambda body: (401, {}, b"")
        await until(lambda: health.uplink["state"] == "refused", "the office refuses")
        office.misbehave = lambda body: (503, {"Retry-After": "0"}, b"")
        await until(lambda: health.uplink["state"] == "busy", "the office is busy")
        office.misbehave = lambda body: None
        await until(lambda: health.counts["released"] == 3, "the office is in order again")

        assert office.numbers(device.device) == [0, 1, 2]
        assert office.authorizations == {f"Bearer {TOKEN}"}

    site(body, timeout_s=0.3)


def test_endless_answer_is_cut_off(site):
    """An answer above the limit is not read to its end; nothing is released."""

    async def body(running):
        running.office.misbehave = lambda body: (200, {}, bytes(2_000_000))
        await running.device().send(segment(0))
        await until(lambda: running.gateway.health.uplink["state"] == "confused", "refused")
        assert "exceeds" in running.gateway.health.uplink["reason"]
        assert running.gateway.health.counts["released"] == 0

    site(body, timeout_s=5)


def test_office_with_another_certificate_is_not_spoken_to(site, tmp_path_factory):
    """Only the office's own certificate authority counts: a man in the middle never sees the token."""
    from tests.gateway.site import OfficeDouble, make_certificates

    async def body(running):
        port = running.office.port
        await running.office.stop()
        folder = tmp_path_factory.mktemp("other")
        make_certificates(folder)
        impostor = await OfficeDouble(folder).start(port)
        await running.device().send(segment(0))
        await until(lambda: running.gateway.health.uplink["failures"] > 1, "it is refused")
        reason = running.gateway.health.uplink["reason"]
        await impostor.stop()

        assert "CERTIFICATE_VERIFY_FAILED" in reason
        assert impostor.authorizations == set()

    site(body)


def test_want_of_the_office_reaches_the_device_and_is_filled(site):
    """What the office lacks and the gateway does not hold is asked of the device, and asking ends when it came."""

    async def body(running):
        device, office = running.device(), running.office
        for number in range(3):
            await device.send(segment(number))
        await until(lambda: running.gateway.health.counts["released"] == 3, "all released")
        # The office lost a segment that the gateway has given up long ago.
        del office.segments[device.device, 1, 0, 1]
        office.wants = [(device.device, 1, 0, 1, 2)]
        await device.beat(routine=(0, 2, b"x" * 32))
        await until(lambda: running.gateway.downlink.wants(device.device, 1, 0), "the want is here")
        answer = await device.beat(counter=2)
        assert answer.wants == [(1, 0, 1, 2)]
        assert custody_of(answer) == 3

        office.wants = []
        answer = await device.send(segment(1))
        assert answer.wants == []
        await until(lambda: office.numbers(device.device) == [0, 1, 2], "the office has it again")

    site(body)


def test_quarantined_segment_is_sent_again_when_the_office_asks(site):
    """A segment that lay in quarantine and is asked for again goes out again, although its digest is known here."""

    async def body(running):
        device, office = running.device(), running.office
        office.outcome_of = lambda raw: 16 + 4
        await device.send(segment(0))
        await until(lambda: running.gateway.health.counts["quarantined"] == 1, "in quarantine")
        office.outcome_of = lambda raw: None
        assert (await device.post("s", segment(0))).code == coap.CHANGED
        assert office.arrivals == [segment(0)]

        office.wants = [(device.device, 1, 0, 0, 1)]
        await device.beat()
        await until(lambda: running.gateway.downlink.wants(device.device, 1, 0), "the want is here")
        office.wants = []
        await device.send(segment(0))
        await until(lambda: office.numbers(device.device) == [0], "the office has it")

    site(body)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), True),
        (httpx.ReadError(""), True),
        (httpx.WriteError(""), True),
        (httpx.ConnectError("Connection refused"), False),
    ],
)
def test_connection_that_is_broken_off_may_mean_the_certificate(error, says):
    """However the end is seen, a gateway with a certificate is told; one that found nobody there, or has none, is not."""
    assert ("enrol it again" in str(_no_answer(error, is_certified=True))) is says
    assert "enrol" not in str(_no_answer(error, is_certified=False))


def test_revoked_devices_of_an_answer_are_kept_before_it_counts(tmp_path):
    """Their sessions end at once, and the store knows them when the batch is settled; named again, nothing is written."""
    other = bytes(8)

    def office(segments, heartbeats):
        return encode_uplink_answer(UplinkAnswer([0] * len(segments), revoked=[other]))

    async def body(bench):
        for number in (0, 1):
            await bench.add(number)
            assert await bench.uplink.step()

        assert (bench.revoked, bench.store.revoked()) == ({other}, {other})
        assert bench.health.counts["revoked"] == 1

    run(tmp_path, body, office)


def test_an_idle_uplink_asks_when_it_is_told_to(tmp_path):
    """One exchange without segments or heartbeats, and no second one; after a failure it is tried again."""
    failures = [OfficeBusy("503")]

    def office(segments, heartbeats):
        if failures:
            raise failures.pop()
        return encode_uplink_answer(UplinkAnswer())

    async def body(bench):
        idle = await bench.uplink.step()
        bench.uplink.ask()
        asked = [await bench.uplink.step() for _ in range(3)]

        assert (False, [True, True, False], 2 * [([], [])]) == (idle, asked, bench.requests)

    run(tmp_path, body, office)


def test_what_is_asked_while_the_office_answers_is_asked_again(tmp_path):
    """The request on its way said what was so before."""
    benches = []

    def office(segments, heartbeats):
        if len(benches[0].requests) == 1:
            benches[0].uplink.ask()
        return encode_uplink_answer(UplinkAnswer())

    async def body(bench):
        benches.append(bench)
        bench.uplink.ask()

        assert [True, True, False] == [await bench.uplink.step() for _ in range(3)]

    run(tmp_path, body, office)
