"""Sampling at fixed instants, and the quality of each value."""

import pytest

from agent.sampler import Sampler
from agent.schema import Channel, read_schema
from agent.sensors import SensorFault
from agent.sensors.recording import Recording
from protocol.cbor import dumps
from protocol.errors import MALFORMED, VERSION, ProtocolError
from protocol.event import FAULT, GOOD, MISSING, OUT_OF_RANGE, STUCK


class Sensor:
    """Gives the rows of a list; raises where the row is None."""

    def __init__(self, rows):
        self.rows = iter(rows)

    def read(self):
        row = next(self.rows)
        if row is None:
            raise SensorFault("no answer")
        return row


def _channel(low=0, high=100, stuck_after=0):
    return Channel("flow", "l/s", -2, low, high, stuck_after)


def _qualities(rows, **limits):
    sampler = Sampler(Sensor([[row] for row in rows]), [_channel(**limits)], 10)
    return [sampler.take(10 * (i + 1))[2][0] for i in range(len(rows))]


def test_values_within_their_range_are_good():
    """Both ends of the range belong to it."""
    assert _qualities([0, 50, 100]) == [GOOD] * 3


def test_values_beyond_their_range_are_no_values():
    """Below low and above high is out of range, and the sample carries no value."""
    sampler = Sampler(Sensor([[-1], [101]]), [_channel()], 10)

    assert sampler.take(10) == (10, [None], [OUT_OF_RANGE])
    assert sampler.take(20) == (20, [None], [OUT_OF_RANGE])


def test_gap_is_missing():
    """An empty reading is missing."""
    assert _qualities([1, None, 2]) == [GOOD, MISSING, GOOD]


def test_same_value_too_often_is_stuck_until_it_moves():
    """From the third equal value on it is stuck; a gap between them changes nothing."""
    assert _qualities([7, 7, None, 7, 7, 8, 8], stuck_after=3) == [
        GOOD,
        GOOD,
        MISSING,
        STUCK,
        STUCK,
        GOOD,
        GOOD,
    ]


def test_silent_sensor_is_a_fault_of_all_its_channels():
    """A sensor that does not answer is recorded as such, never as its last value."""
    sampler = Sampler(Sensor([[1, 2], None]), [_channel(), _channel()], 10)
    sampler.take(10)

    assert sampler.take(20) == (20, [None, None], [FAULT, FAULT])
    assert sampler.not_good == 2


def test_late_samples_are_taken_at_their_own_instants():
    """Being late never adds up: each sample carries the tick of its instant."""
    sampler = Sampler(Sensor([[n] for n in range(9)]), [_channel()], 10)

    assert sampler.take(9) is None
    assert [sampler.take(35)[0] for _ in range(3)] == [10, 20, 30]
    assert sampler.take(35) is None


def test_samples_too_late_are_given_up_and_counted():
    """Beyond the bound the oldest instants are skipped, and said to be."""
    sampler = Sampler(Sensor([[n] for n in range(9)]), [_channel()], 10, catch_up_max=2)

    assert sampler.take(100)[0] == 80
    assert sampler.take_skipped() == 7
    assert sampler.take_skipped() == 0


def _recording(path, text, channels=2, offset=0):
    path.write_text(text)
    return Recording(str(path), channels, offset)


def test_recording_is_cycled_from_its_offset(tmp_path):
    """Rows follow one another, over the end and from the offset, also one beyond the length."""
    text = "1,10\n2,\n,30\n"

    assert [_recording(tmp_path / "r.csv", text, offset=1).read() for _ in range(1)] == [[2, None]]
    sensor = _recording(tmp_path / "r.csv", text, offset=5)
    assert [sensor.read() for _ in range(4)] == [[None, 30], [1, 10], [2, None], [None, 30]]


def test_recording_of_one_column_has_empty_rows_for_gaps(tmp_path):
    """An empty line is a missing value, not the end."""
    sensor = _recording(tmp_path / "r.csv", "1\n\n-3\n", channels=1)

    assert [sensor.read() for _ in range(4)] == [[1], [None], [-3], [1]]


@pytest.mark.parametrize("row", ["1", "1,2,3", "1,x", "1,2.5"])
def test_row_that_is_no_reading_is_a_fault(tmp_path, row):
    """A row of other columns, or of no integers, is a sensor's fault; the next row is read as usual."""
    sensor = _recording(tmp_path / "r.csv", f"{row}\n5,6\n")

    with pytest.raises(SensorFault):
        sensor.read()
    assert sensor.read() == [5, 6]


def test_empty_recording_is_refused(tmp_path):
    """A recording without rows would be an endless search for one."""
    with pytest.raises(SensorFault):
        _recording(tmp_path / "r.csv", "")


def test_schema_gives_its_channels():
    """A schema of two channels reads as it was written."""
    rows = [["flow", "l/s", -2, 0, 20000, 12], ["air", "Cel", -1, -400, 800, 0]]
    channels = read_schema(dumps([1, rows]))

    assert [[c.name, c.unit, c.scale, c.low, c.high, c.stuck_after] for c in channels] == rows


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([2, []], VERSION),
        ([1, []], MALFORMED),
        ([1, [["a", "b", 0, 1, 0, 0]]], MALFORMED),
        ([1, [["a", "b", 0, 0, 1]]], MALFORMED),
        ([1, [["a", "b", 0, 0, 1, 0]] * 9], MALFORMED),
        ({}, MALFORMED),
        ([1, [[b"a", "b", 0, 0, 1, 0]]], MALFORMED),
    ],
)
def test_schema_that_breaks_its_grammar_is_refused(items, code):
    """Nothing that is no schema becomes one."""
    with pytest.raises(ProtocolError) as caught:
        read_schema(dumps(items))

    assert caught.value.code == code
