"""What there is no room for: dropped, counted, told to its maker and by a thinning event, and never acted on."""

import pytest

from agent.recorder import Decider, Recorder
from agent.run import OPEN_EVENTS_MAX, RunFull
from protocol.event import ACTION, DECISION, SAMPLE, THINNING
from protocol.keys import CRITICAL, ROUTINE
from rules.guard import ALLOWED

ACT = [1, 1, ALLOWED, None]
MADE = (1, 2, 0, [], [], 0, 0, [], [], [ACT])


class _Journal:
    """Keeps what is appended; is_full: lanes that take nothing more; seals whenever it is asked to."""

    def __init__(self):
        self.kept = []
        self.is_full = set()
        self.orders = 0

    def next_order(self):
        self.orders += 1
        return self.orders

    def append(self, lane, event):
        if lane in self.is_full:
            raise RunFull("no room")
        self.kept.append((lane, event[2], event[3]))
        return False

    def open_events(self, lane):
        return OPEN_EVENTS_MAX if lane in self.is_full else 0

    def seal(self, lane):
        # Room comes back while it seals: what was dropped before stays dropped.
        self.is_full.discard(lane)


class _Clock:
    def tick_ms(self):
        return 5

    def rule_tick(self, tick_ms):
        return tick_ms


class _Engine:
    """Makes one decision of every sample, with one allowed act."""

    faults = ()

    def sample(self, *_values, **_flags):
        return [MADE]


class _Incumbent:
    engine = _Engine()
    digest = bytes(32)


class _Actuators:
    def __init__(self):
        self.moves = []

    def carry_out(self, action, value):
        self.moves.append((action, value))
        return 0


def _recorder():
    journal = _Journal()
    return journal, Recorder(journal, _Clock())


@pytest.mark.parametrize("how", ["record", "append"])
def test_dropped_event_is_told_to_who_made_it_and_counted(how):
    """Kept is not dropped; both ways of recording say which."""
    journal, recorder = _recorder()
    write = getattr(recorder, how)

    assert write(CRITICAL, 1, SAMPLE, (), 1) is True
    journal.is_full = {CRITICAL}
    assert write(CRITICAL, 1, SAMPLE, (), 2) is False
    assert recorder.thinned == 1


def test_count_of_dropped_events_waits_until_there_is_room_for_it():
    """The event that tells of a gap is not itself lost in the gap, and nothing is counted twice."""
    journal, recorder = _recorder()
    journal.is_full = {CRITICAL, ROUTINE}
    recorder.append(CRITICAL, 1, SAMPLE, (), 1)
    recorder.append(CRITICAL, 1, SAMPLE, (), 2)
    for _ in range(3):
        recorder.record_dropped()
    assert (journal.kept, journal.orders, recorder.thinned) == ([], 0, 2)

    journal.is_full = {CRITICAL}
    recorder.record_dropped()
    recorder.record_dropped()
    assert journal.kept == [(ROUTINE, THINNING, (CRITICAL, 2, 0))]


def test_run_that_a_sample_fills_is_sealed_after_the_rules_saw_it():
    """A checkpoint that makes room holds the registers then; and where there is no room all the same, the sample is dropped behind it."""
    journal, recorder = _recorder()
    engine, seen = _Engine(), []
    journal.append = lambda lane, event: lane == ROUTINE
    journal.seal_full = lambda lane: seen.append((lane, samples[:]))
    samples = []
    engine.sample = lambda now, *_values, **_flags: samples.append(now) or []
    incumbent = _Incumbent()
    incumbent.engine = engine
    always = [lambda: True] * 2
    decider = Decider(recorder, journal, _Clock(), incumbent, _Actuators(), *always, lambda name: None)
    decider.take(5, [1], [0])
    decider.take(6, [1], [0])

    assert seen == [(ROUTINE, [5]), (ROUTINE, [5, 6])]


def test_decision_that_was_dropped_moves_nothing():
    """Also when all that was kept is durable by then: an act that nobody can explain must not happen."""
    journal, recorder = _recorder()
    actuators = _Actuators()
    always = [lambda: True] * 2
    decider = Decider(recorder, journal, _Clock(), _Incumbent(), actuators, *always, lambda name: None)
    journal.is_full = {CRITICAL}
    journal.open_events = lambda lane: 1
    decider.take(5, [1], [0])

    assert (actuators.moves, decider.pending, recorder.thinned) == ([], [], 1)
    decider.take(6, [1], [0])
    assert actuators.moves == [(1, 1)]
    assert [kind for lane, kind, _ in journal.kept if lane == CRITICAL] == [DECISION, ACTION]
