"""The golden vectors against the grammar: cddl-verifier judges, and our own reader of CDDL must agree with it."""

import json
from pathlib import Path

import pytest
from cddl_verifier import Validator, schema_diagnostics

from tests.both.vector_files import bytes_of, read_vectors
from tools.cbor_tree import BadBytes, read_tree
from tools.cddl import read_rules
from tools.cddl_match import Matcher

ROOT = Path(__file__).resolve().parent.parent.parent
WIRE = ROOT / "protocol" / "wire.cddl"
BUNDLE = ROOT / "rules" / "bundle.cddl"
VALIDATOR = Validator(WIRE)
RULES = read_rules(WIRE.read_text(encoding="utf-8"))

# The parts of one whole, judged with it: no vector of their own.
_LISTS = {
    "segment": ("accept", "reject"),
    "messages": ("accept", "reject"),
    "answer": ("accept", "reject"),
    "uplink": ("requests", "answers", "request_reject", "answer_reject"),
    "checkpoint": ("accept", "reject"),
    "schema": ("accept", "reject"),
    "event": ("accept", "reject"),
    "envelope": ("accept", "reject"),
    "manifest": ("accept", "reject", "releases", "release_reject"),
    "agent": ("accept", "reject", "manifests", "manifest_reject"),
    "levels": ("accept", "reject"),
    "revocation": ("accept", "reject"),
    "views": ("accept", "reject"),
    "links": ("accept", "reject"),
    "rekey": ("accept", "reject", "events"),
    "admission": ("accept", "reject"),
    "attestation": ("accept", "reject"),
    "attestation_roots": ("accept", "reject"),
    "bulk": ("accept", "reject"),
    "routine_class": ("accept",),
    "root": ("accept", "reject", "events"),
    "relink": ("accept", "reject", "events"),
    "usage": ("accept", "reject"),
    "witness": ("accept", "reject"),
}
VECTORS = [
    {"rule": "events" if name == "event" else None, **vector}
    for name, lists in _LISTS.items()
    for kind in lists
    for vector in read_vectors(name)[kind]
]
GOOD = [v for v in VECTORS if "code" not in v and v["rule"]]
BAD_SHAPE = [v for v in VECTORS if v.get("shape") and v["rule"]]


def _name(vector):
    return f"{vector['rule']}-{vector['name']}"


def _opened(vector):
    """Return (rule, bytes) of everything a vector holds: the plaintext of a sealed body is judged as well."""
    yield vector["rule"], bytes_of(vector)
    if "plaintext" in vector and "longest" not in vector["name"] and "unknown" not in vector["name"]:
        yield "events", vector["plaintext"]


def _ours(rule, raw):
    matcher = Matcher(RULES, raw)
    tree = read_tree(raw, 0, len(raw))
    if tree.end != len(raw):
        raise BadBytes(tree.end, "the end")
    matcher.match(rule, tree)
    return matcher.rules_met


def test_grammar_is_valid_cddl():
    """cddl-verifier finds nothing to say about wire.cddl."""
    assert schema_diagnostics(WIRE) == ()


@pytest.mark.parametrize("vector", GOOD, ids=_name)
def test_good_vector_matches_its_rule(vector):
    """Every golden item is in the grammar, nested items too, for both readers."""
    for rule, raw in _opened(vector):
        result = VALIDATOR.validate(raw, root_type=rule)
        assert result.valid, [str(diagnostic) for diagnostic in result.diagnostics]
        assert rule in _ours(rule, raw)


@pytest.mark.parametrize("vector", BAD_SHAPE, ids=_name)
def test_bad_shape_does_not_match_its_rule(vector):
    """What breaks one field is outside the grammar, for both readers."""
    assert not VALIDATOR.validate(bytes_of(vector), root_type=vector["rule"]).valid
    with pytest.raises(BadBytes):
        _ours(vector["rule"], bytes_of(vector))


def test_every_rule_has_a_vector():
    """No rule of the grammar is without an item that uses it."""
    met = set()
    for vector in GOOD:
        for rule, raw in _opened(vector):
            met |= _ours(rule, raw)

    assert set(RULES) - met == set()


def test_bundle_grammar_is_valid_cddl_for_both_readers():
    """The bundle's grammar stands on its own, and its golden bundle is in it."""
    text = BUNDLE.read_text(encoding="utf-8")
    raw = bytes.fromhex(json.loads((ROOT / "rules" / "vectors" / "demo_bundle.json").read_text())["bundle"])

    assert schema_diagnostics(text) == ()
    assert Validator(text).validate(raw, root_type="bundle").valid
    Matcher(read_rules(text), raw).match("bundle", read_tree(raw, 0, len(raw)))
