"""The commands that sign, where gateways remember which leaves did: what they refuse, in which words, and how to go on."""

import shutil
import time

import pytest

from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.govern.witness import HEARD_MS, Witnesses
from office_ingest.storage.witness import WitnessStore
from protocol.diagnostic import NOT_ALLOWED, OK, TRY_AGAIN, USAGE
from protocol.envelope import RELEASE
from tests.office_ingest.govern.release_bench import NOW_MS, SMALL
from tests.office_ingest.test_takings import OLD, publish

SEEN = 9


@pytest.fixture
def key(field, tmp_path):
    """The folder of a key that the office knows; a release waits for its signature."""
    public, _, envelope = make_key(tmp_path / "key", now_ms=NOW_MS, **SMALL)
    Shelf(field.desk.store).add_root(public, envelope, NOW_MS)
    publish(field.desk, OLD, is_signed=False)
    return tmp_path / "key"


def _now_ms():
    return time.time_ns() // 1_000_000


def _hear(field, at_ms):
    with field.desk.store.transaction():
        WitnessStore(field.desk.store).put_heard("gw-1", at_ms)


def _show(field, key):
    """Let a gateway show a signature that the office has forgotten; return its leaf, far above the folder's count."""
    copy = key.parent / "elsewhere"
    shutil.copytree(key, copy)
    with OpenSigner(copy) as signer:
        signer.skip(0, 0)
        for _ in range(SEEN):
            envelope = signer.envelope(RELEASE, bytes(32), published=-1)
    Witnesses(field.desk.store).take("gw-1", [], [envelope], _now_ms())
    with OpenSigner(key) as signer:
        return Shelf(field.desk.store).published(signer.key_id)


def _number(field):
    return Shelf(field.desk.store).all()[0].number


def test_signing_waits_for_a_gateway_that_bore_witness_before(field, key):
    """It says which one and since when, and signs by a person's word."""
    _hear(field, _now_ms() - 2 * HEARD_MS)
    words = ("release", "sign", _number(field), "--key", key)
    code, kind, said, fix = field.refused(*words)
    skip = field.refused("release", "skip", key)

    assert (TRY_AGAIN, "release-unwitnessed") == (code, kind) == skip[:2]
    assert "gateway gw-1 did 10 minutes ago" in said
    assert "--alone" in fix
    assert field.run(*words, "--alone")[0] == OK


def test_whatever_uses_a_leaf_waits_for_a_gateway(field, key, tmp_path):
    """A successor that is gone on with, and a root that signs for another one's replacement."""
    shelf = Shelf(field.desk.store)
    public, _, envelope = make_key(tmp_path / "third", now_ms=NOW_MS, **SMALL)
    shelf.add_root(public, envelope, NOW_MS)
    old, _, new = [root.key_id.hex() for root in shelf.roots()]
    _hear(field, _now_ms() - 2 * HEARD_MS)
    replace = ("release", "root", "replace", old, "--by", key, "--new", new)
    refused = [field.refused(*words)[:2] for words in (("release", "succeed", key / "successor"), replace)]
    _hear(field, _now_ms())

    assert [(TRY_AGAIN, "release-unwitnessed")] * 2 == refused
    assert [] == shelf.replacements()
    assert field.run(*replace)[0] == OK


def test_key_that_was_put_back_is_told_how_it_goes_on(field, key):
    """Refused with the leaf that a gateway saw; skip says where it goes on, once; then it signs there."""
    seen = _show(field, key)
    number = _number(field)
    code, kind, said, fix = field.refused("release", "sign", number, "--key", key)
    skipped = field.ask("release", "skip", key, "--margin", 2)
    again = field.refused("release", "skip", key)

    assert (NOT_ALLOWED, "release-key-restored") == (code, kind)
    assert f"leaf {seen} was published already" in said
    assert "outstation release skip FOLDER" in fix
    assert (OK, seen + 3, 32 - seen - 3) == (skipped[0], skipped[1]["leaf"], skipped[1]["signatures_left"])
    assert (USAGE, "release-refused") == again[:2]
    assert "above all that was seen" in again[2]
    signed = field.ask("release", "sign", number, "--key", key)[1]["signatures"]
    assert [seen + 3] == [one["leaf"] for one in signed]


def test_key_without_leaves_above_what_was_seen_is_at_its_end(field, key):
    """Only its successor goes on."""
    _show(field, key)
    code, kind, _, fix = field.refused("release", "skip", key, "--margin", 100)

    assert (NOT_ALLOWED, "release-key-used-up") == (code, kind)
    assert "successor" in fix


def test_successors_folder_that_was_put_back_is_not_gone_on_with_again(field, key, tmp_path):
    """The office knows that its first leaf signed for a successor of its own."""
    folder = key / "successor"
    shutil.copytree(folder, tmp_path / "copied")
    assert field.run("release", "succeed", folder)[0] == OK
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copied", folder)

    assert (NOT_ALLOWED, "release-key-restored") == field.refused("release", "succeed", folder)[:2]
    assert not (folder / "successor").exists()
