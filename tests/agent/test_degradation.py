"""What a device gives up when heap, flash, battery or link run short, and what it never does: the very agent, in virtual time."""

from itertools import pairwise

import pytest

from agent import app, steward
from agent.resources import BATTERY, FLASH, HEAP, LINK, NO_REPORTS, OPEN_WINDOW, SCARCE
from office_ingest.prove.replay import DeviceReplay
from protocol.cbor import dumps
from protocol.command import DONE, LINK_DAY_BYTES, SET_ACTUATOR, SET_SETTING
from protocol.event import DECISION, HEALTH, INPUTS, LEVEL, RULE_FAULT, SAMPLE, THINNING
from protocol.keys import CRITICAL, ROUTINE
from rules.bundle import read_bundle
from tests.agent.desk import BUNDLE, Desk
from tests.agent.release_bench import make_command
from tests.agent.way_down import NEW, NUMBER, commands, make_desk, running

WHOLE = 200_000
LOOK_S = steward.LOOK_MS // 1000


def levels(desk):
    """Return (resource, level) of every change that arrived, oldest first."""
    return [event[3][:2] for _, event in desk.gateway.events(CRITICAL) if event[2] == LEVEL]


def events(desk, kind):
    return [event for _, event in desk.gateway.events() if event[2] == kind]


def unexplained(desk):
    """Return how many orders of the newest boot are neither held nor counted as thinned; below zero: more counted than missing."""
    newest = desk.agent.boot
    of_boot = [event for boot, event in desk.gateway.events() if boot == newest]
    missing = sum(later[0] - earlier[0] - 1 for earlier, later in pairwise(of_boot))
    return missing - sum(event[3][1] for event in of_boot if event[2] == THINNING)


def causes_missing(desk):
    """Return the orders of decisions and faults whose sample did not arrive."""
    held = {event[0] for event in events(desk, SAMPLE)}
    made = events(desk, DECISION) + events(desk, RULE_FAULT)
    return [event[0] for event in made if event[0] - event[3][0] not in held]


def replayed(desk):
    """Return (counts, findings) of an office that replays all that arrived."""
    found = []
    replay = DeviceReplay(
        lambda _digest: read_bundle(BUNDLE), lambda order, text: found.append((order, text))
    )
    for boot, event in desk.gateway.events():
        replay.feed(boot, event)
    return replay.finish(), found


def _scarce_for_a_while():
    """Return a desk whose battery was scarce from the second look to the fourth, with all that it recorded."""
    desk = Desk()
    desk.after(LOOK_S // 2, lambda: setattr(desk, "battery", 50))
    desk.after(LOOK_S * 5 // 2, lambda: setattr(desk, "battery", 900))
    desk.run(5 * LOOK_S)
    assert levels(desk) == [(BATTERY, SCARCE), (BATTERY, 0)]
    return desk


@pytest.mark.proves("S43")
def test_low_heap_defers_releases_and_keeps_all_that_is_critical():
    """At 90 % of the heap no release is fetched; rules decide, commands are obeyed, nothing is missing; with room again it is."""
    desk = make_desk(trial={"min_ms": 400, "limit_ms": 30_000})
    desk.heap = (WHOLE // 10, WHOLE)
    desk.gateway.wanted = None
    desk.gateway.commands[1] = make_command(1, [SET_ACTUATOR, 2, 1])
    asked = []
    desk.after(LOOK_S + 1, lambda: setattr(desk.gateway, "wanted", NUMBER))
    desk.after(3 * LOOK_S, lambda: asked.extend(path for path in desk.gateway.order if path.startswith("r/")))
    desk.after(3 * LOOK_S + 1, lambda: setattr(desk, "heap", (WHOLE // 2, WHOLE)))
    desk.run(6 * LOOK_S)

    assert levels(desk) == [(HEAP, 1), (HEAP, 0)]
    assert asked == []
    assert commands(desk)[0][2] == DONE
    assert running(desk) == NEW
    assert causes_missing(desk) == []
    assert unexplained(desk) == 0
    assert not events(desk, THINNING)


def test_heap_is_not_walked_over_before_a_boot_has_had_time_to_decide():
    """The first look leaves it out, each later one has it: walking over it takes longer than all else until the first decision."""
    walked = []
    desk = Desk()
    desk.heap = (WHOLE // 20, WHOLE)
    desk.after(LOOK_S - 1, lambda: walked.append(desk.agent._steward.heap_lowest))
    desk.after(LOOK_S + 1, lambda: walked.append(desk.agent._steward.heap_lowest))
    desk.run(LOOK_S + 2)

    assert desk.moves
    assert walked == [0, WHOLE // 20]


@pytest.mark.proves("S43")
def test_low_battery_sends_what_is_critical_and_keeps_the_rest_for_later():
    """Scarce: no routine segment leaves, heartbeats come six times further apart; all of it arrives when it was charged."""
    desk = Desk(heartbeat_ms=1000)
    desk.battery = 90
    seen = []

    def look():
        lanes = [lane for lane, _, _ in desk.gateway.segments]
        seen.append((lanes.count(CRITICAL), lanes.count(ROUTINE), len(desk.gateway.heartbeats)))

    desk.after(2, look)
    desk.after(2 + 2 * LOOK_S, look)
    desk.after(2 + 2 * LOOK_S, lambda: setattr(desk, "battery", 800))
    desk.run(5 * LOOK_S)

    assert levels(desk)[0] == (BATTERY, SCARCE)
    assert levels(desk)[-1] == (BATTERY, 0)
    assert seen[1][0] > seen[0][0]
    assert seen[1][1] == seen[0][1]
    assert seen[1][2] - seen[0][2] <= 2 * LOOK_S // steward.SPACING + 1
    assert desk.agent._exchange.is_done()
    assert causes_missing(desk) == []
    assert unexplained(desk) == 0


def test_small_allowance_of_the_link_is_set_by_a_command_and_lets_critical_go_on():
    """The office gives a device fewer bytes a day: it thins, holds what is routine, and goes on with what is critical."""
    desk = Desk()
    desk.gateway.commands[1] = make_command(1, [SET_SETTING, LINK_DAY_BYTES, 100_000])
    held = []
    desk.after(3 * LOOK_S, lambda: held.append({key for key in desk.gateway.segments if key[0] == ROUTINE}))
    desk.after(5 * LOOK_S, lambda: held.append({key for key in desk.gateway.segments if key[0] == ROUTINE}))
    decided = []
    desk.after(3 * LOOK_S, lambda: decided.append(len(events(desk, DECISION))))
    desk.after(5 * LOOK_S, lambda: decided.append(len(events(desk, DECISION))))
    desk.after(
        5 * LOOK_S + 1, lambda: desk.gateway.commands.update({2: make_command(2, [SET_SETTING, 3, 0])})
    )
    desk.run(7 * LOOK_S)

    assert (LINK, SCARCE) in levels(desk)
    assert levels(desk)[-1] == (LINK, 0)
    assert held[0] == held[1]
    assert decided[1] > decided[0]
    assert [verdict for _, _, verdict, _ in commands(desk)] == [DONE, DONE]
    assert causes_missing(desk) == []
    assert unexplained(desk) == 0


class Dry:
    """A sensor without leaks or hot hours: readings by the hundred, hardly a decision."""

    def __init__(self):
        self.number = 0

    def read(self):
        self.number += 1
        return [8000 + self.number * 7919 % 900, 600 + self.number * 104_729 % 300]


def _in_custody_alone():
    """Return a desk of a small ring, its gateway cut off from the office: it takes segments, and no receipt comes."""
    desk = Desk(sectors=12)
    desk.sensor = Dry()
    desk.gateway.gives_receipts = False
    return desk


@pytest.mark.proves("S52")
def test_full_flash_thins_readings_and_says_so_and_comes_back_by_itself():
    """Without a gateway the ring fills to its end: then one sample in four; the gateway is back, and so is every reading."""
    desk = Desk(sectors=24)
    desk.gateway.is_down = True
    desk.after(60, lambda: setattr(desk.gateway, "is_down", False))
    desk.run(80)
    flash = [event[3] for event in events(desk, LEVEL) if event[3][0] == FLASH]

    assert flash[0] == (FLASH, SCARCE, 0, NO_REPORTS | OPEN_WINDOW, 4)
    assert flash[-1][:2] == (FLASH, 0)
    assert {event[3][2] for event in events(desk, THINNING)} == {1}
    assert desk.agent._recorder.keep == 1


@pytest.mark.proves("S52")
def test_outage_that_the_ring_can_hold_costs_no_reading():
    """More than half of the ring waits for its receipts, and nothing is thinned, dropped or missing."""
    desk = Desk(sectors=24)
    desk.gateway.is_down = True
    left = []
    desk.after(25, lambda: left.append(desk.agent._journal.spare()))
    desk.after(25, lambda: setattr(desk.gateway, "is_down", False))
    desk.run(30)

    assert left[0] < 500
    assert levels(desk) == []
    assert unexplained(desk) == 0
    assert not events(desk, THINNING)


def test_what_the_gateway_has_in_custody_thins_no_reading():
    """The uplink is cut, the gateway goes on: a ring that is written again and again holds what is elsewhere too."""
    desk = _in_custody_alone()
    desk.run(2 * LOOK_S + 5)

    assert desk.flash.erases > 3 * 8
    assert SCARCE not in [level for _, level in levels(desk)]
    assert not events(desk, THINNING)


def test_boot_asks_what_is_in_custody_before_it_calls_its_ring_full():
    """Custody is not on flash: a device that starts with a full ring hears of it from the gateway, and thins nothing meanwhile."""
    desk = _in_custody_alone()
    desk.run(LOOK_S)
    desk.run(LOOK_S // 2)

    assert desk.agent.boot == 2
    assert SCARCE not in [level for _, level in levels(desk)]
    assert not events(desk, THINNING)


def test_person_can_have_the_newest_readings_whole_instead():
    """flash_keep = 1: a ring that is full to its end gives up its oldest readings, and thins none."""
    desk = Desk(sectors=24, flash_keep=1)
    desk.gateway.is_down = True
    desk.after(60, lambda: setattr(desk.gateway, "is_down", False))
    desk.run(65)

    assert (FLASH, SCARCE) in levels(desk)
    assert not events(desk, THINNING)


def test_every_sample_that_is_not_recorded_is_counted_and_those_that_decided_are_recorded():
    """Orders that are missing are as many as the thinning events say; no decision lacks its sample."""
    desk = _scarce_for_a_while()
    thinned = sum(event[3][1] for event in events(desk, THINNING))

    assert thinned > 100
    assert unexplained(desk) == 0
    assert len(events(desk, DECISION)) > 20
    assert causes_missing(desk) == []


def test_level_is_recorded_before_the_first_reading_that_it_costs():
    """Between two level events the earlier one explains what is missing: none is missing before the first."""
    desk = _scarce_for_a_while()
    first = events(desk, LEVEL)[0]
    before = [event[0] for _, event in desk.gateway.events() if event[0] <= first[0]]

    assert first[3][:2] == (BATTERY, SCARCE)
    assert before == list(range(before[0], first[0] + 1))


@pytest.mark.proves("S43")
def test_rules_decide_the_same_whether_readings_are_thinned_or_not():
    """Thinning is of the record: the moves of a device that has all it needs are those of one that is scarce of everything."""
    plenty, scarce = Desk(), Desk()
    scarce.battery, scarce.heap = 10, (1, WHOLE)
    plenty.run(3 * LOOK_S)
    scarce.run(3 * LOOK_S)

    assert len(plenty.moves) > 20
    assert scarce.moves == plenty.moves


def test_office_replays_a_thinned_record_and_finds_nothing_wrong():
    """Every decision is decided again, equal; run replay covers each sample before and after, knows how many are missing, accuses nobody."""
    desk = _scarce_for_a_while()
    counts, found = replayed(desk)
    first, last = (change[0] for change in events(desk, LEVEL))
    whole = [event for event in events(desk, SAMPLE) if not first < event[0] < last]

    assert found == []
    assert counts.decisions_equal == counts.decisions > 20
    assert len(whole) <= counts.samples_run < counts.samples
    assert counts.thinned == sum(event[3][1] for event in events(desk, THINNING)) > 100


def test_level_outlives_no_boot():
    """Each boot begins with enough of everything, and finds out anew."""
    desk = Desk()
    desk.battery = 50
    desk.run(LOOK_S)
    desk.battery = 900
    desk.run(LOOK_S)

    assert levels(desk) == [(BATTERY, SCARCE)]
    assert desk.agent._recorder.keep == 1


def test_releases_are_not_held_for_ever(monkeypatch):
    """A heap that stays low for a day may be one that only a release mends."""
    monkeypatch.setattr(steward, "_HELD_MS_MAX", 25_000)
    desk = make_desk(trial={"min_ms": 400, "limit_ms": 30_000})
    desk.heap = (WHOLE // 20, WHOLE)
    desk.run(60)

    assert levels(desk) == [(HEAP, SCARCE)]
    assert running(desk) == NEW


# ---- telemetry


def _bytes_by_path(desk):
    """Count the bytes of real datagrams, request and answer, by the first part of their path."""
    counted = {}
    send = desk.gateway.send

    def counting(datagram):
        before = sum(map(len, desk.gateway.queue))
        send(datagram)
        path = desk.gateway.order[-1].split("/")[0]
        answer = sum(map(len, desk.gateway.queue)) - before
        counted[path] = counted.get(path, 0) + len(datagram) + answer

    desk.gateway.send = counting
    return counted


def _told_bytes(desk):
    """Return the bytes that telemetry took: the maps of heartbeats, and the rows of its events with what frames them."""
    maps = sum(len(dumps(beat.health)) - 1 for beat in desk.gateway.heartbeats)
    rows = [event for _, event in desk.gateway.events() if event[2] in (HEALTH, INPUTS)]
    return maps + sum(len(dumps([*event[:3], *event[3]])) for event in rows)


@pytest.mark.proves("S44")
def test_heartbeats_and_all_telemetry_are_under_a_hundredth_of_the_normal_traffic():
    """Ten samples a second of two channels, a heartbeat each half hour: measured on the datagrams of an hour."""
    desk = Desk(
        sectors=100,
        clock_scale=1,
        sample_ms=100,
        heartbeat_ms=1_800_000,
        exchange_idle_ms=1000,
        inputs_ms=900_000,
    )
    counted = _bytes_by_path(desk)
    desk.after(3599, lambda: counted.update(before_drain=counted["h"]))
    desk.run(3600)
    beats, moved = counted.pop("before_drain"), sum(counted.values())
    rows = [event for _, event in desk.gateway.events() if event[2] in (HEALTH, INPUTS)]

    assert {event[2] for event in rows} == {HEALTH, INPUTS}
    told = sum(len(dumps([*event[:3], *event[3]])) for event in rows)
    assert beats + told < moved / 100, f"{beats} of heartbeats and {told} of rows, of {moved}"


@pytest.mark.proves("S44")
def test_telemetry_of_an_idle_device_is_bounded_by_its_share(monkeypatch):
    """A sample each 36 s, a heartbeat each 10 s: heartbeats are most of the traffic, and health in them a hundredth and the boot's."""
    monkeypatch.setattr(app, "_SLEEP_MS", 1000)
    desk = Desk(clock_scale=1, sample_ms=36_000, heartbeat_ms=10_000, exchange_idle_ms=500)
    counted = _bytes_by_path(desk)
    desk.run(6 * 3600)
    moved = sum(counted.values())
    first = len(dumps(desk.gateway.heartbeats[0].health))

    assert counted["h"] > moved / 2
    assert _told_bytes(desk) <= moved / 100 + first
    assert len([beat for beat in desk.gateway.heartbeats if beat.health]) > 10
