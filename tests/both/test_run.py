"""The open run of a lane: as full as if all of it were encoded for each event, and hardly ever encoded."""

from agent import run as agent_run
from agent.journal import NoRoom
from agent.recorder import Recorder
from agent.run import OPEN_EVENTS_MAX, Run
from protocol.event import DECISION, GOOD, HEALTH, MISSING, SAMPLE
from protocol.keys import CRITICAL, ROUTINE
from protocol.limits import segment_events_max
from tests.both.flash_site import Site
from tests.both.seeded_bytes import Dice
from tests.both.whole_run import WholeRun, encode


class Encodings:
    """While inside, counts how often agent.run encodes a run, and how many events of all together."""

    def __enter__(self):
        self.times = self.events = 0
        self._encode = agent_run.encode_events
        agent_run.encode_events = self._count
        return self

    def _count(self, boot, events):
        self.times += 1
        self.events += len(events)
        return self._encode(boot, events)

    def __exit__(self, *_error):
        agent_run.encode_events = self._encode


class Source:
    """Events of a lane: mostly samples whose values walk, leap or stand, and rows of all lengths in between."""

    def __init__(self, seed):
        self.dice = Dice(seed)
        self.order = self.dice.below(1 << 20)
        self.tick = self.dice.below(1 << 40)
        self.channels = 1 + self.dice.below(4)
        self.values = [self.dice.below(20000) for _ in range(self.channels)]
        self.walk = 1 + self.dice.below(1 << self.dice.below(16))
        self.rows = self.dice.below(4) and 1 + self.dice.below(60)
        self.late = self.dice.below(2) * 50

    def next(self):
        self.order += 1 + (self.dice.below(9) == 0)
        self.tick += 1000 + self.dice.below(self.late + 1)
        if self.rows and not self.dice.below(self.rows):
            fields = (self.dice.bits(), None, self.dice.bytes(self.dice.below(4) * self.dice.below(80)))
            return self.order, self.tick, HEALTH, fields
        qualities = [MISSING if self.dice.below(30) == 0 else GOOD for _ in self.values]
        self.values = [value + self.dice.below(2 * self.walk) - self.walk for value in self.values]
        if self.dice.below(50) == 0:
            self.values[0] += self.dice.bits() >> 8
        told = [self.values[i] if qualities[i] == GOOD else None for i in range(self.channels)]
        return self.order, self.tick, SAMPLE, (told, qualities)


def _is_longest(events, count, plaintext):
    top = min(len(events), segment_events_max)
    return plaintext == encode(events[:count]) and (count == top or encode(events[: count + 1]) is None)


def test_run_is_sealed_where_encoding_all_for_each_event_seals_it():
    """Samples, rows and both: full at the same event, the same events in a segment, the same bytes; and one more never fits."""
    for seed in range(16):
        source = Source(seed)
        run, judge = Run(), WholeRun()
        for _ in range(250):
            event = source.next()
            is_full = run.add(event, 7)
            assert is_full == judge.add(event), (seed, event)
            if is_full or source.dice.below(60) == 0:
                count, plaintext = run.longest(7)
                assert count == judge.longest(), (seed, event)
                assert _is_longest(run.events, count, plaintext), (seed, event)
                run.drop_first(count)
                judge.drop_first(count)


def test_run_that_waited_for_room_is_sealed_as_full():
    """However often it was refused and thinned before: each segment holds what fits, all samples but the thinned ones are there."""
    for seed in range(12):
        source = Source(seed)
        run = Run()
        sealed = []
        dropped = 0
        for i in range(400):
            event = source.next()
            if run.add(event, 7):
                count, plaintext = run.longest(7)
                assert _is_longest(run.events, count, plaintext), (seed, i)
                if i % 90 < 60:
                    before = [event for event in run.events if event[2] == SAMPLE]
                    others = [event for event in run.events if event[2] != SAMPLE]
                    dropped += run.thin()
                    assert [event for event in run.events if event[2] == SAMPLE] == before[::2]
                    assert [event for event in run.events if event[2] != SAMPLE] == others
                else:
                    sealed += run.events[:count]
                    run.drop_first(count)

        assert len(sealed) + len(run.events) + dropped == 400


def test_run_of_samples_is_encoded_a_few_times():
    """Two channels that walk: more than 200 samples a segment, and less than one encoding for each twenty."""
    run = Run()
    with Encodings() as encodings:
        count = 0
        is_full = False
        while not is_full:
            count += 1
            values = [11000 + count * 7 % 13, 600 + count * 5 % 11]
            is_full = run.add((count, 1000 * count, SAMPLE, (values, [GOOD, GOOD])), 7)
        run.longest(7)

    assert count > 200
    assert encodings.times <= 10


def test_decision_that_is_sealed_at_once_is_encoded_once():
    """Finding out whether it fits and sealing it are one encoding; so is a whole run of rows."""
    with Encodings() as encodings:
        run = Run()
        run.add((1, 5, DECISION, (0, 1, bytes(32))), 7)
        run.longest(7)
        assert encodings.times == 1

        run = Run()
        for order in range(6):
            assert not run.add((order, 5, DECISION, (0, 1, bytes(32))), 7)
        assert run.longest(7)[0] == 6
        assert encodings.times == 3


class _Clock:
    def tick_ms(self):
        return 1 << 30


def test_sample_that_waits_for_room_has_nothing_encoded():
    """
    The ring is full of critical segments and no receipt comes: until what tells of thinning fills the run there is at most one encoding
    for each sample, and then none, for thousands.
    """
    site = Site(ring_sectors=4)
    site.boot()
    for i in range(40):
        site.decide(i)
    try:
        for _ in range(60):
            site.bulk()
    except NoRoom:
        pass
    recorder = Recorder(site.journal, _Clock())
    with Encodings() as early:
        for i in range(100):
            _take_sample(site, recorder, i)
    with Encodings() as late:
        for i in range(2 * OPEN_EVENTS_MAX):
            _take_sample(site, recorder, i)

    assert site.journal.lanes[CRITICAL].receipt == -1
    assert recorder.thinned > OPEN_EVENTS_MAX
    assert early.times <= 100
    assert late.times == 0


def _take_sample(site, recorder, i):
    site.tick += 1000
    recorder.record(ROUTINE, site.tick, SAMPLE, ([i * 7919 % 4096], [GOOD]))
    recorder.record_dropped()
