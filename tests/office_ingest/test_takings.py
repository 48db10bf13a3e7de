"""The way down in the office: what waits for devices, what they say of it, and what a person is told."""

import hashlib

import pytest

from office_ingest.govern.commands import CommandRefused, answer_words, give_command
from office_ingest.govern.release import Request, build_release, revert_release, sign_release
from office_ingest.govern.rollout import RolloutRefused, Rollouts, halt, progress, roll_out
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.prove.explain import explain_decision
from office_ingest.prove.verify import verify_database
from office_ingest.storage.downward import Downward, Traits
from protocol import keys
from protocol.adoption import CONFIRMED, DAMAGED, REFUSED, ROLLED_BACK, STAGED, TRIAL
from protocol.cbor import dumps, loads
from protocol.command import DONE, GUARDED, LATE, parse_command
from protocol.errors import TARGET
from protocol.event import ADOPTION, COMMAND
from protocol.manifest import COHORT, DEVICES, KIND, parse_release
from tests.office_ingest.govern.release_bench import SCHEMA, SMALL, bundle
from tests.support.deciding_device import READINGS, DecidingDevice
from tests.support.device_model import DeviceModel
from tests.support.office_desk import PATIENCE

SCHEMA_DIGEST = hashlib.sha256(SCHEMA).digest()
OLD = bundle()
OLD_DIGEST = hashlib.sha256(OLD).digest()
SMALL_KEY = "key"


def newer(version):
    """Return the provisioned bundle under another version: it widens nothing."""
    top = loads(OLD, 16)
    top[2] = version
    return dumps(top)


def digest_of(body):
    """Return SHA-256."""
    return hashlib.sha256(body).digest()


@pytest.fixture
def fleet(desk):
    """An office with a signing key and two devices of one site, "first" and "second" by cohort, that run what they were provisioned with."""
    return make_fleet(desk)


def make_fleet(desk):
    desk.registry.add_schema(SCHEMA)
    desk.registry.add_bundle(OLD)
    public, _, envelope = make_key(desk.folder / SMALL_KEY, now_ms=1, **SMALL)
    Shelf(desk.store).add_root(public, envelope, 1)
    devices = []
    for number, cohort in enumerate(("first", "second"), 1):
        device = DeviceModel(number)
        device.bundle = (1, OLD_DIGEST)
        desk.add(device, name=cohort)
        traits = Traits("pump", cohort, "unix", SCHEMA_DIGEST[:8], OLD_DIGEST)
        desk.registry.put_traits(device.device, traits)
        desk.take(heartbeats=[device.heartbeat()])
        devices.append(device)
    return devices


def publish(desk, body, target=(KIND, "pump"), hardware=("unix",), *, is_signed=True, is_rolled_out=True):
    """Release a bundle and return its number."""
    shelf = Shelf(desk.store)
    request = Request(target, list(hardware), body, body, "author")
    number = build_release(shelf, request, desk.wall_ms()).number
    if is_signed:
        with OpenSigner(desk.folder / SMALL_KEY) as signer:
            sign_release(shelf, number, signer, desk.wall_ms())
    if is_signed and is_rolled_out:
        roll_out(desk.store, number, "author", desk.wall_ms())
    return number


def beat(desk, device, **fields):
    """Bring a heartbeat and return the office's answer."""
    return desk.take(heartbeats=[device.heartbeat(**fields)])


def say(desk, device, kind, *fields):
    """Let a device seal one event of the way down, and bring it."""
    return desk.take(device.seal(keys.CRITICAL, [device.row(kind, *fields)]))


def kinds(desk):
    """Return the kinds of the open findings."""
    return [kind for kind, _ in desk.findings()]


def test_answer_names_the_release_wanted_on_each_device_that_beats(desk, fleet):
    """A device of the cohort hears of its release, one of another of none; who did not beat is not named."""
    first, second = fleet
    number = publish(desk, newer(2), (COHORT, "first"))
    answer = desk.take(heartbeats=[first.heartbeat(), second.heartbeat()])

    assert [(first.device, number), (second.device, 0)] == answer.releases
    assert [] == desk.take(first.seal(1)).releases


def test_highest_signed_release_that_is_meant_and_rolled_out_is_wanted(desk, fleet):
    """Neither a higher one for others, nor one without signature, nor one that was halted, nor one for other hardware."""
    first, _ = fleet
    publish(desk, newer(2))
    wanted = publish(desk, newer(3), (DEVICES, [first.device]))
    publish(desk, newer(4), (COHORT, "second"))
    publish(desk, newer(5), is_signed=False)
    publish(desk, newer(6), hardware=("esp32",))
    halted = publish(desk, newer(7))
    halt(desk.store, halted, "author", desk.wall_ms())
    publish(desk, newer(8), is_rolled_out=False)

    assert [(first.device, wanted)] == beat(desk, first).releases


def test_half_signed_release_is_not_rolled_out(desk, fleet):
    """What widens needs two signatures; with one it cannot be wanted anywhere."""
    number = publish(desk, bundle(gap=0), is_rolled_out=False)

    with pytest.raises(RolloutRefused, match="lacks 1 of 2"):
        roll_out(desk.store, number, "author", desk.wall_ms())
    assert [] == Rollouts(desk.store)._running


def test_gateway_of_another_site_gets_nothing(desk, fleet):
    """Neither the release nor its part, nor what waits for a device there, goes to a gateway of another site."""
    first, _ = fleet
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-2", token="another token of sixteen", now_ms=1)
    body = newer(2)
    number = publish(desk, body)
    give_command(
        desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=10_000
    )
    rollouts = Rollouts(desk.store)
    answer = desk.ingest.take("gw-2", [], [first.heartbeat()])

    assert parse_release(rollouts.release_for("gw-1", number)).manifest.number == number
    assert body == rollouts.part_for("gw-1", digest_of(body))
    assert (None, None) == (rollouts.release_for("gw-2", number), rollouts.part_for("gw-2", digest_of(body)))
    assert ([], []) == (answer.releases, answer.commands)


def test_rollout_counts_sealed_heartbeats_only(desk, fleet):
    """A device that says that it confirmed counts only once its heartbeat names the rules; one that falls back counts no more."""
    first, _ = fleet
    body = newer(2)
    number = publish(desk, body, (DEVICES, [first.device]))
    for step in (STAGED, TRIAL, CONFIRMED):
        say(desk, first, ADOPTION, step, number, bytes(32), 0)
    said = progress(desk.store, number)
    beat(desk, first, bundle=(2, digest_of(body)))
    runs = progress(desk.store, number)
    beat(desk, first)
    fell_back = progress(desk.store, number)

    assert [False] == [one.runs for one in said]
    assert "confirmed it, but" in said[0].why
    assert [True] == [one.runs for one in runs]
    assert [False] == [one.runs for one in fell_back]


def test_step_back_is_a_new_number_with_the_old_rules(desk, fleet):
    """revert builds an unsigned release with the body of an earlier one for the same devices."""
    number = publish(desk, newer(2), (COHORT, "first"))
    later = publish(desk, newer(3), (COHORT, "first"))
    reverted = revert_release(Shelf(desk.store), number, "author", desk.wall_ms())
    old = Shelf(desk.store).get(number)

    assert reverted.number > later
    assert "built" == reverted.state
    assert (old.manifest.parts, old.manifest.target) == (reverted.manifest.parts, reverted.manifest.target)


def test_adoption_events_count_once_in_any_order(desk, fleet):
    """Segments that come late or twice leave the same history, in the device's own order."""
    first, _ = fleet
    raws = [
        first.seal(keys.CRITICAL, [first.row(ADOPTION, step, 7, bytes(32), 0)])
        for step in (STAGED, TRIAL, CONFIRMED)
    ]
    for raw in (raws[2], raws[0], raws[2], raws[1], raws[0]):
        desk.take(raw)

    assert [CONFIRMED, TRIAL, STAGED] == [one.step for one in Downward(desk.store).adoptions(first.device)]


def test_command_is_sealed_for_one_device_and_named_until_it_is_answered(desk, fleet):
    """The device's own key verifies it; it goes with each answer to a heartbeat, and no more once its event has come."""
    first, second = fleet
    given = give_command(
        desk.store, desk.keystore, first.device, [0, 1, 1], author="a", now_ms=desk.now_ms, lasts_ms=100_000
    )
    raws = beat(desk, first).commands
    message = parse_command(raws[0])
    message.verify(keys.downlink_key(first.downlink, "command"))

    assert (first.device, given.number, [0, 1, 1]) == (
        *(message.fields.device, message.fields.number),
        message.fields.demand,
    )
    assert raws == beat(desk, first).commands
    assert [] == beat(desk, second).commands
    say(desk, first, COMMAND, given.number, [0, 1, 1], DONE, [0, None])
    held = Downward(desk.store).command(first.device, given.number)
    assert [] == beat(desk, first).commands
    assert (DONE, [0, None]) == (held.verdict, held.answer)


def test_late_command_is_named_no_more(desk, fleet):
    """What its time has passed is not handed down."""
    first, _ = fleet
    give_command(desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=50)
    desk.now_ms += 60

    assert [] == beat(desk, first).commands


def test_numbers_of_commands_rise_and_never_repeat(desk, fleet):
    """Each is above every one that was given, and above every one that the device answered, also after a restored database."""
    first, _ = fleet

    def number():
        return give_command(
            desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999
        ).number

    before = [number(), number()]
    say(desk, first, COMMAND, 9, [2], DONE, {0: 1})

    assert [1, 2] == before
    assert 10 == number()
    assert "command" in kinds(desk)


def test_answer_to_another_demand_is_a_finding_and_answers_nothing(desk, fleet):
    """A number that was given twice, before and after a restore, is not taken for carried out."""
    first, _ = fleet
    given = give_command(
        desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999
    )
    say(desk, first, COMMAND, given.number, [1, 0, 5000], DONE, 1000)

    assert Downward(desk.store).command(first.device, given.number).verdict is None
    assert ["command"] == kinds(desk)


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "the other way round"])
def test_command_that_is_answered_twice_keeps_its_first_answer_and_is_told(desk, fleet, turn):
    """Executed once means answered once; which of two answers came to the office first decides nothing."""
    first, _ = fleet
    given = give_command(
        desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999
    )
    answers = [
        first.seal(keys.CRITICAL, [first.row(COMMAND, given.number, [2], verdict, outcome)])
        for verdict, outcome in ((DONE, {0: 1}), (LATE, None))
    ]
    desk.take(*answers[::turn])

    assert DONE == Downward(desk.store).command(first.device, given.number).verdict
    assert "twice" in dict(desk.rows("findings", "kind, text", "state = 'open'"))["command"]


@pytest.mark.parametrize(
    ("number", "demand", "said"), [(9, [2], "does not know"), (1, [1, 0, 5000], "another demand")]
)
def test_finding_of_a_command_says_what_does_not_fit(desk, fleet, number, demand, said):
    """A number that nobody gave and one that was given for something else lead a person to different places."""
    first, _ = fleet
    give_command(desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999)
    say(desk, first, COMMAND, number, demand, DONE, 1000)

    assert said in dict(desk.rows("findings", "kind, text"))["command"]


def test_gate_verdict_of_a_later_firmware_is_shown_as_a_number(desk, fleet):
    """What the office has no word for is still shown, and breaks neither the list nor the page."""
    first, _ = fleet
    given = give_command(
        desk.store, desk.keystore, first.device, [0, 1, 1], author="a", now_ms=desk.now_ms, lasts_ms=9999
    )
    say(desk, first, COMMAND, given.number, [0, 1, 1], GUARDED, [99, None])
    held = Downward(desk.store).command(first.device, given.number)

    assert "refused by the gate: verdict 99" == answer_words(held, desk.now_ms)


def test_command_that_the_device_would_refuse_for_certain_is_not_given(desk, fleet):
    """A value outside its gate or its setting's range, an action without a gate: the person is told at once."""
    first, _ = fleet
    for demand in ([0, 1, 7], [0, 99, 1], [1, 0, 5]):
        with pytest.raises(CommandRefused):
            give_command(
                desk.store, desk.keystore, first.device, demand, author="a", now_ms=desk.now_ms, lasts_ms=9999
            )
    assert [] == Downward(desk.store).commands(first.device)


@pytest.mark.proves("S10")
def test_rules_that_nobody_can_account_for_are_found_within_two_heartbeats_and_cleared(desk, fleet):
    """Drift is seen at the second heartbeat that names it, and is over when the device runs what it should."""
    first, _ = fleet
    strange = (9, bytes(range(32)))
    beat(desk, first, bundle=strange)
    once = kinds(desk)
    beat(desk, first, bundle=strange)
    twice = kinds(desk)
    beat(desk, first)

    assert ([], ["drift"], []) == (once, twice, kinds(desk))


def test_rolled_back_release_that_runs_on_is_drift(desk, fleet):
    """Who said that it went back and still names the rules is not accounted for."""
    first, _ = fleet
    body = newer(2)
    number = publish(desk, body, (DEVICES, [first.device]))
    for step in (TRIAL, ROLLED_BACK):
        say(desk, first, ADOPTION, step, number, bytes(32), 0)
    halt(desk.store, number, "author", desk.wall_ms())
    for _ in range(2):
        beat(desk, first, bundle=(2, digest_of(body)))

    assert "drift" in kinds(desk)


def confirmed_release(desk, device):
    """Release newer(2) for one device that tries it, confirms it and runs it; return its number."""
    number = publish(desk, newer(2), (DEVICES, [device.device]))
    for step in (STAGED, TRIAL, CONFIRMED):
        say(desk, device, ADOPTION, step, number, bytes(32), 0)
    beat(desk, device, bundle=(2, digest_of(newer(2))))
    return number


def test_older_rules_that_decide_again_without_a_word_are_drift(desk, fleet):
    """Who confirmed a release and then runs what was provisioned is seen at the second heartbeat, until it runs the release again."""
    first, _ = fleet
    confirmed_release(desk, first)
    beat(desk, first)
    once = kinds(desk)
    beat(desk, first)
    twice = kinds(desk)
    beat(desk, first, bundle=(2, digest_of(newer(2))))

    assert ([], ["drift"], []) == (once, twice, kinds(desk))


def test_release_confirmed_before_the_newest_is_drift_too(desk, fleet):
    """Every release but the last confirmed is history, though the device once said that it ran."""
    first, _ = fleet
    confirmed_release(desk, first)
    later = publish(desk, newer(3), (DEVICES, [first.device]))
    for step in (STAGED, TRIAL, CONFIRMED):
        say(desk, first, ADOPTION, step, later, bytes(32), 0)
    for _ in range(2):
        beat(desk, first, bundle=(2, digest_of(newer(2))))

    assert ["drift"] == kinds(desk)


def test_damaged_slot_that_the_device_tells_of_is_no_drift(desk, fleet):
    """A confirmed release whose slot is damaged gives way to the provisioned rules, and the device says so."""
    first, _ = fleet
    number = confirmed_release(desk, first)
    say(desk, first, ADOPTION, ROLLED_BACK, number, bytes(32), DAMAGED)
    for _ in range(3):
        beat(desk, first)

    assert ["rolled-back"] == kinds(desk)


def test_trial_that_no_heartbeat_ever_names_becomes_a_finding(desk, fleet):
    """To have begun is not to run: after the patience a person is told, with what the device last said."""
    first, _ = fleet
    number = publish(desk, newer(2), (DEVICES, [first.device]))
    for step in (STAGED, TRIAL):
        say(desk, first, ADOPTION, step, number, bytes(32), 0)
    for _ in range(PATIENCE):
        beat(desk, first)

    assert ["behind"] == kinds(desk)
    assert "the trial began" in desk.rows("findings", "text", "kind = 'behind'")[0][0]


def test_freeze_is_seen_a_release_that_a_gateway_withholds_becomes_a_finding(desk, fleet):
    """Heartbeats come and the device says nothing of what is wanted: a person is told, until it runs."""
    first, _ = fleet
    body = newer(2)
    publish(desk, body, (DEVICES, [first.device]))
    for _ in range(PATIENCE - 1):
        beat(desk, first)
    before = kinds(desk)
    beat(desk, first)
    then = kinds(desk)
    beat(desk, first, bundle=(2, digest_of(body)))

    assert ([], ["behind"], []) == (before, then, kinds(desk))


def test_refused_and_rolled_back_releases_are_told_in_words_and_end(desk, fleet):
    """A person reads which release and why; both end when the device runs what is wanted."""
    first, _ = fleet
    number = publish(desk, newer(2), (DEVICES, [first.device]))
    say(desk, first, ADOPTION, REFUSED, number, None, TARGET)
    say(desk, first, ADOPTION, ROLLED_BACK, number, bytes(32), 4)
    told = dict(desk.rows("findings", "kind, text", "state = 'open'"))
    beat(desk, first, bundle=(2, digest_of(newer(2))))

    assert told == {
        "refused": f"release {number}: target",
        "rolled-back": f"release {number}: the gate refused its acts",
    }
    assert [] == kinds(desk)


def test_verify_finds_nothing_wrong_with_the_way_down(desk, fleet):
    """Traits, rollouts, reports, adoptions and commands stand in an audited database like all else."""
    first, _ = fleet
    number = publish(desk, newer(2))
    beat(desk, first)
    say(desk, first, ADOPTION, STAGED, number, bytes(32), 100)
    given = give_command(
        desk.store, desk.keystore, first.device, [2], author="a", now_ms=desk.now_ms, lasts_ms=9999
    )
    say(desk, first, COMMAND, given.number, [2], LATE, None)

    assert [] == verify_database(desk.store.connection, desk.keystore).findings


@pytest.mark.proves("S15")
def test_past_decision_resolves_to_its_bundle_its_release_and_its_signer(desk, fleet):
    """Whatever runs now, a decision names the bundle that made it, the release that brought it, who wrote that and which key and leaf signed it."""
    device = DecidingDevice(5, OLD)
    desk.add(device, name="pump")
    device.start()
    before = _lived(desk, device)
    number = publish(desk, newer(2))
    signed = Shelf(desk.store).get(number)
    device.adopt(newer(2), number, signed.digest)
    tried = _lived(desk, device)
    device.confirm(number)
    later = publish(desk, newer(3))
    device.adopt(newer(3), later, Shelf(desk.store).get(later).digest)
    newest = _lived(desk, device)
    past = explain_decision(desk.store.connection, desk.keystore, "pump", tried["order"])
    (release,) = past["releases"]
    root = Shelf(desk.store).roots()[0].key_id

    assert (OLD_DIGEST.hex(), []) == (before["bundle"], before["releases"])
    assert [digest_of(newer(2)).hex()] * 2 == [past["bundle"], tried["bundle"]]
    assert (number, "author") == (release["number"], release["author"])
    assert [(root.hex(), signed.signatures[0].leaf)] == [
        (one["root"], one["leaf"]) for one in release["signers"]
    ]
    assert [] == past["replay"]
    assert [later] == [one["number"] for one in newest["releases"]]
    assert 1.0 == verify_database(desk.store.connection, desk.keystore).counts["run_replay_coverage"]


def _lived(desk, device):
    """Let a device take readings, bring what it sealed, and explain its newest decision."""
    device.live(READINGS)
    desk.take(*(segment.raw for segment in device.all_segments()))
    return explain_decision(desk.store.connection, desk.keystore, "pump", None)
