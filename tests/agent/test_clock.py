"""The device's clock: ticks that never go back, and wall time only as the office vouched for it."""

import pytest

from agent.clock import Clock
from protocol.messages import TimeToken

DEVICE = bytes(8)
WRAP = 1 << 32


class Source:
    """Ticks that wrap after 49 days."""

    def __init__(self, start=0):
        self.ms = start

    def ticks_ms(self):
        return self.ms % WRAP

    def ticks_diff(self, new, old):
        return (new - old + WRAP // 2) % WRAP - WRAP // 2


def _clock(start=0, scale=1):
    source = Source(start)
    return source, Clock(source.ticks_ms, source.ticks_diff, scale)


def _token(clock, counter, wall_ms, error_ms=10, boot=None):
    return TimeToken(DEVICE, clock.boot if boot is None else boot, counter, wall_ms, error_ms)


def test_ticks_go_on_over_the_wrap_of_their_source():
    """After 200 days of a source that wraps every 49, the tick is 200 days."""
    source, clock = _clock(start=WRAP - 1000)
    day_ms = 86_400_000
    for _ in range(200):
        source.ms += day_ms
        clock.tick_ms()

    assert clock.tick_ms() == 200 * day_ms


def test_ticks_never_go_back_with_their_source():
    """A source that jumps back holds the tick where it was."""
    source, clock = _clock(start=5000)
    source.ms += 100
    before = clock.tick_ms()
    source.ms -= 60

    assert clock.tick_ms() == before


def test_device_clock_runs_scale_times_faster_than_the_real_one():
    """Ten real milliseconds are 10,000 of a device a thousand times faster; the time left is told in real ones."""
    source, clock = _clock(scale=1000)
    source.ms += 10

    assert (clock.real_ms(), clock.tick_ms()) == (10, 10_000)
    assert clock.real_until(10_001) == 1
    assert clock.real_until(9_999) == 0


def test_rule_tick_continues_above_what_was_durable():
    """The rule tick counts 100 ms steps from its base."""
    _, clock = _clock()
    clock.now_base = 70

    assert clock.rule_tick(0) == 70
    assert clock.rule_tick(1099) == 80


def test_token_bounds_wall_time_by_the_way_there_and_back():
    """The stamp lies between sending and receiving, so half of that, plus the office's error, is the doubt."""
    source, clock = _clock()
    clock.note_heartbeat(1)
    source.ms += 400

    assert clock.take_token(_token(clock, 1, wall_ms=1_000_000)) == (1_000_200, 210)
    assert clock.is_trusted()


def test_doubt_grows_with_drift():
    """Five seconds add a millisecond of doubt."""
    source, clock = _clock()
    clock.note_heartbeat(1)
    clock.take_token(_token(clock, 1, wall_ms=1_000_000))
    source.ms += 5000

    assert clock.wall() == (1_005_000, 11)


@pytest.mark.parametrize("case", ["unknown heartbeat", "other boot", "same again"])
def test_token_that_answers_no_heartbeat_under_way_is_ignored(case):
    """A replayed or foreign token sets nothing."""
    _source, clock = _clock()
    clock.boot = 3
    clock.note_heartbeat(1)
    if case == "same again":
        assert clock.take_token(_token(clock, 1, wall_ms=500)) is not None
    counter = 2 if case == "unknown heartbeat" else 1
    boot = 2 if case == "other boot" else 3

    assert clock.take_token(_token(clock, counter, wall_ms=9_000_000, boot=boot)) is None


def test_token_that_would_go_back_is_ignored():
    """Time moves back by no more than its doubt."""
    source, clock = _clock()
    clock.note_heartbeat(1)
    clock.take_token(_token(clock, 1, wall_ms=1_000_000))
    source.ms += 1000
    clock.note_heartbeat(2)

    assert clock.take_token(_token(clock, 2, wall_ms=1_000_900)) is None
    assert clock.wall()[0] == 1_001_000


def test_third_token_that_would_go_back_is_taken_if_all_agree():
    """The office's clock was ahead by a year when it gave the first mark: a device must not stay there until its next boot."""
    source, clock = _clock()
    clock.note_heartbeat(1)
    clock.take_token(_token(clock, 1, wall_ms=31_000_000_000))
    taken = [_beat(source, clock, counter, 1_000_000 + source.ms) for counter in (2, 3, 4)]

    assert taken[:2] == [None, None]
    assert taken[2] == (1_000_000 + source.ms, 10)
    assert clock.wall()[0] == 1_000_000 + source.ms


@pytest.mark.parametrize("between", [31_000_000_000, 5_000_000])
def test_tokens_that_would_go_back_and_disagree_are_ignored(between):
    """Neither where time was told as before in between, nor where two tokens say different times."""
    source, clock = _clock()
    clock.note_heartbeat(1)
    clock.take_token(_token(clock, 1, wall_ms=31_000_000_000))
    for counter, wall_ms in enumerate((1_000_000, 1_000_000, between, 1_000_000, 1_000_000), 2):
        assert _beat(source, clock, counter, wall_ms + source.ms) is None

    assert clock.wall()[0] > 31_000_000_000


def _beat(source, clock, counter, wall_ms):
    """A minute later another heartbeat leaves, and its token comes at once."""
    source.ms += 60_000
    clock.note_heartbeat(counter)
    return clock.take_token(_token(clock, counter, wall_ms=wall_ms + 60_000))


def test_token_that_goes_forward_is_taken():
    """The office's clock was set: the device follows forward."""
    _source, clock = _clock()
    clock.note_heartbeat(1)
    clock.take_token(_token(clock, 1, wall_ms=1_000_000))
    clock.note_heartbeat(2)

    assert clock.take_token(_token(clock, 2, wall_ms=2_000_000)) == (2_000_000, 10)


def test_steady_tokens_are_taken_anew_every_ten_minutes_only():
    """A mark a heartbeat would fill the critical lane with what is known."""
    source, clock = _clock()
    taken = 0
    for counter in range(1, 361):
        clock.note_heartbeat(counter)
        taken += clock.take_token(_token(clock, counter, wall_ms=10_000_000 + source.ms)) is not None
        source.ms += 10_000

    assert taken == 6


def test_wall_time_is_not_trusted_before_a_mark():
    """A device that never saw a clock says so."""
    _, clock = _clock()

    assert clock.wall() is None
    assert not clock.is_trusted()
