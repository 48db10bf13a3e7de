"""Commands of the office: carried out once, through the gate, and answered in the device's own journal."""

from itertools import pairwise

import pytest

from protocol.command import (
    DONE,
    GUARDED,
    HEARTBEAT_MS,
    LATE,
    OUT_OF_RANGE,
    REPORT,
    ROUTINE_SEAL_MS,
    SAMPLE_MS,
    SET_ACTUATOR,
    SET_SETTING,
    TIMELESS,
    UNKNOWN,
)
from protocol.event import ACTION, COMMAND, SAMPLE
from protocol.keys import CRITICAL, ROUTINE
from rules.guard import OUT_OF_RANGE as GATE_OUT_OF_RANGE
from rules.guard import TOO_SOON
from tests.agent.desk import Desk, KillPoint
from tests.agent.release_bench import FROM_MS, demo_bundle_again, make_command, make_release, root
from tests.agent.test_app import POINTS
from tests.agent.way_down import TRIAL, commands, kinds

RELAY = 2


def _desk(*demands, **settings):
    """Return a desk whose gateway holds these demands as commands 1, 2, ..."""
    desk = Desk(**settings)
    for index, demand in enumerate(demands):
        desk.gateway.commands[index + 1] = make_command(index + 1, demand)
    return desk


def _moves(desk):
    """Return what was moved after the boot asserted every position."""
    return [move for move in desk.moves if move != (1, 0)][1:]


def _actions(desk):
    """Return (order of the cause, action, value, result) of every action event."""
    return [
        (event[0] - event[3][0], *event[3][1:])
        for _, event in desk.gateway.events(CRITICAL)
        if event[2] == ACTION
    ]


def test_actuator_is_set_through_its_gate_and_the_action_names_the_command():
    """The event, then the movement, then an action whose cause is the command."""
    desk = _desk([SET_ACTUATOR, RELAY, 1])
    desk.run(1)
    orders = [event[0] for _, event in desk.gateway.events(CRITICAL) if event[2] == COMMAND]

    assert commands(desk) == [(1, [SET_ACTUATOR, RELAY, 1], DONE, [0, None])]
    assert (RELAY, 1) in desk.moves
    assert _actions(desk)[0] == (orders[0], RELAY, 1, 0)
    assert desk.cell().command_floor == 1
    gate = desk.agent.engine.state()[2][1]
    assert gate[2] == 1 and gate[1] is not None


@pytest.mark.proves("S03")
def test_command_outside_the_policy_is_refused_and_the_refusal_is_in_the_devices_own_journal():
    """Well sealed by the office and brought by the gateway, the gate all the same says no; nothing moves, sealed evidence stays."""
    desk = _desk([SET_ACTUATOR, RELAY, 5], [SET_ACTUATOR, RELAY, -1])
    desk.run(1)

    assert [(number, verdict, outcome[0]) for number, _, verdict, outcome in commands(desk)] == [
        (1, GUARDED, GATE_OUT_OF_RANGE),
        (2, GUARDED, GATE_OUT_OF_RANGE),
    ]
    assert {move[1] for move in desk.moves} == {0}
    assert desk.cell().command_floor == 2


def test_command_has_to_wait_for_the_gap_of_the_gate_like_any_rule():
    """Two in a row: the second comes too soon."""
    desk = _desk([SET_ACTUATOR, RELAY, 1], [SET_ACTUATOR, RELAY, 0])
    desk.run(1)

    assert [(verdict, outcome[0]) for _, _, verdict, outcome in commands(desk)] == [
        (DONE, 0),
        (GUARDED, TOO_SOON),
    ]


@pytest.mark.parametrize(
    ("setting", "value", "before"),
    [(HEARTBEAT_MS, 1500, 500), (SAMPLE_MS, 72_000, 36_000), (ROUTINE_SEAL_MS, 90_000, 600_000)],
)
def test_setting_takes_effect_at_once_and_outlives_restarts(setting, value, before):
    """The event says what it was before; device.toml is not changed, the journal remembers."""
    desk = _desk([SET_SETTING, setting, value])
    desk.run(3)
    desk.gateway.commands.clear()
    in_force = desk.agent.setting(setting)
    desk.run(1)
    desk.run(1)

    assert commands(desk) == [(1, [SET_SETTING, setting, value], DONE, before)]
    # Draining hurries heartbeats.
    assert in_force == (500 if setting == HEARTBEAT_MS else value)
    assert desk.boot().setting(setting) == value


def test_other_pace_of_samples_begins_behind_the_newest_sample():
    """From the command on, samples lie so far apart; none is read twice or before its time."""
    desk = _desk()
    command = make_command(1, [SET_SETTING, SAMPLE_MS, 100_000])
    desk.after(1, lambda: desk.gateway.commands.update({1: command}))
    desk.run(4)
    events = [event for _, event in desk.gateway.events(ROUTINE) if event[2] == SAMPLE]
    gaps = [later[1] - earlier[1] for earlier, later in pairwise(events)]

    assert set(gaps) == {36_000, 100_000}
    assert gaps == sorted(gaps)


def test_setting_outside_its_range_is_refused():
    """What would silence or exhaust the device is not set, whoever seals it."""
    desk = _desk([SET_SETTING, HEARTBEAT_MS, 999], [SET_SETTING, SAMPLE_MS, 86_400_001])
    desk.run(1)

    assert [(verdict, outcome) for _, _, verdict, outcome in commands(desk)] == [(OUT_OF_RANGE, None)] * 2
    assert desk.agent.setting(SAMPLE_MS) == 36_000


def test_report_carries_the_counters():
    """The answer is in the command's own event."""
    desk = _desk([REPORT])
    desk.run(1)
    ((_, _, verdict, health),) = commands(desk)

    assert verdict == DONE
    assert set(health) >= {*range(9), 13}


def test_what_the_agent_does_not_know_is_answered_as_unknown():
    """A later demand, a later setting, an action without a gate."""
    desk = _desk([7, 1, 2], [SET_SETTING, 200, 1], [SET_ACTUATOR, 40, 1])
    desk.run(1)

    assert [(verdict, outcome) for _, _, verdict, outcome in commands(desk)] == [(UNKNOWN, None)] * 3


def test_late_command_is_answered_and_not_carried_out():
    """Its time was over before it could be."""
    desk = _desk()
    desk.gateway.commands[1] = make_command(1, [SET_ACTUATOR, RELAY, 1], until_ms=FROM_MS)
    desk.run(1)

    assert commands(desk) == [(1, [SET_ACTUATOR, RELAY, 1], LATE, None)]
    assert (RELAY, 1) not in desk.moves


def test_command_waits_for_trusted_time_and_says_so_when_none_comes():
    """A device that was just started asks for the command once it knows the time; after a minute without, it answers."""
    desk = _desk([SET_ACTUATOR, RELAY, 1])
    desk.gateway.gives_time = False
    desk.run(20)
    early = commands(desk)
    desk.run(70)

    assert early == []
    assert commands(desk) == [(1, [SET_ACTUATOR, RELAY, 1], TIMELESS, None)]


def test_replayed_command_is_carried_out_once():
    """The gateway hands the same command out for ever, under higher and higher names: one event, one movement."""
    desk = _desk([SET_ACTUATOR, RELAY, 1])
    desk.gateway.newest = 99
    first = desk.gateway.commands[1]
    desk.gateway.meddle = lambda path, number, answer: (0x45, [], first)
    desk.run(4)
    desk.run(2)

    assert len(desk.gateway.gets) > 5
    assert len(commands(desk)) == 1
    assert len([action for action in _actions(desk) if action[1:3] == (RELAY, 1)]) >= 1
    assert desk.cell().command_floor == 1


@pytest.mark.parametrize(
    "raw",
    [
        make_command(1, [SET_ACTUATOR, RELAY, 1], key=bytes(32)),
        make_command(1, [SET_ACTUATOR, RELAY, 1], device=b"device-2"),
        make_command(1, [SET_ACTUATOR, RELAY, 1])[:-1] + b"\0",
        b"",
        b"\xff" * 300,
    ],
    ids=["forged", "of another device", "changed", "empty", "noise"],
)
def test_forged_command_leaves_nothing_but_a_count(raw):
    """Not sealed by the office for this device: no event, no movement, no floor, and the true one still comes through."""
    desk = _desk([REPORT])
    desk.gateway.meddle = lambda path, number, answer: (0x45, [], raw)
    desk.run(2)
    failed = desk.agent.health()[4]
    assert commands(desk) == [] and desk.cell().command_floor == 0
    desk.gateway.meddle = None
    desk.run(1)

    assert failed > 0
    assert [verdict for _, _, verdict, _ in commands(desk)] == [DONE]


def test_true_command_survives_a_flood_of_names():
    """A gateway that names a command that it does not have is asked once a heartbeat, no more."""
    desk = _desk()
    desk.gateway.newest = 1 << 31
    desk.run(5)

    assert commands(desk) == []
    assert len(desk.gateway.gets) <= len(desk.gateway.heartbeats)


def test_commands_are_taken_in_their_order():
    """One after the other, the lowest first."""
    desk = _desk(
        [REPORT], [SET_SETTING, ROUTINE_SEAL_MS, 5000], [REPORT], [SET_SETTING, ROUTINE_SEAL_MS, 7000]
    )
    desk.run(2)

    assert [number for number, _, _, _ in commands(desk)] == [1, 2, 3, 4]
    assert desk.agent.setting(ROUTINE_SEAL_MS) == 7000


@pytest.mark.parametrize("point", [*POINTS, "before_command", "before_carry_out", "after_command"])
@pytest.mark.parametrize("count", [1, 2])
def test_command_killed_at_a_named_point_happens_once(point, count):
    """Exactly one event, one action for it, the relay where it was sent, and a floor that never goes back."""
    desk = _desk([SET_ACTUATOR, RELAY, 1], [SET_SETTING, ROUTINE_SEAL_MS, 5000])
    desk.points = {point: count}
    end = desk.run(3)
    floor = desk.cell().command_floor
    desk.points = {}
    desk.run(2)

    assert isinstance(end, KillPoint)
    check_once(desk, floor)


def check_once(desk, floor):
    """Check that two commands, of the relay and of a setting, were each answered once and carried out."""
    answers = [(number, verdict) for number, _, verdict, _ in commands(desk)]
    assert answers == [(1, DONE), (2, DONE)], answers
    orders = [event[0] for _, event in desk.gateway.events(CRITICAL) if event[2] == COMMAND]
    assert [action[0] for action in _actions(desk)].count(orders[0]) == 1
    assert (RELAY, 1) in desk.moves
    assert desk.agent.setting(ROUTINE_SEAL_MS) == 5000
    assert desk.cell().command_floor == 2 >= floor


def test_setting_and_floor_outlive_the_checkpoint_that_replaces_their_event():
    """The ring forgets the event; checkpoints carry what it did."""
    desk = _desk([SET_SETTING, ROUTINE_SEAL_MS, 5000], sectors=8)
    desk.run(1)
    desk.gateway.commands.clear()
    desk.run(40)
    assert desk.agent._journal.kept_from(CRITICAL) > 3
    desk.agent._cell.store(command_floor=0)
    agent = desk.boot()

    assert agent.setting(ROUTINE_SEAL_MS) == 5000
    assert desk.cell().command_floor == 1


def test_command_moves_the_gate_that_new_rules_take_over():
    """A command during a trial, and its gap afterwards: no rule may move the actuator sooner because rules changed."""
    desk = _desk([SET_ACTUATOR, RELAY, 1], roots=[root("release").hex()], trial=TRIAL)
    desk.gateway.releases[7] = make_release(7, demo_bundle_again(5))
    desk.gateway.wanted = 7
    desk.run(0.9)
    gate = desk.agent.engine.state()[2][1]
    restarted = desk.boot()

    assert COMMAND in kinds(desk)
    assert gate[1] is not None
    assert restarted.engine.state()[2][1] == gate


def test_command_after_another_waits_for_a_sample_of_new_rules_all_the_same():
    """A command long ago says nothing of how long this one has waited: the gate of rules just switched has nothing to look at yet."""
    desk = _desk([REPORT], roots=[root("release").hex()])
    desk.settings.update(sample_ms=20_000_000, heartbeat_ms=1000, trial={"min_samples": 2})
    desk.gateway.releases[7] = make_release(7, demo_bundle_again(5))

    def name(answer):
        # The release once a minute has passed since the first command, the second command once its rules decide.
        answer.release = 7 if desk.agent.real_ms() > 65_000 else None
        is_on_trial = desk.gateway.heartbeats[-1].bundle[0] == 5
        if is_on_trial:
            desk.gateway.commands.setdefault(2, make_command(2, [SET_ACTUATOR, RELAY, 1]))
        answer.command = 2 if is_on_trial else 1

    desk.gateway.name_what_waits = name
    desk.run(130)

    assert [command[2] for command in commands(desk)] == [DONE, DONE]
    asked = [tick for tick, number in _command_ticks(desk) if number == 2]
    assert asked and asked[0] >= 100_000_000


def _command_ticks(desk):
    return [(event[1], event[3][0]) for _, event in desk.gateway.events(CRITICAL) if event[2] == COMMAND]


def test_nothing_moves_before_the_commands_event_is_durable():
    """Killed right before the actuator moves, the event is on flash already, and the next boot ends what it says."""
    desk = _desk([SET_ACTUATOR, RELAY, 1])
    desk.points = {"before_actuate": 1}
    assert isinstance(desk.run(2), KillPoint)
    moved = list(desk.moves)
    desk.run(1)
    boots = [boot for boot, event in desk.gateway.events(CRITICAL) if event[2] == COMMAND]

    assert (RELAY, 1) not in moved
    assert boots == [1]
    assert next(action[1:3] for action in _actions(desk)) == (RELAY, 1)
