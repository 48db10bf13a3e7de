"""The auditor's walk over releases: whatever is changed, exchanged, added or deleted of what a root signed is named.

Rows are changed as somebody would who can write the database's file. No digest of a row stands in his way: only signatures do.
"""

import hashlib
import shutil

import pytest

from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.shelf import Replacement
from office_ingest.govern.signer import OpenSigner
from office_ingest.prove.verify import verify_database
from protocol.envelope import ROOT, Succession, encode_succession, parse_envelope
from protocol.lms import leaf_of
from protocol.manifest import DEVICES
from tests.agent.desk import BUNDLE, DEVICE
from tests.office_ingest.govern.release_bench import NOW_MS
from tests.office_ingest.test_roots import roots

__all__ = ["roots"]

# What is done -> statements, and the table and the words of what must be said of it.
CHANGES = {
    "manifest": ("UPDATE releases SET manifest = flip(manifest)", "releases", "do not belong together"),
    "manifest with its digest": (
        "UPDATE releases SET manifest = flip(manifest), digest = sha256(flip(manifest))",
        "release_signatures",
        "another manifest",
    ),
    "number": ("UPDATE releases SET number = 7", "releases", "is that of number 1"),
    "release deleted": ("DELETE FROM releases", "release_signatures", "is not there: deleted?"),
    "signature": (
        "UPDATE release_signatures SET raw = flip(raw)",
        "release_signatures",
        "the signature of outstation release v1 does not fit",
    ),
    "leaf of a row": (
        "UPDATE release_signatures SET leaf = 20",
        "release_signatures",
        "the row says leaf 20",
    ),
    "root of a row": (
        "UPDATE release_signatures SET root = x'0001020304050607'",
        "release_signatures",
        "the row says leaf 1",
    ),
    "root deleted": (
        "DELETE FROM release_roots WHERE rowid = 1",
        "release_signatures",
        "no root that this office knows signed it",
    ),
    "public key": (
        "UPDATE release_roots SET public = (SELECT public FROM release_roots WHERE rowid = 2) WHERE rowid = 1",
        "release_roots",
        "its public key is that of root",
    ),
    "successor": (
        "UPDATE release_roots SET successor = flip(successor) WHERE rowid = 1",
        "release_roots",
        "its successor is not what it signed",
    ),
    "part": ("UPDATE release_parts SET body = flip(body)", "release_parts", "does not have this digest"),
    "part deleted": ("DELETE FROM release_parts", "release_parts", "is missing: deleted?"),
    "replacement": (
        "UPDATE root_replacements SET body = flip(body)",
        "root_replacements",
        "does not have this digest",
    ),
    "replacement with its digest": (
        "UPDATE root_replacements SET body = flip(body), digest = sha256(flip(body))",
        "root_replacements",
        "no root that this office knows signed it",
    ),
    "who is replaced": (
        "UPDATE root_replacements SET replaced = x'0001020304050607'",
        "root_replacements",
        "column replaced differs",
    ),
    "who replaces": (
        "UPDATE root_replacements SET public = (SELECT public FROM release_roots WHERE rowid = 2)",
        "root_replacements",
        "no root that this office knows signed it",
    ),
    "leaf of a replacement": (
        "UPDATE root_replacements SET leaf = 9",
        "root_replacements",
        "column leaf differs",
    ),
    "replacement deleted": (
        "DELETE FROM root_replacements",
        "root_replacements",
        "the replacement that this command names is missing",
    ),
    "retired before its time": (
        "INSERT INTO roots_retired SELECT id, 'somebody', 0 FROM release_roots WHERE rowid = 2",
        "roots_retired",
        "nothing replaces it",
    ),
}


def publish(roots):
    """Build a release, sign it, replace the first root, and return the database's connection."""
    request = Request((DEVICES, [DEVICE]), ["board"], BUNDLE, b"as written", "author")
    build_release(roots.shelf, request, NOW_MS)
    with OpenSigner(roots.folders[0]) as signer:
        sign_release(roots.shelf, 1, signer, NOW_MS)
    roots.succeed()
    roots.run()
    roots.replace()
    connection = roots.store.connection
    connection.create_function("flip", 1, lambda raw: bytes([*raw[:-1], raw[-1] ^ 1]))
    connection.create_function("sha256", 1, lambda raw: hashlib.sha256(raw).digest())
    return connection


def walk(roots):
    """Return the report without keys: nothing here needs them."""
    return verify_database(roots.store.connection, None)


def test_releases_and_roots_as_the_office_wrote_them_are_clean(roots):
    """Nothing is found, and everything was looked at."""
    publish(roots)
    report = walk(roots)
    counts = report.counts

    assert report.findings == []
    assert (counts["releases_checked"], counts["signatures_checked"], counts["parts_checked"]) == (1, 1, 1)
    assert (counts["roots_checked"], counts["replacements_checked"]) == (3, 1)


def check_named(roots, change):
    """Do what a change says; it must be said of its table in its words."""
    connection = publish(roots)
    statement, table, words = CHANGES[change]
    connection.execute(statement)

    findings = walk(roots).findings
    assert [one for one in findings if one.table == table and words in one.what], findings


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_is_named(roots, change):
    """Each by its table, its row, and what is wrong with it."""
    check_named(roots, change)


def check_leaf_used_twice(roots):
    """A copied key signs a release, and with the same leaf a replacement: each verifies, and both together give the root away."""
    publish(roots)
    copy = shutil.copytree(roots.folders[1], roots.folders[1].parent / "copy")
    with OpenSigner(roots.folders[1]) as signer:
        sign_release(roots.shelf, 1, signer, NOW_MS)
    payload = encode_succession(Succession(roots.release.key_id, roots.shelf.roots()[-1].public, NOW_MS))
    with OpenSigner(copy) as signer:
        body = signer.envelope(ROOT, payload, published=-1)
    leaf = leaf_of(parse_envelope(body).signature)
    digest = hashlib.sha256(body).digest()
    new = roots.shelf.roots()[-1].public
    roots.shelf.add_replacement(
        Replacement(digest, roots.release.key_id, new, roots.recovery.key_id, leaf, body, "a", NOW_MS)
    )

    (found,) = walk(roots).findings
    assert f"leaf {leaf} of root {roots.recovery.key_id.hex()} signed something else too" in found.what


def test_leaf_that_signed_twice_is_named(roots):
    """Whoever restores a folder of keys from a backup is told by the auditor, whichever tables the two signatures are in."""
    check_leaf_used_twice(roots)
