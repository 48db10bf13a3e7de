"""What makes a bundle wider than the one before, and what does not."""

import json
from pathlib import Path

import pytest

import rules
from protocol.cbor import Simple, dumps, loads
from rules import widening as w
from rules.bundle import read_bundle

_GATE = [0, -10, 10, 5, 0b11, 0b01, 30, 7, 0]
_ACT = [3, 0, 1]
_RULE = [1, 2, [], 0, [_ACT]]
_FIELDS = ("action", "low", "high", "gap", "good", "aged", "age_max", "flags", "safe")


def _bundle(*, gates=(_GATE,), held=(_RULE,), schema=bytes(8), version=1, adopt=None):
    top = {1: 1, 2: version, 3: schema, 4: list(held), 5: list(gates), 7: 2}
    return read_bundle(dumps(top if adopt is None else {**top, 8: adopt}))


def _gate(**changes):
    return list({**dict(zip(_FIELDS, _GATE, strict=True)), **changes}.values())


def _reasons(new, old=None):
    return w.widening(old or _bundle(), new)


def test_the_same_bundle_widens_nothing():
    """A new version with the old body needs one signer."""
    assert [] == _reasons(_bundle(version=2))


_WIDER = [
    ({"low": -11}, w.RANGE),
    ({"high": 11}, w.RANGE),
    ({"gap": 4}, w.GAP),
    ({"good": 0b01}, w.QUALITY),
    ({"aged": 0, "age_max": 0}, w.AGE),
    ({"age_max": 31}, w.AGE),
    ({"flags": 6}, w.CONDITION),
    ({"flags": 5}, w.CONDITION),
    ({"flags": 3}, w.CONDITION),
    ({"safe": 1}, w.SAFE),
]


def test_each_way_to_widen_a_gate_is_named():
    """Every field of a gate, moved alone to the wide side, is found."""
    for changes, reason in _WIDER:
        assert [(reason, 0)] == _reasons(_bundle(gates=[_gate(**changes)])), changes


@pytest.mark.parametrize(
    "changes", [{"low": -9}, {"high": 9}, {"gap": 6}, {"aged": 0b11}, {"age_max": 29}], ids=str
)
def test_a_narrower_gate_widens_nothing(changes):
    """Every field moved to the narrow side needs one signer."""
    assert [] == _reasons(_bundle(gates=[_gate(**changes)]))


def test_an_action_without_a_gate_before_is_new():
    """A gate that was not there allows what nothing allowed; one that is gone allows nothing."""
    two = _bundle(gates=[_GATE, _gate(action=1)])

    assert [(w.NEW_ACTION, 1)] == _reasons(two)
    assert [] == _reasons(_bundle(), two)


def test_everything_is_new_where_there_was_no_bundle():
    """A device without rules gets its first ones from two signers."""
    assert [(w.NEW_ACTION, 0), (w.LIVE, 0)] == w.widening(None, _bundle())


def test_a_rule_that_leaves_shadow_widens():
    """What was only tried is now asked for in earnest, also deep inside a condition."""
    nested = [[2, [11, Simple(0), 5], [[2, True, [_ACT]]], [[0, 0, 1]]]]
    for body in ([_ACT], nested):
        shadow, on = ([1, mode, [0], 0, body] for mode in (1, 2))
        assert [(w.LIVE, 0)] == _reasons(_bundle(held=[on]), _bundle(held=[shadow]))
        assert [] == _reasons(_bundle(held=[shadow]), _bundle(held=[on]))


def test_another_threshold_within_the_gate_widens_nothing():
    """Which rule asks, and when, is bounded by the gate."""
    earlier = [2, 2, [], 0, [[2, [11, Simple(0), 99], [_ACT]]]]

    assert [] == _reasons(_bundle(held=[_RULE, earlier]))


_STOPPED = [11, Simple(0), 5]


@pytest.mark.parametrize(
    "changed",
    [None, True, [11, Simple(0), 6], [12, Simple(0), 5], [17, _STOPPED, False], [18, [18, _STOPPED]]],
    ids=str,
)
def test_a_condition_of_replacing_that_is_dropped_or_changed_widens(changed):
    """Nobody here can say which of two conditions allows more; only the same one is no wider."""
    assert [(w.ADOPT, None)] == _reasons(_bundle(adopt=changed), _bundle(adopt=_STOPPED))


def test_a_condition_of_replacing_is_compared_by_type_too():
    """What Python takes for equal is not the same condition."""
    one, truth = [16, [9, True, True], True], [16, [9, 1, 1], True]

    assert [(w.ADOPT, None)] == _reasons(_bundle(adopt=truth), _bundle(adopt=one))


def test_a_condition_of_replacing_that_is_kept_or_new_widens_nothing():
    """Where there was none, or no bundle, one more condition allows nothing more."""
    waits = _bundle(adopt=_STOPPED)

    assert [] == _reasons(_bundle(adopt=list(_STOPPED), version=2), waits)
    assert [] == _reasons(waits, _bundle())
    assert (w.ADOPT, None) not in w.widening(None, waits)


def test_another_schema_cannot_be_compared():
    """Masks and values mean something else then."""
    assert (w.SCHEMA, None) in _reasons(_bundle(schema=b"\1" * 8))


def test_the_demonstrations_bundle_widens_once_its_relay_may_do_more():
    """The real bundle, read and changed as bytes."""
    path = Path(rules.__file__).parent / "vectors" / "demo_bundle.json"
    raw = bytes.fromhex(json.loads(path.read_text())["bundle"])
    top = loads(raw, 16)
    top[5][0][2] += 1

    assert [] == w.widening(read_bundle(raw), read_bundle(raw))
    assert [(w.RANGE, top[5][0][0])] == w.widening(read_bundle(raw), read_bundle(dumps(top)))


def test_every_reason_has_words():
    """A person reads why two signatures are asked for."""
    named = {value for name, value in vars(w).items() if name.isupper() and isinstance(value, int)}

    assert named == set(w.NAMES)
