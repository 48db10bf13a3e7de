"""What a gateway says of a link that is dear: for how long what can wait has to, by its own clock and the link's own window."""

import asyncio
import time

import pytest

from gateway.collector import Reply
from gateway.config import BulkSection
from gateway.health import Health
from gateway.links.site import Site
from protocol import coap
from protocol.diagnostic import DiagnosticError
from protocol.settings import read_settings
from protocol.usage import BLE, SERIAL, UDP
from protocol.window import parse_window
from tests.gateway.site import TestClock, custody_of, segment

DEVICE = b"device 1"
HOUR_MS = 3_600_000
NIGHT = "22:00-02:00"


class Told:
    """A collector that notes what it is to say."""

    def __init__(self):
        self.waits = []

    async def segment(self, device, payload, bulk_in_s=0):
        self.waits.append(bulk_in_s)
        return Reply(coap.CHANGED)

    heartbeat = segment


class HourClock(TestClock):
    """A wall clock at an hour of a day."""

    hour = 0

    def wall_ms(self):
        return 20_000 * 24 * HOUR_MS + self.hour * HOUR_MS


class Asked:
    """A verified request."""

    device = DEVICE

    def __init__(self, path):
        self.request = coap.Message(coap.CON, coap.POST, 1, b"t", coap.path_options(path), b"x")

    def protect(self, message):
        return message


class Bench:
    """A site's one stand behind links of all kinds. windows: kind of link -> its window, as settings have it."""

    def __init__(self, **windows):
        self.clock, self.told, self.health = HourClock(), Told(), Health()
        settings = BulkSection(**windows)
        whole = Site(None, self.told, None, self.health, clock=self.clock, point=lambda name: None)
        self.over = {link: whole.over(link, settings.window(link)) for link in (UDP, SERIAL, BLE)}

    def ask(self, link, hour, path="h"):
        """Return for how long what can wait has to, as a request over a link at an hour is told."""
        self.clock.hour = hour
        asyncio.run(self.over[link].respond(Asked(path)))
        return self.told.waits.pop()


def check_window_over_midnight():
    """Ask at each hour of a day."""
    bench = Bench(udp=NIGHT)
    waits = [bench.ask(UDP, hour) // 3600 for hour in range(24)]

    assert waits == [0, 0, *range(20, 0, -1), 0, 0]
    assert bench.health.counts["bulk_held"] == 20


def test_answers_say_how_long_it_is_until_the_window():
    """Over midnight too: nothing from 22 to 2, and the hours that are left from then on."""
    check_window_over_midnight()


def check_each_link_has_its_own_window():
    """Ask over each kind of link, in and out of the windows of two of them."""
    bench = Bench(udp=NIGHT, serial="12:00-13:00")
    said = [
        [bench.ask(link, hour, path) for link in (UDP, SERIAL, BLE)] for hour, path in ((12, "h"), (23, "s"))
    ]

    assert said == [[36_000, 0, 0], [0, 46_800, 0]]


def test_each_kind_of_link_has_its_own_window_or_none():
    """What is said over one link says nothing of another; a cheap one says nothing at all."""
    check_each_link_has_its_own_window()


@pytest.mark.parametrize("text", ["25:00-01:00", "1:00-2:00", "01:00", "04:00-04:00"])
def test_a_window_that_is_none_is_a_mistake_in_the_settings(tmp_path, text):
    """The file, the key and the value are named."""
    path = tmp_path / "bulk.toml"
    path.write_text(f'udp = "{text}"\n')

    with pytest.raises(DiagnosticError) as refused:
        read_settings(path, BulkSection)
    assert text in str(refused.value)
    assert "udp" in str(refused.value)


def test_settings_give_minutes_of_a_day():
    """As the device and the gateway count them."""
    assert BulkSection(ble=NIGHT).window(BLE) == parse_window(NIGHT) == (1320, 120)


def test_real_answers_over_udp_carry_it(site):
    """A segment's and a heartbeat's, through the whole gateway; custody is given all the same."""
    begins_s = time.time_ns() // 1_000_000_000 + 2 * 3600
    hour = begins_s // 3600 % 24

    async def body(running):
        device = running.device()
        answers = [await device.send(segment(0)), await device.beat()]

        assert [0 < one.bulk_s <= 2 * 3600 for one in answers] == [True, True]
        assert custody_of(answers[0]) == 1
        assert running.gateway.health.counts["bulk_held"] == 2

    site(body, more=f'\n[bulk]\nudp = "{hour:02}:00-{(hour + 1) % 24:02}:00"\n')
