"""The commands of release roots: what they show, order and refuse."""

import pytest

from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key, make_successor
from protocol.command import ROOT
from protocol.diagnostic import OK, USAGE
from tests.office_ingest.govern.release_bench import NOW_MS, SMALL


@pytest.fixture
def kept(field, tmp_path):
    """The folders of two keys that the office knows, the first with a successor that the office knows too; and the shelf."""
    shelf = Shelf(field.desk.store)
    folders = [tmp_path / "release", tmp_path / "recovery"]
    for folder in folders:
        public, _, envelope = make_key(folder, now_ms=NOW_MS, **SMALL)
        shelf.add_root(public, envelope, NOW_MS)
    successor = folders[0] / "successor"
    _, envelope = make_successor(successor, now_ms=NOW_MS, **SMALL)
    with OpenSigner(successor) as signer:
        shelf.add_root(signer.public, envelope, NOW_MS)
    return folders, shelf


def _ids(shelf):
    # The devices of the field were released to under a root of their own; it comes first.
    return [root.key_id.hex() for root in shelf.roots()][1:]


def test_root_is_replaced_listed_and_not_retired_while_devices_need_it(field, kept):
    """Every device is ordered once; the list names who lags; retiring is refused with their names."""
    _, shelf = kept
    old, recovery, new = _ids(shelf)
    code, done = field.ask("release", "root", "replace", old, "--author", "A. Author")
    again = field.ask("release", "root", "replace", old[:8])[1]
    listed = field.ask("release", "root", "list")[1]["roots"]
    refused = field.refused("release", "root", "retire", old)

    assert (OK, ["first", "second"], new) == (code, done["given"], done["by"])
    assert (["first", "second"], []) == (again["had"], again["given"])
    assert [(old, "replaced"), (recovery, "in force"), (new, "in force")] == [
        (row["id"], row["state"]) for row in listed[1:]
    ]
    assert [("first", "ordered"), ("second", "ordered")] == [
        (one["name"], one["state"]) for one in listed[1]["needed_by"]
    ]
    assert (USAGE, "release-refused") == refused[:2]
    assert "2 devices may need root" in refused[2]
    rows = field.desk.rows("commands", "body, author")
    assert [(f"[{ROOT}, ", "A. Author")] * 2 == [(body[:4], author) for body, author in rows]


def test_people_are_told_what_to_do_next(field, kept):
    """In words, with the names of the devices."""
    _, shelf = kept
    old = _ids(shelf)[0]
    code, out, _ = field.run("release", "root", "replace", old)
    listed = field.run("release", "root", "list")[1]

    assert (OK, True) == (code, "2 devices were ordered so" in out)
    assert "next: sign releases with both until" in out
    assert "2 of 2 devices may need it" in listed
    assert "first" in listed


def test_recovery_root_signs_for_a_lost_one_and_only_once(field, kept, tmp_path):
    """--by and --new together; given again, no second leaf is used."""
    folders, shelf = kept
    public, _, envelope = make_key(tmp_path / "anew", now_ms=NOW_MS, **SMALL)
    shelf.add_root(public, envelope, NOW_MS)
    old, new = _ids(shelf)[0], _ids(shelf)[-1]
    words = ("release", "root", "replace", old, "--by", folders[1], "--new", new)
    code, done = field.ask(*words)
    with OpenSigner(folders[1]) as signer:
        left = signer.remaining()
    again = field.ask(*words)[1]
    with OpenSigner(folders[1]) as signer:
        assert signer.remaining() == left
    alone = field.refused("release", "root", "replace", old, "--new", new)

    assert (OK, new, ["first", "second"]) == (code, done["by"], done["given"])
    assert ["first", "second"] == again["had"]
    assert (USAGE, "usage-wrong") == alone[:2]


@pytest.mark.parametrize("text", ["0011", "ffffffffffffffff", "f" * 120])
def test_root_that_nobody_knows_is_said(field, kept, text):
    """Too short a beginning names none either."""
    refused = field.refused("release", "root", "replace", text)

    assert (USAGE, "release-refused") == refused[:2]
    assert text in refused[2]


def test_retired_root_signs_no_release_and_new_devices_are_given_the_new_one(field, kept):
    """Revoked devices need nothing; then the old root may go."""
    folders, shelf = kept
    old = _ids(shelf)[0]
    field.run("release", "root", "replace", old)
    for name in ("first", "second"):
        field.run("office", "device", "revoke", name, "--author", "A", "--reason", "test", "--yes")
    code, said = field.ask("release", "root", "retire", old)

    assert (OK, old) == (code, said["root"])
    assert old not in [root.key_id.hex() for root in shelf.trusted()]
    assert {bytes.fromhex(old)} == shelf.retired()
