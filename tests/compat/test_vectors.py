"""The golden vectors of version 1 are kept for ever: never changed, never removed, always read on both runtimes."""

import ast
import json
from hashlib import sha256

import pytest

from tests.compat import checkpoint_vectors
from tools.device_types import ROOT
from tools.upy import BOTH, run_file

VECTORS = ROOT / "protocol" / "vectors"
MANIFEST = VECTORS / "v1" / "SHA256SUMS"
ALSO_READ = ROOT / "tests" / "compat" / "checkpoint_vectors.py"
# Of what no device reads: totals of usage and leaves that signed, which gateways tell the office.
HOSTS_READ = [ROOT / "tests" / "protocol" / f"test_{name}.py" for name in ("usage", "witness")]


def frozen(manifest):
    """Return [(digest in hex, path from protocol/vectors)] of a file as sha256sum writes it."""
    return [tuple(line.split("  ", 1)) for line in manifest.read_text("utf-8").splitlines()]


FROZEN = frozen(MANIFEST)
# The manifest as it was first written: whoever changes a vector and its line together is seen too.
LINES = 26
DIGEST = "c73f14758d0182abd1c6dff60b8ff76ca0584155d7b0cf731060de02dfd6d470"


def wrong_with(name, digest, folder):
    """Return what is wrong with one frozen file, "" if nothing."""
    path = folder / name
    if not path.is_file():
        return f"{name} is gone; version 1 is kept for ever: git checkout it"
    if sha256(path.read_bytes()).hexdigest() != digest:
        return f"{name} was changed; put new vectors into a file of their own (protocol/vectors/v1/README.md)"
    return ""


@pytest.mark.parametrize(("digest", "name"), FROZEN, ids=[name.rpartition("/")[2] for _, name in FROZEN])
def test_frozen_vector_file_is_what_it_was(digest, name):
    """What version 1 is was said once."""
    assert wrong_with(name, digest, VECTORS) == ""


# An example, which follows the demonstration's policy (protocol/vectors/v1/README.md).
NOT_FROZEN = {"demo_bundle.json"}


def test_vectors_that_are_not_frozen_are_known_by_name():
    """A new file is frozen with its first commit."""
    names = {name.rpartition("/")[2] for _, name in FROZEN}
    there = {path.name for folder in (VECTORS, ROOT / "rules" / "vectors") for path in folder.glob("*.json")}

    assert there - names == NOT_FROZEN


def test_manifest_is_never_shortened_or_rewritten():
    """Its first lines stand as they did when version 1 was frozen; more may follow."""
    begun = b"".join(MANIFEST.read_bytes().splitlines(keepends=True)[:LINES])

    assert sha256(begun).hexdigest() == DIGEST


def _words(path):
    """Return every text that stands in a Python file."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _lists(name):
    """Return the lists of vectors in a file; one that is all vectors has none by name."""
    content = json.loads((VECTORS / name).read_text("utf-8"))
    if isinstance(content, list):
        return []
    # The names of a header's fields, for the reader; no vectors.
    return [key for key, value in content.items() if isinstance(value, list) and key != "fields"]


@pytest.mark.parametrize("name", [name for _, name in FROZEN], ids=lambda name: name.rpartition("/")[2])
def test_frozen_vectors_are_read_on_both_runtimes(name):
    """A vector that nobody decodes any more keeps nothing: some test of both runtimes names its file and each of its lists."""
    stem = name.rpartition("/")[2].removesuffix(".json")
    said = [_words(path) for path in [*sorted(BOTH.glob("test_*.py")), ALSO_READ, *HOSTS_READ]]
    readers = [
        words
        for words in said
        if stem in words or f"{stem}.json" in words or f"/vectors/{stem}.json" in words
    ]

    assert readers, f"no test of tests/both reads {name}"
    unread = [key for key in _lists(name) if not any(key in words for words in readers)]
    assert unread == []


@pytest.mark.parametrize("fault", ["changed", "removed"])
def test_one_bit_of_a_frozen_vector_is_seen(tmp_path, fault):
    """A changed bit and a missing file are both named."""
    digest, name = FROZEN[0]
    content = bytearray((VECTORS / name).read_bytes())
    content[len(content) // 2] ^= 1
    if fault == "changed":
        (tmp_path / name).write_bytes(content)

    assert wrong_with(name, digest, tmp_path).startswith(name)


def test_checkpoints_and_schemas_are_read_under_micropython():
    """The vectors that tests/both leaves to this folder."""
    result = run_file(ALSO_READ)

    assert result.returncode == 0, f"repeat: python -m tools.upy {ALSO_READ}\n{result.stdout}{result.stderr}"


def test_checkpoints_and_schemas_are_read_on_this_runtime():
    """The same file, on CPython."""
    tests = [test for name, test in vars(checkpoint_vectors).items() if name.startswith("test_")]
    for test in tests:
        test()

    assert len(tests) == 4
