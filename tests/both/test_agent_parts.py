"""Parts of the agent that touch no flash give the same on CPython and on the device's interpreter."""

from agent.actuators import DONE, FAILED, ActuatorFault, Actuators
from agent.backlog import Backlog
from agent.checkpoint import Checkpoint, PartJoiner, cut_parts, decode_checkpoint, encode_checkpoint
from agent.clock import Clock
from agent.sampler import Sampler
from agent.schema import Channel, read_schema
from agent.watchdog import Watchdog
from protocol.messages import TimeToken
from tests.both.vector_files import bytes_of, code_of, read_vectors

_WRAP = 1 << 32


class _Source:
    def __init__(self):
        self.ms = _WRAP - 100

    def ticks_ms(self):
        return self.ms % _WRAP

    def ticks_diff(self, new, old):
        return (new - old + _WRAP // 2) % _WRAP - _WRAP // 2


def test_clock_passes_the_wrap_of_its_source_and_takes_a_token():
    """A device millisecond is a millisecond over the wrap, and a token bounds wall time by half the way."""
    source = _Source()
    clock = Clock(source.ticks_ms, source.ticks_diff, 7)
    clock.note_heartbeat(1)
    source.ms += 300

    assert clock.tick_ms() == 2100
    assert clock.take_token(TimeToken(bytes(8), 0, 1, 5000, 2)) == (5150, 152)
    assert clock.take_token(TimeToken(bytes(8), 0, 1, 5000, 2)) is None


def test_backlog_sends_critical_wanted_routine():
    """The order in which segments leave."""
    backlog = Backlog()
    heads = [(0, 1, bytes(32)), (0, 1, bytes(32))]
    sent = []
    chosen = backlog.choose(heads, 0)
    while chosen is not None:
        sent.append(chosen)
        backlog.note_sent(chosen[0], chosen[1])
        if len(sent) == 3:
            backlog.want(1, [(0, 1)])
        chosen = backlog.choose(heads, 0)

    assert sent == [(0, 0), (0, 1), (1, 0), (1, 0), (1, 1)]


def test_checkpoint_comes_back_from_its_parts():
    """Encoded, cut, joined, decoded: the same."""
    state = [[[1, 2], None], [[1, list(range(200))]], []]
    point = Checkpoint(1, 9, (2, bytes(32)), bytes(32), bytes(32), 1, state, {3: 1}, 4)
    joiner = PartJoiner()
    whole = [joiner.add(part) for part in cut_parts(encode_checkpoint(point))]
    again = decode_checkpoint(whole[-1])

    assert whole[:-1] == [None] * (len(whole) - 1)
    assert (again.engine, again.positions, again.period_start, again.now) == (state, {3: 1}, 4, 9)


class _Sensor:
    def __init__(self):
        self.rows = [[5], [None], [5], [11]]

    def read(self):
        return self.rows.pop(0)


def test_sampler_judges_each_value():
    """Good, missing, stuck, out of range; each at its own instant."""
    sampler = Sampler(_Sensor(), [Channel("a", "m", 0, 0, 10, 2)], 10)
    taken = [sampler.take(45) for _ in range(5)]

    assert taken[4] is None
    assert taken[:4] == [(10, [5], [0]), (20, [None], [1]), (30, [None], [3]), (40, [None], [2])]


def test_actuator_that_fails_keeps_its_position_unknown():
    """A fault is a result, never an exception, and no position."""
    broken = []

    def move(action, value):
        if action in broken:
            raise ActuatorFault("stuck")

    actuators = Actuators({1: 0, 2: 0}, move)
    actuators.assert_at_boot({2: 1})
    broken.append(1)

    assert actuators.positions == {1: 0, 2: 1}
    assert actuators.carry_out(2, 0) == DONE
    assert actuators.carry_out(1, 1) == FAILED
    assert actuators.positions == {1: 0, 2: 0}


def test_watchdog_feeds_only_while_all_parts_come_by():
    """One part that stays out starves the watchdog and is named; a part that ended in order is not missed."""
    fed = []
    starved = []
    dog = Watchdog(lambda: fed.append(1), starved.append)
    dog.expect("a", 100, 0)
    dog.expect("b", 50, 0)
    assert dog.watch(50)
    dog.check_in("a", 60)
    assert not dog.watch(101)
    assert starved == [["b"]]
    dog.release("b")

    assert dog.watch(101)
    assert len(fed) == 2


def test_schemas_of_the_vectors_are_read_or_refused_as_they_say():
    """The agent's own reader, over what the grammar takes and what it does not."""
    vectors = read_vectors("schema")
    for vector in vectors["accept"]:
        rows = [
            [one.name, one.unit, one.scale, one.low, one.high, one.stuck_after]
            for one in read_schema(bytes_of(vector))
        ]
        assert [1, rows] == vector["value"], vector["name"]
    for vector in vectors["reject"]:
        assert vector["code"] == code_of(read_schema, bytes_of(vector)), vector["name"]
