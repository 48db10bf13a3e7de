"""What devices moved, as gateways tell it: kept once, for as long as the office keeps it, and a finding where it is too much."""

import pytest

from office_ingest.energy import EnergySection, LinkEnergy, Moved, energy_text, estimated_uj
from office_ingest.moved import bytes_text, lines_of, moved_view
from office_ingest.receive.usages import Usages
from office_ingest.show.moved import draw_moved
from office_ingest.storage.usage import LIVES_MAX
from office_ingest.watch.budget import BUDGET, DAY_BYTES, OVER, WILL_BE_OVER, record_budgets
from protocol.limits import usage_count_max
from protocol.usage import BLE, DAY_MS, LIFE_HEADER, NO_LIFE, PATH, SERIAL, UDP, encode_usage
from tests.office_ingest.test_api import CBOR, calling
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk

TODAY = 20_000
HOUR_MS = 3_600_000
KEEP_DAYS = 30


class Counted:
    """An office and a device, at an hour of a day."""

    def __init__(self, folder):
        self.desk, self.device = OfficeDesk(folder), DeviceModel()
        self.desk.add(self.device)
        self.id = self.device.device
        self.now_ms = TODAY * DAY_MS
        self.start()

    def start(self):
        """Begin with nothing in memory."""
        self.usages = Usages(self.desk.store, keep_days=KEEP_DAYS, wall_ms=lambda: self.now_ms)

    def at(self, hours):
        """Let it be that many hours after the first midnight."""
        self.now_ms = TODAY * DAY_MS + hours * HOUR_MS

    def tell(self, received, *, sent=0, link=UDP, day=TODAY, gateway="gw-1", device=None, life=NO_LIFE):
        self.usages.take(gateway, [(device or self.id, day, link, received, sent, 1, 1)], life)

    def say(self, health):
        self.desk.take(heartbeats=[self.device.heartbeat(health=health)])

    def look(self):
        """Return the places of the open findings of this kind, looked for now."""
        record_budgets(self.desk.store, self.now_ms)
        return [place for kind, place in self.desk.findings() if kind == BUDGET]

    def view(self, model=None):
        return moved_view(self.desk.store.connection, self.id, self.now_ms, model or EnergySection())

    def bytes_today(self):
        return self.view()["moved"][-1]["bytes"]

    def second_gateway(self, site="site-1"):
        self.desk.registry.add_gateway("gw-2", name="gw-2", site=site, token="t" * 16, now_ms=1)


@pytest.fixture
def counted(tmp_path):
    return Counted(tmp_path)


def check_told_twice_counts_once(counted):
    """A request whose answer was lost comes again, and one that was overtaken comes late."""
    for received in (100, 100, 250, 100):
        counted.tell(received, sent=40)

    assert 250 + 40 == counted.bytes_today()


def test_told_twice_counts_once(counted):
    """Totals say what they say however often they come, and in whatever order."""
    check_told_twice_counts_once(counted)


def check_gateways_add_up(counted):
    """A device that fell over to another gateway has moved what both counted."""
    counted.second_gateway()
    counted.tell(100)
    counted.tell(30, gateway="gw-2")
    counted.tell(7, link=BLE, gateway="gw-2")

    assert 137 == counted.bytes_today()


def test_what_several_gateways_count_adds_up(counted):
    """Over both links and both gateways, each byte once."""
    check_gateways_add_up(counted)


def check_a_gateway_that_lost_its_store_loses_no_day(counted):
    """Its totals of the day begin at nothing, in another life; what it told before comes again, and late."""
    counted.tell(100, life=b"life one")
    counted.tell(30, life=b"life two")
    counted.tell(50, life=b"life two")
    counted.tell(90, life=b"life one")
    counted.tell(7)

    assert 100 + 50 + 7 == counted.bytes_today()
    counted.say({DAY_BYTES: 156})
    counted.at(1)
    assert [OVER] == counted.look()


def test_a_gateway_that_lost_its_store_loses_no_day(counted):
    """What was told stays, what is counted since is added, and neither is a lie for ever; the allowance is held against both."""
    check_a_gateway_that_lost_its_store_loses_no_day(counted)


def check_a_lying_gateway_is_bounded(counted):
    """Say everything that /v1/usage lets a gateway say: too much, too little, of others, for ever new lives."""
    counted.second_gateway()
    counted.say({DAY_BYTES: 1000})
    counted.tell(600)
    for turn in range(3 * LIVES_MAX):
        counted.tell(usage_count_max, gateway="gw-2", life=b"life %03d" % turn)
        counted.tell(usage_count_max, gateway="gw-2", device=b"stranger", life=b"life %03d" % turn)
    counted.at(1)
    over = counted.look()
    counted.tell(0, gateway="gw-2", life=b"life 000")
    counted.tell(0)

    assert [OVER] == over
    assert LIVES_MAX == len(counted.desk.rows("link_usage_lives", "life"))
    assert [(600,)] == counted.desk.rows("link_usage", "received_bytes")
    assert 600 + LIVES_MAX * usage_count_max == counted.bytes_today()


def test_a_lying_gateway_is_bounded(counted):
    """It can accuse a device of its own site, and hide what it carried itself; what others told stays, and the database does not grow."""
    check_a_lying_gateway_is_bounded(counted)


def test_what_makes_no_sense_here_is_passed_over(counted):
    """Another site's device, a strange link, a day to come and one too old; the rest of the request counts."""
    counted.second_gateway(site="site-2")
    counted.tell(1, gateway="gw-2")
    counted.tell(1, device=b"stranger")
    for place in ({"link": 200}, {"day": TODAY + 2}, {"day": TODAY - KEEP_DAYS - 1}):
        counted.tell(1, **place)
    counted.tell(5)

    assert [(5,)] == counted.desk.rows("link_usage", "received_bytes")


def test_old_days_are_forgotten(counted):
    """The office keeps so many days, and the sums of its tables fit."""
    counted.tell(5)
    counted.tell(5, life=b"life one")
    counted.now_ms += (KEEP_DAYS + 1) * DAY_MS
    counted.tell(6, day=TODAY + KEEP_DAYS + 1)
    counted.tell(6, day=TODAY + KEEP_DAYS + 1, life=b"life one")

    assert [(6,)] == counted.desk.rows("link_usage", "received_bytes")
    assert [(6,)] == counted.desk.rows("link_usage_lives", "received_bytes")
    assert [(1,), (1,)] == counted.desk.rows("row_sums", "rows", "name LIKE 'link_usage%'")


def test_allowance_is_what_the_device_says(counted):
    """Kept until it says another; a heartbeat that says nothing of health changes nothing."""
    seen = []
    for health in ({0: 5}, {DAY_BYTES: 1000}, {}, {DAY_BYTES: 2000}, {0: 5}):
        counted.say(health)
        seen.append(counted.view()["day_bytes"])

    assert [None, 1000, 1000, 2000, None] == seen


def check_over_budget_opens_and_closes(counted):
    """Move more than is allowed, and let the day end."""
    counted.say({DAY_BYTES: 1000})
    counted.at(1)
    counted.tell(600, sent=400)
    within = counted.look()
    counted.tell(601, sent=400)
    over = counted.look()
    counted.at(24)
    counted.start()

    assert ([], [OVER]) == (within, over)
    assert [] == counted.look()
    assert [("cleared", 1)] == counted.desk.rows("findings", "state, times", "kind = ?", BUDGET)


def test_over_its_budget_is_a_finding_until_the_day_ends(counted):
    """It opens when the device has moved more than it may, once, and ends by itself."""
    check_over_budget_opens_and_closes(counted)


def test_a_greater_allowance_ends_the_finding(counted):
    """So does none."""
    counted.say({DAY_BYTES: 1000})
    counted.tell(1500)
    counted.at(1)
    first = counted.look()
    counted.say({DAY_BYTES: 20_000})
    second = counted.look()
    counted.say({DAY_BYTES: 1000})
    third = counted.look()
    counted.say({0: 1})

    assert ([OVER], [], [OVER], []) == (first, second, third, counted.look())


def test_at_this_pace_over_by_the_days_end_is_a_finding(counted):
    """Not in the first two hours, nor where little is used; it ends when the pace falls, and gives way to `over`."""
    counted.say({DAY_BYTES: 1000})
    counted.tell(400)
    counted.at(1)
    early = counted.look()
    counted.at(6)
    soon = counted.look()
    counted.at(12)
    slower = counted.look()
    counted.tell(1001)
    over = counted.look()

    assert ([], [WILL_BE_OVER], [], [OVER]) == (early, soon, slower, over)


def test_a_small_part_of_the_allowance_is_no_pace(counted):
    """A burst of a fifth in the morning says nothing of the evening."""
    counted.say({DAY_BYTES: 1000})
    counted.tell(200)
    counted.at(3)

    assert [] == counted.look()


def test_energy_is_by_link_and_in_whole_microjoules():
    """A byte, its direction, and each datagram; the settings may say otherwise, and an unknown link says nothing."""
    model = EnergySection(ble=LinkEnergy(3, 2, 1000))
    moved = Moved(sent_bytes=1000, received_bytes=500, datagrams=10)

    assert (93_000 + 24_500 + 33_000_000) // 1000 == estimated_uj(model, UDP, moved)
    assert 0 == estimated_uj(model, SERIAL, moved)
    assert 14 == estimated_uj(model, BLE, moved)
    assert 0 == estimated_uj(model, 77, moved)


def test_sent_and_received_are_the_devices(counted):
    """What a gateway received the device has sent, and its radio paid for sending."""
    counted.tell(1000, sent=10, link=BLE)
    model = EnergySection(ble=LinkEnergy(sent_byte_nj=1000, received_byte_nj=1, datagram_nj=0))
    link = counted.view(model)["moved"][-1]["links"][0]

    assert (1000, 10, 2, 1000) == tuple(
        link[name] for name in ("sent_bytes", "received_bytes", "datagrams", "estimated_energy_uj")
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (12_345_678, "12.3 MB")],
)
def test_sizes_are_said_in_thousands(count, said):
    """Rounded down, so that nothing looks larger than it is."""
    assert said == bytes_text(count)


def test_energies_are_said_in_joules():
    """Millijoules below one, tenths above."""
    assert ["0 mJ", "999 mJ", "1.0 J", "1,234.5 J"] == [
        energy_text(uj) for uj in (999, 999_999, 1_000_000, 1_234_567_890)
    ]


def test_the_table_says_days_links_and_allowance(counted):
    """The newest day first, in words that stand alone."""
    counted.say({DAY_BYTES: 4000})
    counted.tell(1000, day=TODAY - 1)
    counted.tell(2000, link=BLE)
    lines = lines_of(counted.view())

    assert "2.0 kB moved today, 50 % of the 4.0 kB that it may move a day" == lines[0]
    assert ["ble", "udp"] == [line.split()[1] for line in lines[2:]]


def test_the_picture_has_a_bar_for_each_day_and_link(counted):
    """Stacked, within the chart, as high as what they show; the allowance is a line above or across them."""
    counted.say({DAY_BYTES: 2000})
    counted.tell(1000, day=TODAY - 1)
    counted.tell(300)
    counted.tell(100, link=BLE)
    drawn = draw_moved(counted.view())
    before, udp, ble = drawn.parts

    assert before.height > udp.height > ble.height
    assert pytest.approx(udp.y) == ble.y + ble.height
    assert (ble.x, udp.x) == (udp.x, ble.x)
    assert drawn.allowed < before.y
    assert ["ble", "udp"] == drawn.links


def test_nothing_moved_draws_nothing(counted):
    """An allowance alone is no chart."""
    counted.say({DAY_BYTES: 2000})

    assert draw_moved(counted.view()) is None
    assert 1 == len(lines_of(counted.view()))


def test_gateways_tell_it_over_http(desk):
    """With their token; what is no usage is refused, what is too much too, and a stranger is not heard."""
    heard = []
    row = (bytes(8), TODAY, UDP, 1, 2, 3, 4)
    with calling(desk, count=lambda *said: heard.append(said)) as call:
        life = call("POST", PATH, encode_usage([row]), headers={**CBOR, LIFE_HEADER: b"life one".hex()})
        dead = call("POST", PATH, encode_usage([row]), headers={**CBOR, LIFE_HEADER: "life one"})
        good = call("POST", PATH, encode_usage([row]))
        bad = call("POST", PATH, b"\x01")
        many = call("POST", PATH, b"\x9a\x00\x01\x00\x00")
        stranger = call("POST", PATH, encode_usage([row]), headers={})

    assert (200, b"") == (good.status_code, good.content)
    assert [("gw-1", [row], b"life one"), ("gw-1", [row], NO_LIFE)] == heard
    assert (200, 400) == (life.status_code, dead.status_code)
    assert (400, 400, 401) == (bad.status_code, many.status_code, stranger.status_code)
