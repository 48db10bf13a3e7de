"""The commands that roll a release out, halt it, watch it and step back: what they do, print, and with which exit code they end."""

import getpass

from protocol.adoption import CONFIRMED, REFUSED, STAGED
from protocol.diagnostic import FINDING, OK, USAGE
from protocol.errors import VALIDITY
from protocol.event import ADOPTION
from protocol.manifest import COHORT, KIND
from tests.office_ingest.govern.release_bench import NOW_MS
from tests.office_ingest.test_takings import beat, digest_of, newer, publish, say


def _signed(field, version=2, target=(KIND, "pump")):
    return publish(field.desk, newer(version), target, is_rolled_out=False)


def test_rolled_out_release_is_wanted_by_the_next_heartbeat(field):
    """The command alone makes the running office name the release to its devices."""
    number = _signed(field)
    before = beat(field.desk, field.first).releases
    code, out, _ = field.run("release", "roll-out", number, "--author", "A. Author")

    assert OK == code
    assert [(field.first.device, 0)] == before
    assert [(field.first.device, number)] == beat(field.desk, field.first).releases
    assert [
        f"rollout of release {number}: running, by A. Author",
        f"next: outstation release status {number}",
    ] == out.splitlines()


def test_rollout_as_json_names_its_schema_and_who_said_so(field):
    """Without --author it is the user of this machine."""
    number = _signed(field)
    code, document = field.ask("release", "roll-out", number)

    assert (OK, "outstation.release-rollout", 1) == (code, document["schema"], document["version"])
    assert (number, "running", getpass.getuser()) == (
        *(document["number"], document["state"], document["author"]),
    )
    assert document["started_ms"] == document["changed_ms"] > NOW_MS


def test_what_cannot_be_rolled_out_is_said(field):
    """Unknown, unsigned, expired, and already under way: each with its reason; nothing is wanted then."""
    unsigned = publish(field.desk, newer(2), is_signed=False)
    now_ms, field.desk.now_ms = field.desk.now_ms, NOW_MS
    expired = publish(field.desk, newer(3), is_rolled_out=False)
    field.desk.now_ms = now_ms
    reasons = {
        99: "there is no release 99",
        unsigned: f"release {unsigned} lacks 1 of 1 signatures",
        expired: f"release {expired} expired; no device would adopt it",
    }
    for number, reason in reasons.items():
        code, name, text, fix = field.refused("release", "roll-out", number)
        assert (USAGE, "rollout-refused", reason, True) == (code, name, text, "release show" in fix)
    assert [(field.first.device, 0)] == beat(field.desk, field.first).releases

    number = _signed(field, 4)
    field.run("release", "roll-out", number)
    assert f"release {number} is being rolled out already" == field.refused("release", "roll-out", number)[2]
    assert (USAGE, "usage-wrong") == field.refused("release", "roll-out", "none")[:2]


def test_halted_release_is_wanted_no_more_and_can_be_resumed(field):
    """Halting takes it from the next answer; rolling it out again goes on with what was begun."""
    number = _signed(field)
    started = field.ask("release", "roll-out", number)[1]["started_ms"]
    code, out, _ = field.run("release", "halt", number, "--author", "B. Author")
    halted = beat(field.desk, field.first).releases
    resumed = field.ask("release", "roll-out", number)[1]

    assert (OK, f"rollout of release {number}: halted, by B. Author\n") == (code, out)
    assert [(field.first.device, 0)] == halted
    assert ("running", started) == (resumed["state"], resumed["started_ms"])
    assert [(field.first.device, number)] == beat(field.desk, field.first).releases


def test_nothing_to_halt_is_said(field):
    """A release that is not known, was never rolled out, or is halted already."""
    number = _signed(field)
    for asked in (99, number):
        code, name, text, _ = field.refused("release", "halt", asked)
        assert (USAGE, "rollout-refused", f"release {asked} is not being rolled out") == (code, name, text)
    field.run("release", "roll-out", number)

    assert OK == field.run("release", "halt", number)[0]
    assert USAGE == field.run("release", "halt", number)[0]


def test_status_tells_device_by_device_how_far_it_is(field):
    """Not fetched, waiting, running by the newest sealed heartbeat; only devices that it is meant for are named."""
    number = publish(field.desk, newer(2), (COHORT, "first"))
    untouched = field.run("release", "status", number)
    say(field.desk, field.first, ADOPTION, STAGED, number, bytes(32), 4000)
    waiting = field.run("release", "status", number)
    say(field.desk, field.first, ADOPTION, CONFIRMED, number, bytes(32), 0)
    said = field.run("release", "status", number)
    beat(field.desk, field.first, bundle=(2, digest_of(newer(2))))
    runs = field.run("release", "status", number)

    assert [OK] * 4 == [code for code, _, _ in (untouched, waiting, said, runs)]
    assert [
        "first                it has not fetched it yet",
        f"0 of 1 devices run release {number}; 0 refused it or rolled back",
    ] == untouched[1].splitlines()
    assert "it has it and waits" in waiting[1]
    assert "it confirmed it, but its heartbeats name another bundle" in said[1]
    assert [
        "first                runs it",
        f"1 of 1 devices run release {number}; 0 refused it or rolled back",
    ] == runs[1].splitlines()


def test_status_ends_with_one_where_a_device_refused(field):
    """The reason stands in the line; a device that comes to run it after all is a failure no more."""
    number = publish(field.desk, newer(2))
    say(field.desk, field.first, ADOPTION, REFUSED, number, None, VALIDITY)
    code, document = field.ask("release", "status", number)
    shown = field.run("release", "status", number)
    beat(field.desk, field.first, bundle=(2, digest_of(newer(2))))
    after = field.run("release", "status", number)[0]
    first, second = document["devices"]

    assert (FINDING, FINDING, OK) == (code, shown[0], after)
    assert "it refused it: validity" in shown[1]
    assert ("outstation.release-status", 1, number) == (
        *(document["schema"], document["version"], document["number"]),
    )
    assert (0, 1, 2) == (document["running"], document["failed"], document["of"])
    assert ("first", field.first.device.hex(), True, False, 1, "refused: validity") == (
        *(first["name"], first["device"], first["wanted"], first["runs"], first["reported_version"]),
        first["step"],
    )
    assert (None, "it has not fetched it yet") == (second["step"], second["why"])


def test_status_of_a_release_that_is_not_there_is_refused(field):
    """Nobody is told that nothing runs what does not exist."""
    code, name, text, _ = field.refused("release", "status", 99)

    assert (USAGE, "rollout-refused", "there is no release 99") == (code, name, text)


def test_step_back_is_built_for_the_same_devices_and_waits_for_its_signature(field):
    """A new number with the old rules, which nothing rolls out before somebody signed it."""
    old = publish(field.desk, newer(2), (COHORT, "first"))
    later = publish(field.desk, newer(3), (COHORT, "first"))
    before = field.ask("release", "show", old)[1]
    code, document = field.ask("release", "revert", old, "--author", "A. Author")
    number = document["number"]

    assert (OK, "outstation.release", 1) == (code, document["schema"], document["version"])
    assert number > later
    assert ("built", [], "A. Author") == (document["state"], document["signatures"], document["author"])
    assert (before["parts"], before["target"]) == (document["parts"], document["target"])
    assert USAGE == field.run("release", "roll-out", number)[0]
    assert [(field.first.device, later)] == beat(field.desk, field.first).releases
    out = field.run("release", "revert", old, "--author", "A. Author")[1]
    assert out.endswith(f"next: outstation release sign {number + 1} --key FOLDER\n")


def test_step_back_to_what_is_not_there_or_by_nobody_is_refused(field):
    """Who takes back must say who he is; what is taken back must exist."""
    code, name, text, _ = field.refused("release", "revert", 99, "--author", "A. Author")

    assert (USAGE, "release-refused", True) == (code, name, "99" in text)
    assert (USAGE, "usage-missing") == field.refused("release", "revert", 1)[:2]
