"""Releases from the gateway to the rules that decide: adopted, kept or rolled back, and the old ones never lost."""

import hashlib

import pytest

from agent.adopter import FETCHING, WAITING
from agent.checkpoint import ADOPT, PartJoiner, decode_checkpoint
from agent.flash import RamFlash
from agent.incumbent import read_slot
from agent.patience import Patience
from agent.slots import Slots
from protocol import adoption
from protocol.event import CHECKPOINT, DECISION, SAMPLE
from protocol.keys import CRITICAL
from protocol.limits import block_bytes
from rules import grammar as g
from rules.guard import ALLOWED
from tests.agent.desk import BUNDLE
from tests.agent.release_bench import (
    UNTIL_MS,
    adopt_bundle,
    demo_bundle_again,
    digest_of,
    faulting_bundle,
    greedy_bundle,
    make_release,
    one_gate,
    other_gates,
)
from tests.agent.test_app import _check_evidence_of
from tests.agent.way_down import BODY, NEW, NUMBER, OLD, adoptions, deciders, make_desk, running, steps
from tools.rule_tree import reading

KEPT = [(adoption.STAGED, NUMBER, 0), (adoption.TRIAL, NUMBER, 5), (adoption.CONFIRMED, NUMBER, 0)]
BOTH = ("release", "recovery")
# Where the clock of every desk begins.
NOW_MS = 1_700_000_000_000


def _back(reason, number=NUMBER, version=5):
    return [*KEPT[:1], (adoption.TRIAL, number, version), (adoption.ROLLED_BACK, number, reason)]


@pytest.mark.proves("S07")
def test_release_is_adopted_without_another_firmware_and_the_old_rules_are_kept():
    """Rules of a signed release decide in the running process, confirmed by a heartbeat; agent and provisioned rules are the same."""
    desk = make_desk()
    desk.run(3)
    agent = desk.agent._board.agent_digest

    assert steps(desk) == KEPT
    assert {digest for _, _, digest, _ in adoptions(desk)} == {digest_of(desk.gateway.releases[NUMBER])}
    assert deciders(desk) == [NEW]
    assert running(desk) == NEW
    assert (desk.cell().version_floor, desk.cell().release) == (NUMBER, [0, -1, 0, 0])
    assert desk.agent.boot == 1
    assert {point.agent for point in _checkpoints(desk)} == {agent}
    assert desk.bundle == BUNDLE
    _check_evidence_of(desk, [BUNDLE, BODY])


def _checkpoints(desk):
    joiner = PartJoiner()
    wholes = [joiner.add(event[3]) for _, event in desk.gateway.events(CRITICAL) if event[2] == CHECKPOINT]
    return [decode_checkpoint(whole) for whole in wholes if whole is not None]


def test_confirmed_rules_decide_after_a_restart_without_a_gateway():
    """What was confirmed needs nobody to be kept, and no wall time."""
    desk = make_desk()
    desk.run(3)
    desk.gateway.is_down = True
    agent = desk.boot()

    assert agent.incumbent.digest == NEW
    assert steps(desk) == KEPT


def test_next_release_takes_the_other_slot_and_leaves_the_confirmed_one_alone():
    """The slot that decides is never written to."""
    desk = make_desk()
    desk.run(3)
    before = desk.flash.image[-32 * 4096 : -16 * 4096]
    desk.gateway.releases[8] = make_release(8, demo_bundle_again(6))
    desk.gateway.wanted = 8
    desk.run(3)

    assert desk.cell().release == [1, -1, 0, 0]
    assert desk.flash.image[-32 * 4096 : -16 * 4096] == before
    assert desk.cell().version_floor == 8


def test_only_what_is_not_here_is_asked_for():
    """A release of the rules that decide already costs its manifest and signatures, no part."""
    desk = make_desk(make_release(NUMBER, BUNDLE))
    desk.run(3)

    assert steps(desk)[0] == (adoption.STAGED, NUMBER, 0)
    assert set(desk.gateway.gets) == {f"r/{NUMBER}"}
    assert adoptions(desk)[0][3] == len(desk.gateway.releases[NUMBER][0])
    assert steps(desk)[2] == (adoption.CONFIRMED, NUMBER, 0)


def test_gates_keep_their_ticks_and_actuators_their_positions_when_rules_change():
    """No actuator moves because rules were changed, and none sooner than its gap; one that nobody knew goes to its safe position."""
    gates = [one_gate(1, gap=90_000), one_gate(9, safe=1)]
    desk = make_desk(make_release(NUMBER, other_gates(5, gates), BOTH))
    desk.gateway.wanted = None
    desk.after(5, lambda: setattr(desk.gateway, "wanted", NUMBER))
    desk.run(8)
    last = {
        act[0]: (event[3][4], act[1])
        for _, event in desk.gateway.events(CRITICAL)
        if event[2] == DECISION
        for act in event[3][-1]
        if act[2] == ALLOWED
    }
    gate = desk.agent.engine.state()[2][0]

    assert steps(desk) == KEPT
    assert gate == [1, *last[1]]
    assert desk.moves[-1] == (9, 1)
    assert desk.agent.actuators.positions == {1: last[1][1], 2: last[2][1], 9: 1}
    restarted = desk.boot()
    assert restarted.actuators.positions == {1: last[1][1], 2: last[2][1], 9: 1}
    assert restarted.engine.state()[2][0] == gate


def test_adoption_begins_with_a_checkpoint_of_the_new_rules():
    """Between the trial's event and the first decision of the new rules stands their whole state."""
    desk = make_desk()
    desk.run(3)
    found = [point for point in _checkpoints(desk) if point.reason == ADOPT]

    assert [point.bundle for point in found] == [(5, NEW)]


def test_rules_that_ask_not_to_be_replaced_now_are_waited_for():
    """The bundle that decides says when another may take its place; until then it decides, and the release stays staged."""
    desk = make_desk(make_release(NUMBER, demo_bundle_again(5), BOTH))
    desk.bundle = adopt_bundle(4, [g.ABOVE, reading(0), 11_000])
    # The story's flow is low for its next thirty samples.
    desk.sensor.number = 30
    desk.run(6)
    events = [event for _, event in desk.gateway.events()]
    flows = {
        event[1]: event[3][0][0] for event in events if event[2] == SAMPLE and event[3][0][0] is not None
    }
    switched = next(event for event in events if event[2] == 11 and event[3][0] == adoption.TRIAL)

    assert steps(desk)[:2] == KEPT[:2]
    newest = max(tick for tick in flows if tick <= switched[1])
    assert flows[newest] > 11_000


def _desk_with_a_bad_reset(reset_body):
    """Return a desk with floor 150 and 160 rolled back, offered the release that resets the floor and is no good."""
    desk = make_desk(make_release(NUMBER, reset_body, BOTH, reset=(100, 200)))
    desk.boot()
    desk.agent._cell.store(version_floor=150, rejected=160)
    return desk


def test_reset_that_was_rolled_back_is_not_tried_again_in_this_boot():
    """The cell's note holds a higher number, so it cannot hold this one: the boot remembers it."""
    desk = _desk_with_a_bad_reset(faulting_bundle(5))
    desk.settings["fetch"] = {"retry_ms": 50}
    desk.run(20)

    assert steps(desk) == _back(adoption.FAULT)
    assert (desk.cell().version_floor, desk.cell().rejected) == (150, 160)


def test_reset_that_a_restart_ended_is_not_tried_again_in_the_boot_that_rolled_it_back():
    """What hangs the device would do so again at once."""
    desk = _desk_with_a_bad_reset(demo_bundle_again(5))
    desk.settings.update(fetch={"retry_ms": 50}, trial={"min_ms": 60_000})
    desk.points = {"after_switch": 1}
    desk.run(3)
    desk.reset_cause = 1
    desk.run(20)

    assert steps(desk) == _back(adoption.WATCHDOG)


def test_roll_back_is_followed_by_waits_that_double():
    """Ever new releases that fail their trials: each is tried later than the one before, however well each was fetched."""
    desk = make_desk(make_release(1, faulting_bundle(5)), number=1)
    desk.gateway.releases.update(
        {number: make_release(number, faulting_bundle(5)) for number in range(2, 30)}
    )
    desk.gateway.name_what_waits = lambda answer: setattr(
        answer, "release", 1 + len([step for step in steps(desk) if step[0] == adoption.ROLLED_BACK])
    )
    desk.settings.update(sample_ms=360_000, fetch={"retry_ms": 500})
    desk.run(60)

    assert 4 <= len([step for step in steps(desk) if step[0] == adoption.ROLLED_BACK]) <= 7


def test_confirmed_release_ends_waits_and_forgets_what_was_rolled_back():
    """A mended reset under the same number: after a confirmed release nothing of before counts."""
    desk = _desk_with_a_bad_reset(faulting_bundle(5))
    desk.gateway.releases[161] = make_release(161, demo_bundle_again(6))
    desk.settings["fetch"] = {"retry_ms": 50}
    desk.after(2, lambda: setattr(desk.gateway, "wanted", 161))
    desk.run(5)
    adopter = desk.agent._adopter

    assert steps(desk)[3:] == [(1, 161, 0), (2, 161, 6), (3, 161, 0)]
    assert (adopter._patience.failures, adopter._patience.has_given_up(NUMBER)) == (0, False)


# ---- a gateway that changes its mind


def _begins(desk):
    """Count from now on how often a slot is erased for a release."""
    counted = []
    begin = desk.agent._slots.begin

    def count(slot, number, etag):
        counted.append(number)
        begin(slot, number, etag)

    desk.agent._slots.begin = count
    return counted


def _name_in_turn(desk, names, is_time):
    """Let answers name these numbers in turn, 0 for none: the next as soon as is_time() holds, after none at once."""
    named = [0]

    def name(answer):
        if is_time() or not names[named[0] % len(names)]:
            named[0] += 1
        answer.release = names[named[0] % len(names)] or None

    desk.gateway.name_what_waits = name
    return named


@pytest.mark.parametrize("names", [(7, 8), (7, 0), (7, 0, 8, 0)])
def test_releases_named_in_turn_cannot_wear_the_flash_out(names):
    """A begun fetch is given up for another release, or for none, again and again: each time it begins later."""
    desk = make_desk(make_release(NUMBER, BODY, BOTH), exchange_idle_ms=60)
    desk.gateway.releases[8] = make_release(8, demo_bundle_again(6), BOTH)
    desk.settings.update(sample_ms=360_000_000, heartbeat_ms=100, fetch={"retry_ms": 500})
    turns = _name_in_turn(desk, names, lambda: desk.agent._adopter.state == FETCHING)
    counted = []
    desk.after(0, lambda: counted.append(_begins(desk)))
    desk.run(60)

    assert 4 <= turns[0] * len([number for number in names if number]) // len(names) <= 9
    assert len(counted[0]) <= 9


def test_staged_releases_named_in_turn_cannot_wear_the_flash_out():
    """Each is fetched whole and waits, then the other is named, with none between them: later each time."""
    desk = make_desk(make_release(NUMBER, demo_bundle_again(5), BOTH))
    desk.gateway.releases[8] = make_release(8, demo_bundle_again(6), BOTH)
    desk.bundle = adopt_bundle(4, False)
    desk.settings.update(sample_ms=360_000, heartbeat_ms=100, fetch={"retry_ms": 500})
    _name_in_turn(desk, (7, 0, 8, 0), lambda: desk.agent._adopter.state == WAITING)
    desk.run(60)

    assert {step[0] for step in steps(desk)} == {adoption.STAGED}
    assert len(steps(desk)) <= 7


def test_staged_release_that_is_named_again_is_neither_recorded_nor_written_again():
    """Halted and named again for ever, it waits each time; the slot's pages do not fill, and nothing is fetched but a block."""
    desk = make_desk(make_release(NUMBER, demo_bundle_again(5), BOTH))
    desk.bundle = adopt_bundle(4, False)
    desk.settings.update(heartbeat_ms=100, fetch={"retry_ms": 1})
    waits = []

    def is_waiting():
        waits.append(desk.agent._adopter.state)
        return waits[-1] == WAITING

    turns = _name_in_turn(desk, (7, 0), is_waiting)
    desk.after(0, lambda: setattr(desk.agent._adopter, "_patience", Patience(0)))
    desk.after(2, lambda: waits.append(desk.flash.operations))
    desk.run(12)

    assert turns[0] > 30
    assert steps(desk) == KEPT[:1]
    assert "r/7/0" not in desk.gateway.gets[20:]


def test_release_whose_bytes_are_damaged_in_its_slot_is_fetched_again():
    """A whole release that is not any more what its tag says is forgotten, not refused for ever."""
    desk = make_desk()
    desk.points = {"before_stage": 1}
    desk.run(3)
    at = len(desk.flash.image) - 31 * 4096 + 1000
    assert desk.flash.image[at : at + 4] != bytes(4)
    desk.flash.image[at : at + 4] = bytes(4)
    desk.run(3)

    assert steps(desk) == KEPT


def test_release_is_adopted_where_the_time_is_known_only_roughly():
    """A device that speaks once an hour knows the time to half an hour: enough, as long as all of it lies inside the validity."""
    desk = make_desk()
    desk.gateway.time_error_ms = 600_000
    desk.run(4)

    assert [step for step, _, _ in steps(desk)] == [1, 2, 3]


def test_release_waits_for_a_time_that_can_tell_its_validity():
    """Valid since a while, and the time known to half an hour: neither refused, as good as it is, nor adopted, until it is told better."""
    desk = make_desk(make_release(NUMBER, BODY, validity=(NOW_MS - 300_000, UNTIL_MS)))
    desk.gateway.time_error_ms = 1_800_000
    desk.run(2)
    early = steps(desk)
    desk.gateway.time_error_ms = 5
    desk.run(3)

    assert early == []
    assert [step for step, _, _ in steps(desk)] == [1, 2, 3]


# ---- what ends a trial


@pytest.mark.parametrize(("sample_ms", "heartbeat_ms"), [(7_200_000, 200), (36_000, 40_000)])
def test_slow_device_has_the_time_that_a_proof_takes(sample_ms, heartbeat_ms):
    """Samples or heartbeats so rare that the limit would be over before a good release could be proved: it is confirmed all the same."""
    desk = make_desk(trial={"min_ms": 400, "min_samples": 3, "limit_ms": 1000})
    desk.settings.update(sample_ms=sample_ms, heartbeat_ms=heartbeat_ms)
    desk.gateway.deaf_to = NEW if heartbeat_ms > 1000 else None
    desk.after(20, lambda: setattr(desk.gateway, "deaf_to", None))
    desk.run(70)

    assert steps(desk) == KEPT


def test_switch_is_told_by_a_heartbeat_at_once():
    """Who hears from a device once an hour sees the trial when it begins, and how it ended."""
    desk = make_desk(make_release(NUMBER, faulting_bundle(5, after=60)), heartbeat_ms=3_600_000)
    desk.settings["trial"] = {"min_ms": 60_000}
    desk.run(10)

    assert steps(desk) == _back(adoption.FAULT)
    bundles = [beat.bundle[0] for beat in desk.gateway.heartbeats]
    # The drain at the end asks twice a second.
    assert bundles[:3] == [4, 5, 4]


@pytest.mark.proves("S11")
def test_rule_that_faults_rolls_back_at_once_and_the_older_number_is_refused_later():
    """A bad bundle gives way to the last good one by itself; its number is never tried again, nor one below the floor."""
    desk = make_desk()
    desk.run(3)
    desk.gateway.releases[8] = make_release(8, faulting_bundle(6))
    desk.gateway.wanted = 8
    desk.run(3)
    asked = len(desk.gateway.gets)
    desk.run(3)
    desk.gateway.releases[6] = make_release(6, demo_bundle_again(4))
    desk.gateway.wanted = 6
    desk.run(3)

    assert steps(desk)[3:6] == [(1, 8, 0), (2, 8, 6), (adoption.ROLLED_BACK, 8, adoption.FAULT)]
    assert desk.gateway.gets[asked:] and "r/8" not in desk.gateway.gets[asked:]
    assert steps(desk)[6:] == [(adoption.REFUSED, 6, 22)]
    assert (running(desk), desk.cell().version_floor, desk.cell().rejected) == (NEW, NUMBER, 8)


def test_fault_after_some_good_samples_rolls_back_too():
    """A trial ends at its first fault, whenever it comes."""
    desk = make_desk(make_release(NUMBER, faulting_bundle(5, after=5)))
    desk.run(3)

    assert steps(desk) == _back(adoption.FAULT)
    assert running(desk) == OLD


def test_rules_whose_acts_the_gate_refuses_are_rolled_back():
    """Three refused acts and none let through: not what its authors meant."""
    desk = make_desk(make_release(NUMBER, greedy_bundle(5)))
    desk.run(3)

    assert steps(desk) == _back(adoption.GUARDED)
    assert running(desk) == OLD


def test_trial_that_no_heartbeat_confirms_ends_when_its_time_with_a_gateway_is_over():
    """A gateway that answers everything but heartbeats of the new rules: the old ones decide again."""
    desk = make_desk(trial={"min_ms": 100, "limit_ms": 1500})
    desk.gateway.deaf_to = NEW
    desk.run(5)

    assert steps(desk) == _back(adoption.DEADLINE)
    assert running(desk) == OLD


def test_time_without_a_gateway_does_not_count_against_a_trial():
    """A link that breaks during the trial ends nothing; when it is back, the trial goes on and is confirmed."""
    desk = make_desk(trial={"min_ms": 400, "limit_ms": 12_000})
    desk.gateway.deaf_to = NEW
    desk.after(1, lambda: setattr(desk.gateway, "is_down", True))
    desk.after(61, lambda: setattr(desk.gateway, "is_down", False))
    desk.after(61, lambda: setattr(desk.gateway, "deaf_to", None))
    desk.run(75)

    assert steps(desk) == KEPT


def test_third_start_of_one_trial_rolls_back():
    """The switch, a restart, and at the next one the old rules decide."""
    desk = make_desk(trial={"min_ms": 60_000})
    desk.points = {"after_switch": 1}
    desk.run(3)
    desk.gateway.is_down = True
    found = [desk.boot().incumbent.digest for _ in range(2)]
    desk.gateway.is_down = False
    desk.gateway.wanted = None
    desk.run(1)

    assert found == [NEW, OLD]
    assert steps(desk) == _back(adoption.RESTARTS)
    assert desk.cell().rejected == NUMBER


def test_trial_that_the_watchdog_ended_is_rolled_back():
    """The boot after it decides by the old rules."""
    desk = make_desk(trial={"min_ms": 60_000})
    desk.points = {"after_switch": 1}
    desk.run(3)
    desk.reset_cause = 1
    agent = desk.boot()
    desk.reset_cause = 0
    desk.gateway.wanted = None
    desk.run(1)

    assert agent.incumbent.digest == OLD
    assert steps(desk) == _back(adoption.WATCHDOG)


def _damage(desk, slot):
    """Clear a bit of the rules in a slot: their version, so that they are still well formed."""
    held = read_slot(Slots(RamFlash(desk.flash.sectors, desk.flash.image)), slot)
    at = desk.flash.image.index(held[2], len(desk.flash.image) - 32 * 4096 + slot * 16 * 4096)
    assert desk.flash.image[at + 4] == 5
    desk.flash.image[at + 4] = 4


def test_damaged_trial_gives_way_at_boot_and_may_come_again():
    """A slot that does not hold what it should never decides; the release is not to blame."""
    desk = make_desk(trial={"min_ms": 60_000})
    desk.points = {"after_switch": 1}
    desk.run(3)
    _damage(desk, 0)
    agent = desk.boot()

    assert agent.incumbent.digest == OLD
    desk.settings["trial"] = {"min_ms": 400}
    desk.run(3)
    assert steps(desk)[2:] == [(adoption.ROLLED_BACK, NUMBER, adoption.DAMAGED), *KEPT]


def test_damaged_confirmed_slot_gives_way_to_the_provisioned_rules_and_is_fetched_again():
    """Something always decides; the floor stays, and the same release may come again."""
    desk = make_desk()
    desk.run(3)
    _damage(desk, 0)
    agent = desk.boot()

    assert (agent.incumbent.digest, desk.cell().version_floor) == (OLD, NUMBER)
    desk.run(3)
    assert steps(desk)[3:] == [(adoption.ROLLED_BACK, NUMBER, adoption.DAMAGED), *KEPT]


def test_interrupted_fetch_goes_on_behind_the_last_whole_sector():
    """Killed after most of a large release, the next boot asks for the first block and then only for what is not whole."""
    release = make_release(NUMBER, BODY, BOTH)
    desk = make_desk(release)
    desk.points = {"after_block": 10}
    desk.run(5)
    asked = len(desk.gateway.gets)
    desk.run(3)

    assert steps(desk) == KEPT
    assert adoptions(desk)[0][3] <= len(release[0]) - 4096 + block_bytes + len(BODY)
    assert asked == 10


def test_halted_release_that_waits_is_not_adopted():
    """Named no more by the gateway's answers to heartbeats, a staged release stays where it is and nothing switches."""
    desk = make_desk(make_release(NUMBER, demo_bundle_again(5), BOTH))
    desk.bundle = adopt_bundle(4, False)
    desk.after(2, lambda: setattr(desk.gateway, "wanted", None))
    desk.run(3)
    agent = desk.agent

    assert steps(desk) == KEPT[:1]
    assert agent._adopter.state == 0
    assert running(desk) == hashlib.sha256(desk.bundle).digest()


def test_data_goes_first():
    """While segments wait, no block is asked for."""
    desk = make_desk()
    desk.gateway.is_down = True
    desk.settings["drain_ms"] = 100
    desk.run(8)
    desk.gateway.is_down = False
    desk.run(4)
    first = desk.gateway.order.index("r/7")

    assert desk.gateway.order[:first].count("s") > 3
    assert steps(desk) == KEPT


def test_segments_without_end_leave_one_request_in_nine_to_a_release():
    """On a link that does not catch up with its backlog a release is still fetched, a block after every eighth segment."""
    desk = make_desk()
    desk.gateway.is_down = True
    desk.settings["drain_ms"] = 100
    desk.run(16)
    desk.gateway.is_down = False
    mark = len(desk.gateway.order)
    desk.run(4)
    after = [path for path in desk.gateway.order[mark:] if path != "h"]
    runs = "".join("s" if path == "s" else "r" for path in after).split("r")

    assert len(after) > 20
    assert [len(run) for run in runs[:2]] == [8, 8]
    assert steps(desk) == KEPT
