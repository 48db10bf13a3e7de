"""Promises of rules/bundle.py and bundle.cddl: what is refused, and that nothing else ever happens."""

import io
import json
import random
import tokenize
from hashlib import sha256
from pathlib import Path

import pytest
from cddl_verifier import Validator

from protocol.cbor import dumps, loads
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.limits import decision_values_max
from rules import grammar as g
from rules.adopt import adopt_rule
from rules.bundle import read_bundle
from rules.engine import Engine
from rules.limits import (
    acts_max,
    bundle_bytes_max,
    gates_max,
    nesting_max,
    operands_max,
    registers_max,
    rules_max,
    statements_max,
    value_max,
)
from rules.translate import source
from tests.both.random_bundles import random_adopt_bundle, random_bundle, random_samples
from tools.demo_rules import demo_bundle
from tools.rule_tree import act, bundle, gate, rule, set_register
from tools.rule_vectors import files

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"def", "k", "if", "else", "and", "or", "not", "in", "return", "True", "False", "min", "max", "abs"}
LETTERS = set("iartghocvxdmn")
SIGNS = {*"()[],:=+-<>&", "==", "!=", "<=", ">="}


_RANDOM = (random_bundle, random_adopt_bundle)


def strange_words(text):
    """Return the words of a translated function that are not on the list."""
    strange = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        allowed = (
            token.string.isspace()
            or not token.string
            or (token.type == tokenize.NUMBER and token.string.isdigit())
            or token.string in WORDS | LETTERS | SIGNS
        )
        if not allowed:
            strange.append(token.string)
    return strange


def mutated(data, dice):
    """Return data with one to three bytes changed, added or taken away."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(changed))
        kind = dice.randrange(4)
        if kind == 0:
            changed[at] = dice.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 2:
            changed.insert(at, dice.randrange(256))
        else:
            del changed[at]
    return bytes(changed)


def test_vector_files_are_what_their_source_writes():
    """Every file in rules/vectors is the output of tools.rule_vectors, byte for byte."""
    for name, text in files().items():
        assert (ROOT / "rules" / "vectors" / name).read_text() == text, name


def test_every_accepted_vector_fits_the_cddl_and_every_engine_state_too():
    """What the reader accepts, the grammar in bundle.cddl accepts; what an engine keeps fits engine_state."""
    grammar = Validator(ROOT / "rules" / "bundle.cddl")
    topics = (
        "arithmetic",
        "comparisons",
        "logic",
        "windows",
        "limits",
        "absence",
        "engine",
        "adopt",
        "gates",
    )
    cases = [case for topic in topics for case in json.loads(files()[topic + ".json"])]
    for data in [demo_bundle(), *(bytes.fromhex(case["bundle"]) for case in cases)]:
        engine = Engine(read_bundle(data))
        for now, values, good, trusted, online in random_samples(1, 2):
            engine.sample(now, values[: engine.channels], good, trusted_time=trusted, online=online)

        assert grammar.validate(data, "bundle").valid, data.hex()
        assert grammar.validate(dumps(engine.state()), "engine_state").valid


def test_cddl_refuses_a_wrong_type():
    """The grammar is not a grammar of everything: a truth in a sum does not fit."""
    grammar = Validator(ROOT / "rules" / "bundle.cddl")
    data = bundle([rule(1, [0], [set_register(0, [0, 1, True])])], [])

    assert not grammar.validate(data, "bundle").valid
    assert not grammar.validate(bundle([], [], adopt=1), "bundle").valid


def test_a_bundle_without_a_condition_of_replacing_has_the_bytes_it_always_had():
    """Whoever says nothing of it keeps his digest."""
    digest = sha256(demo_bundle()).hexdigest()

    assert digest == "343267a00b681fccc39cc2610874ca14da29b4381d7b7ab8397ceaaf5b5ce47e"
    assert bundle([], []) == bundle([], [], adopt=None)
    assert len(bundle([], [], adopt=True)) == len(bundle([], [])) + 2


def test_a_bundle_cut_at_any_byte_is_refused():
    """No prefix of a bundle is a bundle."""
    data = demo_bundle()
    for length in range(len(data)):
        with pytest.raises(ProtocolError):
            read_bundle(data[:length])


def test_mutated_bundles_give_a_bundle_or_a_protocol_error_and_only_words_on_the_list():
    """Whatever happens to its bytes, a bundle is refused by name or translates to words on the list."""
    dice = random.Random(20261123)
    originals = [demo_bundle(), *(make(seed) for seed in range(40) for make in _RANDOM)]
    accepted = refused = 0
    for _ in range(6000):
        data = mutated(dice.choice(originals), dice)
        try:
            read = read_bundle(data)
        except ProtocolError as error:
            assert error.text
            refused += 1
            continue
        accepted += 1
        assert dumps(loads(data, nesting_max)) == data
        conditions = [] if read.adopt is None else [adopt_rule(read.adopt)]
        for one in read.rules + conditions:
            text = source(one)
            assert strange_words(text) == []
            compile(text, "rule", "exec")

    assert accepted > 200 and refused > 3000


def test_mutated_bundles_that_are_accepted_run_without_any_other_error():
    """An accepted bundle decides or faults, and may be replaced or not; nothing else comes out of a sample."""
    dice = random.Random(7)
    ran = 0
    for _ in range(1500):
        try:
            engine = Engine(read_bundle(mutated(dice.choice(_RANDOM)(dice.randrange(40)), dice)))
        except ProtocolError:
            continue
        for now, values, good, trusted, online in random_samples(ran, 4):
            some = (values * 3)[: engine.channels]
            engine.sample(now, some, good, trusted_time=trusted, online=online)
            assert engine.may_adopt() in (True, False)
        ran += 1

    assert ran > 50


def test_the_word_list_catches_a_call_that_is_not_on_it():
    """The check of words is no check of nothing."""
    assert strange_words("def k(i):\n return exec(i)\n") == ["exec"]


@pytest.mark.parametrize(
    ("below", "above", "named"),
    [
        ([0] * 14, [0] * 15, "34 values"),
        ([0] * 1, [0] * 129, "129 registers"),
    ],
)
def test_a_limit_is_named_with_its_value(below, above, named):
    """A bundle at a limit is read, one above is refused with the number that was too large."""
    read_bundle(bundle([rule(1, below, [act(1, 1)])], []))
    with pytest.raises(ProtocolError, match=named) as refusal:
        read_bundle(bundle([rule(1, above, [act(1, 1)])], []))

    assert refusal.value.code == TOO_LARGE


_ONE = set_register(0, 1)


def _of_bytes(size):
    """Return a bundle of exactly so many bytes, within every other limit."""
    over = len(_sums([value_max] * 800)) - size
    # Of the five bytes of a number 0 saves four, 200 three.
    twos = -over % 4
    zeros = (over - 3 * twos) // 4
    made = _sums([0] * zeros + [200] * twos + [value_max] * (800 - zeros - twos))
    assert len(made) == size
    return made


def _sums(numbers):
    body = [set_register(0, [g.ADD, *numbers[i : i + 20]]) for i in range(0, len(numbers), 20)]
    return bundle([rule(1, [0], body)], [])


def _nested(depth):
    """Return a bundle whose deepest array is at this depth, its own map being 1."""
    expression = 1
    for _ in range(depth - 5):
        expression = [g.NEGATE, expression]
    return bundle([rule(1, [0], [set_register(0, expression)])], [])


_AT_LIMIT = {
    "bytes of a bundle": (bundle_bytes_max, _of_bytes),
    "nesting": (nesting_max, _nested),
    "statements": (statements_max, lambda n: bundle([rule(1, [0], [_ONE] * n)], [])),
    "registers": (registers_max, lambda n: bundle([rule(1, [0] * n, [_ONE])], [])),
    "rules": (rules_max, lambda n: bundle([rule(i, [0], [_ONE]) for i in range(n)], [])),
    "gates": (gates_max, lambda n: bundle([], [gate(i, 0, 1, 0) for i in range(n)])),
    "operands": (
        operands_max,
        lambda n: bundle([rule(1, [0], [set_register(0, [g.ADD, *range(n)])])], []),
    ),
    "requests": (acts_max, lambda n: bundle([rule(1, [0], [act(1, 1)] * n)], [gate(1, 0, 1, 0)])),
    "values of a decision": (
        decision_values_max,
        lambda n: bundle([rule(1, [0] * ((n - 4) // 2), [act(1, 1)])], [gate(1, 0, 1, 0)]),
    ),
}


@pytest.mark.parametrize("name", _AT_LIMIT)
def test_a_bundle_at_a_limit_is_read_and_one_above_is_refused(name):
    """The limit itself is allowed, the next is too large: for each limit that a bundle can meet."""
    limit, make = _AT_LIMIT[name]
    step = 2 if name == "values of a decision" else 1
    read_bundle(make(limit))
    with pytest.raises(ProtocolError) as refusal:
        read_bundle(make(limit + step))

    assert refusal.value.code == TOO_LARGE


def test_what_lies_at_the_limits_also_runs():
    """The largest, deepest and longest bundles are translated and evaluated, not only read."""
    for name in ("bytes of a bundle", "nesting", "statements", "registers", "rules", "operands"):
        limit, make = _AT_LIMIT[name]
        engine = Engine(read_bundle(make(limit)))
        engine.sample(1, [0] * engine.channels, 3, trusted_time=True, online=True)

        assert engine.faults == [] or name == "bytes of a bundle", name
