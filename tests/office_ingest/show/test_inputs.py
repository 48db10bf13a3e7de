"""What a device's channels read is shown as counts, and what it has left in words."""

from office_ingest.show.chart import value_text
from office_ingest.show.histogram import draw_inputs
from office_ingest.show.readings import Channel, Held, recent_of
from protocol.bins import bin_of, encode_bins
from protocol.event import INPUTS
from protocol.limits import bins_count

CHANNELS = [Channel("flow", "l/s", -2, 0, 20_000), Channel("air", "Cel", -1, -400, 1_500)]


class _Body:
    def __init__(self, *events):
        self.events = [(1, event) for event in events]


def _recent(*events):
    return recent_of(Held([], 0), Held([_Body(*events)], 0), CHANNELS)


def _counts(**some):
    return encode_bins([some.get(f"part_{at}", 0) for at in range(bins_count)])


def test_each_part_of_a_histogram_is_the_part_that_the_device_counted():
    """The first value of each part, as it is written under a bar, is counted in it, and the one before it is not."""
    for at, channel in enumerate(CHANNELS):
        (drawn,) = draw_inputs(_recent((5, 100, INPUTS, (at, 0, _counts(part_3=7)))))
        parts = {
            value_text(value, channel.scale): bin_of(value, channel.low, channel.high)
            for value in range(channel.low, channel.high + 1)
        }
        edges = [bar.words.split(" to ")[0] for bar in drawn.bars]

        assert [parts[edge] for edge in edges] == list(range(bins_count))
        assert sorted(parts.values()) == [parts[name] for name in parts]
        assert [bar.times for bar in drawn.bars] == [7 if part == 3 else 0 for part in range(bins_count)]


def test_newest_count_of_each_channel_is_drawn():
    """The one before it was of another hour; a channel that the schema does not have is left out."""
    first = (5, 100, INPUTS, (0, 1, _counts(part_0=1)))
    newest = (9, 900, INPUTS, (0, 2, _counts(part_0=4, part_15=2)))
    (drawn,) = draw_inputs(_recent(first, newest, (10, 950, INPUTS, (7, 0, _counts(part_1=1)))))

    assert (drawn.total, drawn.not_good, drawn.at) == (6, 2, (900, 1))
    assert drawn.bars[0].height == 2 * drawn.bars[15].height > 0


def test_a_count_of_nothing_is_drawn_as_nothing():
    """No reading was good: sixteen bars without height, and how many were not."""
    (drawn,) = draw_inputs(_recent((5, 100, INPUTS, (1, 44, _counts()))))

    assert {bar.height for bar in drawn.bars} == {0}
    assert (drawn.total, drawn.not_good) == (0, 44)


def test_page_of_a_device_shows_its_counts_and_what_it_has_left(page):
    """As the very agent recorded them, and as its newest heartbeat says."""
    device = page.fleet.live[0].device.hex()
    shown = page.json(f"/devices/{device}")
    html = page.get(f"/devices/{device}").text

    assert [channel[0] for channel, *_ in shown["histograms"]] == ["flow", "temperature"]
    assert all(total + not_good == 900 for *_, total, not_good, _at in shown["histograms"])
    assert shown["health"]["levels"]["battery"] == "low"
    assert html.count('class="count"') == 2 * bins_count
    assert shown["left"] == {"heap": "enough", "flash": "enough", "battery": "low", "link": "not measured"}
    assert "battery low" in html
    assert "degraded" in html


def test_page_of_a_device_that_said_nothing_of_itself_says_so(own_page):
    """Not zeros, and not a page that fails: nothing is known yet."""
    shown = own_page.get("/", params={"state": "waiting", "format": "json"}).json()["rows"][0]
    html = own_page.get(f"/devices/{shown['device']}").text

    assert "It has not said yet." in html
