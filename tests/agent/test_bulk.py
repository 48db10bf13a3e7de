"""What waits for a window on a link that is dear, and what never does: the very agent, in virtual time."""

from agent.bulk import RECENT_MAX
from agent.steward import LOOK_MS
from protocol.command import BULK_UNTIL_S, DONE, REPORT, SET_SETTING
from protocol.event import THINNING
from protocol.keys import CRITICAL, ROUTINE
from tests.agent.desk import Desk
from tests.agent.release_bench import make_command
from tests.agent.test_degradation import causes_missing, events, unexplained
from tests.agent.way_down import NEW, NUMBER, commands, make_desk, running

LOOK_S = LOOK_MS // 1000
HOUR_S = 3600
# Real seconds: the gateway is away until then, and a backlog lies on flash.
AWAY_S = 6
SHUT_S = 12


def held(desk, lane):
    """Return how many segments of a lane the gateway has."""
    return len([key for key in desk.gateway.segments if key[0] == lane])


def _of_day(clock, seconds):
    """Return the time of day, as settings say it, so many seconds from now."""
    minute = (clock.wall_ms() // 1000 + seconds) // 60 % 1440
    return f"{minute // 60:02}:{minute % 60:02}"


def _seen(desk, at_s, found):
    desk.after(
        at_s, lambda: found.append((held(desk, CRITICAL), held(desk, ROUTINE), len(desk.gateway.heartbeats)))
    )


def _backlog(**settings):
    """Return a desk that had no gateway for a while, and whose window is shut then until SHUT_S + 2."""
    desk = Desk(**settings)
    desk.gateway.is_down = True
    desk.gateway.bulk_s = HOUR_S
    desk.after(AWAY_S, lambda: setattr(desk.gateway, "is_down", False))
    desk.after(SHUT_S + 2, lambda: setattr(desk.gateway, "bulk_s", None))
    return desk


def check_backlog_waits_and_critical_does_not():
    """Build a backlog, and look what leaves while the window is shut and after it opened."""
    desk, seen = _backlog(), []
    desk.gateway.commands[1] = make_command(1, [REPORT])
    for at_s in (AWAY_S + 3, SHUT_S):
        _seen(desk, at_s, seen)
    answered = []
    desk.after(SHUT_S, lambda: answered.extend(commands(desk)))
    desk.run(SHUT_S + 6)
    (critical, routine, beats), later = seen

    assert routine == later[1] <= 1
    assert later[0] > critical > 0
    assert later[2] > beats
    assert [one[2] for one in answered] == [DONE]
    assert desk.agent._exchange.is_done()
    assert held(desk, ROUTINE) > 10
    assert unexplained(desk) == 0
    assert causes_missing(desk) == []


def test_backlog_waits_for_its_window_and_critical_heartbeats_and_commands_do_not():
    """Outside, no routine segment of a backlog leaves; what is critical does. When the window opens all of it arrives, and nothing is missing."""
    check_backlog_waits_and_critical_does_not()


def test_what_was_recorded_lately_goes_at_once():
    """A device that is heard all the time has no backlog: its readings arrive as they are sealed, window or not."""
    desk, seen = Desk(), []
    desk.gateway.bulk_s = HOUR_S
    for at_s in (3, 6, 9):
        _seen(desk, at_s, seen)
    desk.run(10)

    assert seen[0][1] < seen[1][1] < seen[2][1]
    assert unexplained(desk) == 0


def check_release_waits(open_by):
    """Offer a release while the window is shut; open_by(desk): what opens it. Return the desk and whether anything was asked for before."""
    desk = make_desk(trial={"min_ms": 400, "limit_ms": 30_000})
    desk.gateway.bulk_s = HOUR_S
    before = []
    desk.after(4, lambda: before.extend(path for path in desk.gateway.gets if path.startswith("r/")))
    desk.after(5, lambda: open_by(desk))
    desk.run(14)

    assert before == []
    assert running(desk) == NEW, NUMBER


def test_release_waits_for_its_window():
    """Not a block is asked for before; then it is fetched and tried as any other."""
    check_release_waits(lambda desk: setattr(desk.gateway, "bulk_s", None))


def test_persons_command_opens_the_window_for_an_urgent_release():
    """The gateway goes on saying that it is shut; until the time that the command says it is open all the same."""

    def order(desk):
        until_s = desk.clock.wall_ms() // 1000 + HOUR_S
        desk.gateway.commands[1] = make_command(1, [SET_SETTING, BULK_UNTIL_S, until_s])

    check_release_waits(order)


def test_window_that_a_command_opened_ends():
    """By the time that it said; over a restart too, for it is a time and no duration."""
    desk, seen = _backlog(), []
    past_s = desk.clock.wall_ms() // 1000 + 1
    desk.gateway.commands[1] = make_command(
        1, [SET_SETTING, BULK_UNTIL_S, past_s], until_ms=desk.clock.wall_ms() + 60_000
    )
    _seen(desk, SHUT_S, seen)
    desk.run(SHUT_S + 1)

    assert commands(desk)[0][2] == DONE
    assert seen[0][1] <= 1


def test_cheap_link_is_told_by_its_first_answer():
    """What the dear link said counts no more where another answer says nothing of it."""
    desk, seen = _backlog(), []
    desk.after(AWAY_S + 2, lambda: setattr(desk.gateway, "bulk_s", None))
    _seen(desk, AWAY_S + 1.5, seen)
    _seen(desk, SHUT_S, seen)
    desk.run(SHUT_S + 1)

    assert seen[0][1] <= 1
    assert seen[1][1] > 10


def test_no_gateway_shuts_the_window_for_longer_than_a_day():
    """A number as large as it may be is a day, and what comes after it another's word."""
    desk = Desk()
    bulk = desk.boot()._exchange.bulk
    bulk.told(1 << 62)
    shut = bulk.holds_releases()
    desk.clock.now += 86_401

    assert (shut, bulk.holds_releases()) == (True, False)


def test_own_window_is_shut_until_the_time_is_known_and_then_as_the_day_has_it():
    """Without a time nobody knows whether it is open; readings lie safe meanwhile, and heartbeats bring the time."""
    clock = Desk().clock
    window = f"{_of_day(clock, 0)}-{_of_day(clock, 7200)}"
    desk, seen = _backlog(bulk_window=window), []
    desk.gateway.bulk_s = None
    desk.gateway.gives_time = False
    desk.after(SHUT_S, lambda: setattr(desk.gateway, "gives_time", True))
    _seen(desk, SHUT_S, seen)
    desk.run(SHUT_S + 5)

    assert seen[0][1] <= 1
    assert held(desk, ROUTINE) > 10
    assert unexplained(desk) == 0


def test_own_window_holds_what_a_gateway_lets_go():
    """Only the device knows that its way to the network is dear."""
    clock = Desk().clock
    desk, seen = _backlog(bulk_window=f"{_of_day(clock, 7200)}-{_of_day(clock, 10_800)}"), []
    desk.gateway.bulk_s = None
    _seen(desk, SHUT_S, seen)
    desk.run(SHUT_S + 1)

    assert seen[0][1] <= 1
    assert seen[0][0] > 0


def check_ring_that_fills_opens_the_window():
    """Never open the window, and let the ring fill: what would be given up goes out, and nothing is lost."""
    desk = Desk(sectors=24)
    desk.gateway.is_down = True
    desk.gateway.bulk_s = HOUR_S
    desk.after(2 * LOOK_S, lambda: setattr(desk.gateway, "is_down", False))
    shut, levels = [], []
    desk.after(4 * LOOK_S, lambda: shut.append(held(desk, ROUTINE)))
    desk.after(4 * LOOK_S, lambda: levels.append(desk.agent._steward.levels.packed()))
    desk.run(18 * LOOK_S)

    assert (shut[0] <= 1, levels) == (True, [0])
    assert held(desk, ROUTINE) > 100
    assert all(segment.tombstone is None for segment in desk.gateway.segments.values())
    assert not events(desk, THINNING)
    # Everything but what waits on flash now is at the gateway: nothing between was given up.
    assert unexplained(desk) == 0


def test_ring_that_fills_opens_the_window_before_anything_is_given_up():
    """A window that never comes costs no reading: flash low is stronger than it."""
    check_ring_that_fills_opens_the_window()


def test_few_segments_are_no_backlog():
    """As many as four may wait and go; one more is a backlog."""
    bulk = Desk().boot()._exchange.bulk
    bulk.told(60)

    assert [bulk.holds_routine(waiting) for waiting in (RECENT_MAX, RECENT_MAX + 1)] == [False, True]
    bulk.yields = True
    assert not bulk.holds_routine(RECENT_MAX + 1)
    assert bulk.holds_releases()
