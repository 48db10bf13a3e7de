"""A release from a person's request to bytes that a device takes, and what is refused on the way."""

import hashlib
import shutil
import sqlite3

import pytest

from office_ingest.govern.release import ReleaseRefused, Request, build_release, sign_release
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import KeyRolledBack, OpenSigner, make_key
from office_ingest.storage.sqlite import SqliteStore
from protocol.errors import ROLLBACK, UNSIGNED, ProtocolError
from protocol.manifest import COHORT, DEVICES, Standing, check_parts, check_release, check_signers
from rules.bundle import read_bundle
from rules.widening import widening
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle

AUTHOR = "A. Author"


def _request(desk, **changes):
    asked = {
        "target": (DEVICES, [desk.device]),
        "hardware": ["unix"],
        "rules": bundle(),
        "source": b"what a person wrote",
        "author": AUTHOR,
    }
    return Request(**{**asked, **changes})


def _sign(shelf, number, folder):
    with OpenSigner(folder) as signer:
        return sign_release(shelf, number, signer, NOW_MS + 1)


def _standing(desk, shelf, **changes):
    held = {
        "device": desk.device,
        "cohort": "first",
        "kind": "pump",
        "hardware": "unix",
        "schema": hashlib.sha256(SCHEMA).digest(),
        "floor": 0,
        "roots": [root.public for root in shelf.roots()],
        "now": (NOW_MS + 10, NOW_MS + 20),
    }
    return Standing(**{**held, **changes})


def _code(call, *arguments):
    with pytest.raises(ProtocolError) as caught:
        call(*arguments)
    return caught.value.code


def test_a_signed_release_is_adopted_by_the_device_it_names(desk, shelf, keys):
    """What the office built and signed, the device's own checks take: manifest, part, signer."""
    number = build_release(shelf, _request(desk), NOW_MS).number
    signed = _sign(shelf, number, keys[0])
    release = check_release(signed.release(), _standing(desk, shelf))
    body = shelf.part(release.manifest.parts[0][1])
    check_parts(release.manifest, [body])
    check_signers(release, widening(read_bundle(bundle()), read_bundle(body)))

    assert "signed" == signed.state
    assert (AUTHOR, NOW_MS, hashlib.sha256(b"what a person wrote").digest()) == release.manifest.provenance


def test_unsigned_release_is_no_release(desk, shelf):
    """What is only built can be looked at and is taken by nobody."""
    built = build_release(shelf, _request(desk), NOW_MS)

    assert "built" == built.state
    assert UNSIGNED == _code(check_release, built.release(), _standing(desk, shelf))


def test_release_that_widens_needs_two_keys(desk, shelf, keys):
    """The office says so when it is built, and a device demands it."""
    wider = bundle(gap=0)
    built = build_release(shelf, _request(desk, rules=wider), NOW_MS)
    once = _sign(shelf, built.number, keys[0])
    reasons = widening(read_bundle(bundle()), read_bundle(wider))
    standing = _standing(desk, shelf)

    assert (2, "half signed") == (built.signers_needed, once.state)
    assert built.widens == ["action 1: shorter gap"]
    assert UNSIGNED == _code(check_signers, check_release(once.release(), standing), reasons)
    twice = _sign(shelf, built.number, keys[1])
    assert "signed" == twice.state
    check_signers(check_release(twice.release(), standing), reasons)


def test_office_asks_what_the_devices_run_not_what_was_released_last(desk, shelf, keys):
    """A release that nobody runs is no measure; where nothing is known to run, everything is new."""
    build_release(shelf, _request(desk, rules=bundle(gap=0)), NOW_MS)
    again = build_release(shelf, _request(desk, rules=bundle(gap=0)), NOW_MS)
    desk.store.connection.execute("DELETE FROM reports")
    unknown = build_release(shelf, _request(desk, target=(COHORT, "first")), NOW_MS)

    assert again.widens == ["action 1: shorter gap"]
    assert "action 1: new action" in unknown.widens


def test_one_key_does_not_sign_twice(desk, shelf, keys):
    """Two signatures are of two keys."""
    number = build_release(shelf, _request(desk, rules=bundle(gap=0)), NOW_MS).number
    _sign(shelf, number, keys[0])

    with pytest.raises(ReleaseRefused, match="already"):
        _sign(shelf, number, keys[0])


def test_key_that_the_office_does_not_know_signs_nothing(desk, shelf, tmp_path):
    """No leaf is spent either."""
    number = build_release(shelf, _request(desk), NOW_MS).number
    make_key(tmp_path / "strange", now_ms=NOW_MS, **SMALL)
    before = (tmp_path / "strange" / "leaf").read_bytes()

    with pytest.raises(ReleaseRefused, match="does not know key"):
        _sign(shelf, number, tmp_path / "strange")
    assert before == (tmp_path / "strange" / "leaf").read_bytes()


def test_restored_key_is_refused_by_the_offices_own_list(desk, shelf, keys, tmp_path):
    """The list of what was published comes from the database, not from the key's folder."""
    copy = shutil.copytree(keys[0], tmp_path / "backup")
    first, second = (build_release(shelf, _request(desk), NOW_MS).number for _ in range(2))
    _sign(shelf, first, keys[0])

    with pytest.raises(KeyRolledBack):
        _sign(shelf, second, copy)
    assert 2 == _sign(shelf, second, keys[0]).signatures[0].leaf


def test_successors_signature_counts_as_published(shelf, keys):
    """A copy of the folder from before its first release is known for what it is, too."""
    roots = shelf.roots()

    assert [0, 0] == [shelf.published(root.key_id) for root in roots]
    assert -1 == shelf.published(bytes(8))


def test_database_refuses_a_leaf_that_signed_before(desk, shelf, keys):
    """Even a signer that forgot everything cannot publish one leaf's second signature."""
    first, second = (build_release(shelf, _request(desk), NOW_MS).number for _ in range(2))
    signed = _sign(shelf, first, keys[0])

    with pytest.raises(sqlite3.IntegrityError):
        shelf.add_signature(second, signed.signatures[0].raw, NOW_MS)
    assert [] == shelf.get(second).signatures


def test_rolling_back_is_a_new_number_with_the_old_body(desk, shelf, keys):
    """The old release itself is below the floor; the same body under a new number is not."""
    old = _sign(shelf, build_release(shelf, _request(desk), NOW_MS).number, keys[0])
    _sign(shelf, build_release(shelf, _request(desk, rules=bundle(gap=99)), NOW_MS).number, keys[0])
    back = _sign(shelf, build_release(shelf, _request(desk), NOW_MS).number, keys[0])
    standing = _standing(desk, shelf, floor=2)

    assert ROLLBACK == _code(check_release, old.release(), standing)
    assert old.manifest.parts == check_release(back.release(), standing).manifest.parts


def test_numbers_used_up_by_a_thief_are_reset_by_two_keys(desk, shelf, keys):
    """A floor at the very top comes down again, once."""
    top = (1 << 32) - 1
    number = build_release(shelf, _request(desk, reset=(1000, top)), NOW_MS).number
    _sign(shelf, number, keys[0])
    reset = _sign(shelf, number, keys[1])

    assert check_release(reset.release(), _standing(desk, shelf, floor=top)).manifest.number == number
    assert ROLLBACK == _code(check_release, reset.release(), _standing(desk, shelf, floor=number + 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rules": b"\xa0"}, "no device would take it: version"),
        ({"rules": bytes(5000)}, "no device would take it: too-large"),
        ({"hardware": []}, "no device would take it: malformed"),
        ({"author": ""}, "no device would take it: malformed"),
        ({"target": (DEVICES, [bytes(8)])}, "not registered"),
        ({"reset": (0, 5)}, "covers its own number"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_no_device_would_take_is_not_built(desk, shelf, changes, said):
    """The person is told at once, and nothing is on the shelf."""
    with pytest.raises(ReleaseRefused, match=said):
        build_release(shelf, _request(desk, **changes), NOW_MS)
    assert [] == shelf.all()


def test_bundle_for_a_schema_that_nobody_has_is_not_built(desk, shelf):
    """A bundle of another site's schema would be refused by every device here."""
    desk.store.connection.execute("DELETE FROM schemas")

    with pytest.raises(ReleaseRefused, match="no schema here"):
        build_release(shelf, _request(desk), NOW_MS)


def test_number_is_taken_once(desk, shelf):
    """A number names one manifest for ever."""
    assert 7 == build_release(shelf, _request(desk, number=7), NOW_MS).number
    with pytest.raises(ReleaseRefused, match="release 7 is there already"):
        build_release(shelf, _request(desk, number=7), NOW_MS)
    assert 8 == build_release(shelf, _request(desk), NOW_MS).number


def test_releases_are_there_after_a_restart(desk, shelf, keys):
    """Whoever opens the database again finds the same bytes."""
    number = build_release(shelf, _request(desk), NOW_MS).number
    before = _sign(shelf, number, keys[0])
    again = SqliteStore.open(desk.folder / "office.db")
    after = Shelf(again).get(number)
    again.close()

    assert before.release() == after.release()


def test_database_of_the_step_before_gets_its_shelf(desk):
    """An office that was made before releases existed goes on, with what it holds."""
    connection = desk.store.connection
    releases = ("release_roots", "releases", "release_signatures", "release_parts")
    down = ("device_traits", "rollouts", "reports", "adoptions", "commands")
    later = (
        "attestations",
        "images",
        "root_replacements",
        "roots_retired",
        "link_usage",
        "link_usage_lives",
        "link_budgets",
        "witnessed",
        "witnesses",
        "ended_certificates",
    )
    for table in (*releases, *down, "accepted_gaps", "revoked", "tokens", "acts", "view_grants", *later):
        connection.execute(f"DROP TABLE {table}")
    for index in ("gaps_not_filled", "findings_open"):
        connection.execute(f"DROP INDEX {index}")
    connection.execute("PRAGMA user_version = 1")
    again = SqliteStore.open(desk.folder / "office.db")
    segments = again.connection.execute("SELECT count(*) FROM segments").fetchone()[0]

    assert [] == Shelf(again).all()
    assert segments > 0
    again.close()
