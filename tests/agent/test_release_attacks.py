"""Releases that somebody forged, mixed, delayed or sent astray: refused by the device alone, the old rules go on, the journal says so."""

import hashlib

import pytest

from protocol import adoption, coap, errors
from protocol.event import SAMPLE
from protocol.keys import CRITICAL, ROUTINE
from protocol.limits import release_bytes_max
from protocol.manifest import COHORT, KIND, MODEL, RULES, encode_release
from tests.agent.model_gateway import block_of
from tests.agent.release_bench import (
    FROM_MS,
    SCHEMA_DIGEST,
    demo_bundle_again,
    digest_of,
    make_manifest,
    make_release,
    sign,
)
from tests.agent.test_app import _check_evidence
from tests.agent.way_down import BODY, NUMBER, OLD, adoptions, deciders, make_desk, running, steps

SECONDS = 4
BOTH = ("release", "recovery")


def _check_refused(desk, code, number=NUMBER, digest=b"any"):
    """Run: the old rules decide throughout, one event says the number and why, and data arrives as ever."""
    desk.run(SECONDS)
    found = [step for step in adoptions(desk) if step[1] == number]

    assert [(step, detail) for step, _, _, detail in found] == [(adoption.REFUSED, code)]
    assert digest == b"any" or found[0][2] == digest
    assert deciders(desk) == [OLD]
    assert running(desk) == OLD
    assert desk.cell().release == [-1, -1, 0, 0]
    assert desk.cell().version_floor == desk.floor_before
    _check_evidence(desk)


def _desk(release=None, floor=0, **settings):
    desk = make_desk(release, **settings)
    desk.floor_before = floor
    if floor:
        desk.boot()
        desk.agent._cell.store(version_floor=floor)
    return desk


def test_release_without_a_signature_is_refused():
    """Unsigned."""
    _check_refused(_desk((encode_release(make_manifest(NUMBER, [BODY]), []), [BODY])), errors.UNSIGNED)


def test_release_signed_by_a_stranger_is_refused():
    """Wrong key."""
    release = make_release(NUMBER, BODY, ("stranger",))
    _check_refused(_desk(release), errors.SIGNER, digest=digest_of(release))


def test_device_without_roots_believes_nobody():
    """No roots file: every release is of a stranger."""
    _check_refused(_desk(roots=[]), errors.SIGNER)


def test_older_release_is_refused():
    """Rollback: a number below the floor, however well signed."""
    _check_refused(_desk(floor=NUMBER + 1), errors.ROLLBACK)


def test_release_far_above_the_floor_is_refused():
    """Fast-forward: nobody can use up all numbers with one."""
    desk = _desk(make_release(1001 + NUMBER, BODY), floor=NUMBER)
    desk.gateway.releases[1001 + NUMBER] = desk.gateway.releases.pop(NUMBER)
    desk.gateway.wanted = 1001 + NUMBER
    _check_refused(desk, errors.FORWARD, number=1001 + NUMBER)


def test_expired_release_is_refused():
    """Freeze, the device's side: what was held back until its time was over is not adopted."""
    _check_refused(_desk(make_release(NUMBER, BODY, validity=(FROM_MS, FROM_MS + 1000))), errors.VALIDITY)


def test_release_is_not_adopted_without_trusted_time():
    """A device that nobody tells the time waits for it, and refuses in the end."""
    desk = _desk(fetch={"limit_ms": 1000})
    desk.gateway.gives_time = False
    _check_refused(desk, errors.VALIDITY)


def test_part_of_another_release_is_refused():
    """Mix-and-match: the manifest of one, the rules of another, both signed."""
    release, _ = make_release(NUMBER, BODY)
    _check_refused(_desk((release, [demo_bundle_again(6)])), errors.PART)


def test_part_of_another_release_under_a_forged_tag_is_refused():
    """The same, by a gateway that puts the right tag on the wrong bytes."""
    release, _ = make_release(NUMBER, BODY)
    desk = _desk((release, [demo_bundle_again(6)]))
    tag = hashlib.sha256(BODY).digest()[:8]
    desk.gateway.meddle = lambda path, number, answer: (
        block_of(demo_bundle_again(6), number, etag=tag) if path == "r/7/0" else answer
    )
    _check_refused(desk, errors.PART)


def test_signature_of_another_manifest_is_refused():
    """Mix-and-match: a good signature, over something else."""
    other = hashlib.sha256(make_manifest(8, [BODY])).digest()
    release = encode_release(make_manifest(NUMBER, [BODY]), [sign("release", other)])
    _check_refused(_desk((release, [BODY])), errors.SEAL)


def test_another_release_than_the_one_asked_for_is_refused():
    """A number is asked for by name; a good release of another number does not stand for it."""
    _check_refused(_desk(make_release(8, BODY)), errors.PART)


def test_blocks_of_two_releases_under_one_tag_are_refused():
    """Mix-and-match within a transfer: the digest of the whole body is not what its tag says."""
    desk = _desk()
    body, other = desk.gateway.releases[NUMBER][0], make_release(NUMBER, demo_bundle_again(6))[0]
    tag = hashlib.sha256(body).digest()[:8]
    assert len(body) == len(other)
    desk.gateway.meddle = lambda path, number, answer: (
        block_of(other, number, etag=tag) if path == "r/7" and number == 2 else answer
    )
    _check_refused(desk, errors.PART)


def test_release_that_keeps_changing_is_refused():
    """A tag that changes begins the fetch anew, three times at most."""
    desk = _desk()
    bodies = [make_release(NUMBER, demo_bundle_again(version))[0] for version in (6, 7)]
    desk.gateway.meddle = lambda path, number, answer: block_of(
        bodies[len(desk.gateway.gets) // 3 % 2], number
    )
    _check_refused(desk, errors.PART)


def test_release_that_changes_once_on_the_way_is_fetched_anew_and_adopted():
    """The office added a signature: the blocks of before are forgotten."""
    desk = _desk(make_release(NUMBER, BODY, ("release",)))
    twice = make_release(NUMBER, BODY, BOTH)
    desk.gateway.meddle = lambda path, number, answer: (
        block_of(twice[0], number) if path == "r/7" and len(desk.gateway.gets) > 3 else answer
    )
    desk.run(SECONDS)

    assert [step for step, _, _ in steps(desk)] == [adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED]


def test_short_part_is_refused():
    """Partial: less than the manifest says."""
    release, _ = make_release(NUMBER, BODY)
    desk = _desk((release, [BODY]))
    tag = hashlib.sha256(BODY).digest()[:8]
    desk.gateway.meddle = lambda path, number, answer: (
        block_of(BODY[:300], number, etag=tag) if path == "r/7/0" else answer
    )
    _check_refused(desk, errors.PART)


def test_release_without_rules_is_refused():
    """Partial: a manifest whose only part this agent has no use for."""
    _check_refused(_desk(make_release(NUMBER, [b"model"], kinds=[MODEL])), errors.PART)


def test_release_with_a_part_that_this_agent_cannot_use_is_refused_before_it_is_fetched():
    """Rules and a model together belong together: not half of it is adopted."""
    desk = _desk(make_release(NUMBER, [BODY, bytes(16384)], kinds=[RULES, MODEL]))
    _check_refused(desk, errors.PART)
    assert set(desk.gateway.gets) == {"r/7"}


def test_missing_part_costs_nothing_but_time():
    """Partial: a part that the gateway does not hand out is asked for later; nothing is switched, nothing recorded."""
    desk = _desk()
    desk.gateway.meddle = lambda path, number, answer: (
        (coap.NOT_FOUND, [], b"") if path == "r/7/0" else answer
    )
    desk.run(20)

    assert adoptions(desk) == []
    assert running(desk) == OLD
    assert desk.gateway.gets.count("r/7/0") < 5


def test_release_for_another_device_is_refused():
    """Wrong target."""
    _check_refused(_desk(make_release(NUMBER, BODY, target=(0, [b"device-2"]))), errors.TARGET)


@pytest.mark.parametrize("target", [(COHORT, "late"), (KIND, "pump")])
def test_release_for_another_cohort_or_kind_is_refused(target):
    """Wrong target, by name."""
    _check_refused(
        _desk(make_release(NUMBER, BODY, target=target), cohort="early", kind="meter"), errors.TARGET
    )


def test_release_for_other_hardware_is_refused():
    """Wrong hardware."""
    _check_refused(_desk(make_release(NUMBER, BODY, hardware=["rp2040"])), errors.HARDWARE)


def test_release_for_another_schema_is_refused():
    """Wrong schema, by the manifest."""
    _check_refused(_desk(make_release(NUMBER, BODY, schema=bytes(8))), errors.SCHEMA)


def test_bundle_for_another_schema_is_refused_whatever_its_manifest_says():
    """Wrong schema, inside a manifest that names the right one."""
    body = demo_bundle_again(5).replace(SCHEMA_DIGEST[:8], bytes(8))
    _check_refused(_desk(make_release(NUMBER, body)), errors.SCHEMA)


def test_signed_bytes_that_are_no_bundle_are_refused():
    """A signature says who wrote it, not that it is sound."""
    _check_refused(_desk(make_release(NUMBER, b"\xa1\x01\x01")), errors.RULE)


def test_endless_release_is_refused():
    """Endless: always one more block."""
    desk = _desk()
    desk.gateway.meddle = lambda path, number, answer: block_of(bytes(1 << 20), number, etag=b"endless.")
    _check_refused(desk, errors.TOO_LARGE)
    assert len(desk.gateway.gets) <= release_bytes_max // 512 + 1


def test_oversized_part_is_refused():
    """Oversized: more than the manifest says."""
    desk = _desk()
    tag = hashlib.sha256(BODY).digest()[:8]
    desk.gateway.meddle = lambda path, number, answer: (
        block_of(BODY + bytes(5000), number, etag=tag) if path == "r/7/0" else answer
    )
    _check_refused(desk, errors.TOO_LARGE)


@pytest.mark.parametrize("wrong", ["number", "size", "untagged", "unnumbered", "empty", "long"])
def test_block_that_was_not_asked_for_is_refused(wrong):
    """Another number or size than asked, no tag, no number, nothing or too much in it."""
    desk = _desk()
    body = desk.gateway.releases[NUMBER][0]
    code, options, block = block_of(body, 0)
    answers = {
        "number": block_of(body, 1),
        "size": block_of(body, 0, size=256),
        "untagged": (code, options[1:], block),
        "unnumbered": (code, options[:1], block),
        "empty": (code, options, b""),
        "long": (code, options, block + b"x"),
    }
    desk.gateway.meddle = lambda path, number, answer: answers[wrong]
    _check_refused(desk, errors.MALFORMED)


def test_slow_retrieval_is_refused_while_sampling_and_data_go_on():
    """A gateway that takes nearly for ever for each block: after an hour of asking it is over; no sample is missing meanwhile."""
    desk = _desk(make_release(NUMBER, BODY, BOTH), fetch={"limit_ms": 20_000})
    desk.settings["sample_ms"] = 360_000
    desk.gateway.late_s = 2.9
    desk.settings["ack_timeout_ms"] = 5000
    desk.run(40)
    samples = [event[1] for _, event in desk.gateway.events(ROUTINE) if event[2] == SAMPLE]

    assert steps(desk)[0] == (adoption.REFUSED, NUMBER, errors.SLOW)
    assert running(desk) == OLD
    assert samples == [360_000 * (n + 1) for n in range(len(samples))]
    assert len(samples) >= 110


def test_time_without_a_gateway_is_no_slow_retrieval():
    """An outage in the middle of a fetch counts for nothing; afterwards the fetch goes on where it was."""
    desk = _desk(fetch={"limit_ms": 20_000})
    desk.points = {}
    desk.after(0.2, lambda: setattr(desk.gateway, "is_down", True))
    desk.after(60, lambda: setattr(desk.gateway, "is_down", False))
    desk.run(75)

    assert [step for step, _, _ in steps(desk)] == [adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED]


def test_wider_rules_need_a_second_signer():
    """A gate that lets pass more than the rules in force: one stolen key is not enough, and the second makes it a release."""
    wider = demo_bundle_again(5, gap=1)
    _check_refused(_desk(make_release(NUMBER, wider)), errors.UNSIGNED)
    desk = _desk(make_release(NUMBER, wider, BOTH))
    desk.run(SECONDS)

    assert [step for step, _, _ in steps(desk)] == [adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED]


def test_one_signer_twice_is_not_two():
    """The same root signs again: still one."""
    wider = demo_bundle_again(5, gap=1)
    _check_refused(_desk(make_release(NUMBER, wider, ("release", "release"))), errors.UNSIGNED)


def test_floor_reset_of_one_signer_is_refused():
    """Floor reset misuse: one key cannot bring an old number back."""
    _check_refused(_desk(make_release(NUMBER, BODY, reset=(100, 200)), floor=150), errors.UNSIGNED)


def test_floor_reset_for_another_floor_is_refused():
    """Floor reset misuse: it holds for the floors that it names only."""
    _check_refused(_desk(make_release(NUMBER, BODY, BOTH, reset=(100, 200)), floor=201), errors.ROLLBACK)


def test_floor_reset_of_two_signers_is_adopted_and_cannot_be_played_back():
    """The way out when numbers were used up: once, also where numbers up to the floor and above were rolled back."""
    desk = _desk(make_release(NUMBER, BODY, BOTH, reset=(100, 200)), floor=150)
    desk.agent._cell.store(rejected=160)
    desk.run(SECONDS)
    assert (desk.cell().version_floor, desk.cell().rejected) == (NUMBER, 0)
    desk.gateway.releases[9] = make_release(9, demo_bundle_again(9))
    desk.gateway.wanted = 9
    desk.run(SECONDS)
    desk.gateway.wanted = NUMBER
    desk.run(SECONDS)

    assert steps(desk)[-2:] == [(adoption.CONFIRMED, 9, 0), (adoption.REFUSED, NUMBER, errors.ROLLBACK)]


def test_gateway_that_names_ever_new_numbers_cannot_fill_the_journal():
    """One event a number at most, and waits that double: an hour of lies costs a few events and fetches."""
    desk = _desk()
    desk.settings.update(sample_ms=36_000_000, heartbeat_ms=4000, exchange_idle_ms=500)
    desk.gateway.meddle = lambda path, number, answer: block_of(b"lie", number)

    def lie(answer):
        answer.release = len(desk.gateway.heartbeats)

    desk.gateway.name_what_waits = lie
    desk.run(3600)

    assert 1 < len(adoptions(desk)) <= 12
    assert {step[0] for step in adoptions(desk)} == {adoption.REFUSED}
    assert desk.flash.erases < 3000


def test_refused_number_is_recorded_once_however_often_it_is_tried():
    """A number that stays wrong is tried again, each time later, without another event."""
    desk = _desk(make_release(NUMBER, BODY, ("stranger",)), fetch={"retry_ms": 50})
    desk.run(10)

    assert len(adoptions(desk)) == 1
    assert 9 < desk.gateway.gets.count("r/7") < 20


def test_late_signature_makes_a_refused_release_adoptable():
    """A release may gain a signature: the device looks again by itself."""
    desk = _desk(make_release(NUMBER, demo_bundle_again(5, gap=1)))
    later = make_release(NUMBER, demo_bundle_again(5, gap=1), BOTH)
    desk.after(2, lambda: desk.gateway.releases.update({NUMBER: later}))
    desk.run(8)

    assert [step for step, _, _ in steps(desk)] == [0, 1, 2, 3]


def test_no_attack_changes_what_the_journal_holds_of_others():
    """The critical lane of a refused release holds one event more than one without any."""
    quiet, refused = make_desk(), _desk(make_release(NUMBER, BODY, ("stranger",)))
    quiet.gateway.wanted = None
    quiet.run(SECONDS)
    refused.run(SECONDS)
    count = [len(list(desk.gateway.events(CRITICAL))) for desk in (quiet, refused)]

    assert count[1] - count[0] == 1
