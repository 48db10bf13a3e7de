"""The view class of the routine lane: changed by the office's word alone, and only where a view period begins."""

import pytest

from protocol.command import DONE, OUT_OF_RANGE, ROUTINE_CLASS, SET_SETTING
from protocol.event import COMMAND
from protocol.keys import CLEAR, CRITICAL, OFFICE, ROUTINE, SITE
from tests.agent.desk import Desk
from tests.agent.release_bench import make_command
from tests.agent.way_down import COMMAND_POINTS, commands

# Of device time; of real time a thousandth.
PERIOD_S = 1800
PERIOD_REAL_S = PERIOD_S / 1000


def ordered(*classes, **settings):
    """Return a desk with short periods whose gateway holds commands for these classes, one after the other."""
    desk = Desk(period_s=PERIOD_S, routine_seal_ms=120_000, **settings)
    for index, view_class in enumerate(classes):
        order(desk, index + 1, view_class)
    return desk


def order(desk, number, view_class, **more):
    desk.gateway.commands[number] = make_command(number, [SET_SETTING, ROUTINE_CLASS, view_class], **more)


def classes_of(desk, lane=ROUTINE):
    """Return period -> view classes of the segments of a lane that have a body."""
    found = {}
    for segment in desk.gateway.segments.values():
        header = segment.header
        if header.lane == lane and header.view_class != CLEAR:
            found.setdefault(header.period, set()).add(header.view_class)
    return found


def period_of_command(desk, number=1):
    """Return the view period in which the event of a command was sealed."""
    for key, segment in desk.gateway.segments.items():
        if key[0] == CRITICAL and segment.tombstone is None:
            for _, event in desk.gateway.events_of(key, segment):
                if event[2] == COMMAND and event[3][0] == number:
                    return segment.header.period
    raise AssertionError(f"no event of command {number}")


def check_class_changes_with_the_next_period():
    """Order class office in the middle of a period, and class site again two periods later."""
    desk = ordered()
    desk.after(PERIOD_REAL_S / 2, lambda: order(desk, 1, OFFICE))
    desk.run(3 * PERIOD_REAL_S)
    first = period_of_command(desk)
    desk.later = [(PERIOD_REAL_S / 2, lambda: order(desk, 2, SITE))]
    desk.run(3 * PERIOD_REAL_S)
    second = period_of_command(desk, 2)
    expected = {
        period: {SITE if period <= first or period > second else OFFICE} for period in classes_of(desk)
    }

    assert expected == classes_of(desk)
    assert {SITE, OFFICE} == {view_class for found in expected.values() for view_class in found}
    assert first < second < max(expected)
    assert [(DONE, SITE), (DONE, OFFICE)] == [(verdict, before) for _, _, verdict, before in commands(desk)]


def test_class_changes_with_the_next_period():
    """What is sealed in a period stays in one class; the next one has the other, until a command says otherwise."""
    check_class_changes_with_the_next_period()


def test_critical_lane_keeps_its_class():
    """Checkpoints and decisions are for the office alone, whatever the routine lane is."""
    desk = ordered(SITE)
    desk.run(2 * PERIOD_REAL_S)

    assert {OFFICE} == set().union(*classes_of(desk, CRITICAL).values())


def check_restarts_neither_forget_nor_hurry(*points):
    """Restart again and again within periods, killed at points of the command. points: (name, count)."""
    desk = ordered()
    desk.run(PERIOD_REAL_S / 8)
    order(desk, 1, OFFICE)
    desk.points = dict(points)
    for _ in range(16):
        desk.run(PERIOD_REAL_S / 8)
    found = classes_of(desk)

    assert {1} == {len(classes) for classes in found.values()}, found
    assert ({SITE}, {OFFICE}) == (found[0], found[max(found)])
    assert [DONE] == [verdict for _, _, verdict, _ in commands(desk)]


def test_restarts_neither_forget_nor_hurry():
    """Within a period the flash says which class is in force, and the journal which one is wanted."""
    check_restarts_neither_forget_nor_hurry()


@pytest.mark.parametrize("point", COMMAND_POINTS)
def test_class_changes_once_wherever_the_command_is_killed(point):
    """Each kill point of a command, and restarts behind it."""
    check_restarts_neither_forget_nor_hurry((point, 1))


def test_first_segment_of_a_lane_has_the_class_that_is_wanted():
    """Where nothing of the lane lies in this period there is nothing to be told apart from."""
    desk = ordered(OFFICE)
    desk.settings["routine_seal_ms"] = 10 * PERIOD_S * 1000
    desk.run(PERIOD_REAL_S / 2)

    assert {0: {OFFICE}} == classes_of(desk)


@pytest.mark.parametrize("value", [CLEAR, OFFICE + 1])
def test_what_is_no_class_is_refused(value):
    """Nothing is ever sealed in the open, nor in a class that nobody knows."""
    desk = ordered(value)
    desk.run(2 * PERIOD_REAL_S)

    assert [OUT_OF_RANGE] == [verdict for _, _, verdict, _ in commands(desk)]
    assert {SITE} == set().union(*classes_of(desk).values())


def check_gateway_cannot_open_a_lane():
    """Bring the order under another key, as whoever has the link alone can."""
    desk = ordered(**{"class": ["office", "office"]})
    order(desk, 1, SITE, key=bytes(32))
    desk.run(2 * PERIOD_REAL_S)

    assert [] == commands(desk)
    assert {OFFICE} == set().union(*classes_of(desk).values())


def test_gateway_cannot_open_a_lane():
    """Who carries the orders can neither make one nor bring one of another device."""
    check_gateway_cannot_open_a_lane()
