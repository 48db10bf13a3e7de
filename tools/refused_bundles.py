"""Bundles that a reader must refuse, each with its reject code: the source of rules/vectors/refused.json.

Source: rules/SPEC.md sections 2, 3 and 8.
"""

from collections.abc import Sequence

from protocol import errors
from protocol.cbor import Simple, dumps
from rules import grammar as g
from rules.limits import value_max
from tools.demo_rules import demo_bundle
from tools.rule_tree import (
    NO_SCHEMA,
    NOW,
    act,
    bundle,
    gate,
    if_,
    reading,
    register,
    rule,
    set_at,
    set_register,
)

_ONE = set_register(0, 1)
_TOP: dict[int, object] = {1: 1, 2: 1, 3: NO_SCHEMA, 4: [], 5: [], 7: 2}


def _map(**changed: object) -> bytes:
    top = dict(_TOP)
    for key, part in changed.items():
        top[int(key[1:])] = part
    return dumps({key: part for key, part in top.items() if part is not None})


def _body(*body: list, init: Sequence[int] = (0,), **row: int) -> bytes:
    return bundle([rule(1, list(init), list(body), **row)], [])


def _expression(expression: object) -> bytes:
    return _body(set_register(0, expression))


def _gate(*row: int) -> bytes:
    return bundle([], [list(row)])


def refused_bundles() -> list:
    """Return the cases: name, bundle in hex, reject code and its name."""
    return [*_encoding(), *_tops(), *_rules(), *_statements(), *_expressions(), *_gates(), *_adopts()]


def _encoding() -> list:
    good = demo_bundle()
    return [
        _refuse("no bytes", b"", errors.MALFORMED),
        _refuse("bytes after the end", good + b"\0", errors.MALFORMED),
        _refuse("cut off", good[:-1], errors.MALFORMED),
        _refuse("not a map", dumps([1]), errors.MALFORMED),
        _refuse("a longer head than needed", bytes([good[0], 0x18]) + good[1:], errors.MALFORMED),
        _refuse("a float", _map(k2=0)[:-1] + b"\xf9\x00\x00", errors.MALFORMED),
        _refuse("above 4 KiB", _body(*[_ONE] * 1030), errors.TOO_LARGE),
    ]


def _tops() -> list:
    return [
        _refuse("format 2", _map(k1=2), errors.VERSION),
        _refuse("format true", _map(k1=True), errors.VERSION),
        _refuse("no format", _map(k1=None), errors.VERSION),
        _refuse("no gates", _map(k5=None), errors.RULE),
        _refuse("an unknown key", _map(k9=0), errors.RULE),
        _refuse("models are reserved", _map(k6=[]), errors.RULE),
        _refuse("a negative version", _map(k2=-1), errors.RULE),
        _refuse("a version above 32 bits", _map(k2=1 << 32), errors.RULE),
        _refuse("a schema of 7 bytes", _map(k3=b"1234567"), errors.RULE),
        _refuse("no channel", _map(k7=0), errors.RULE),
        _refuse("nine channels", _map(k7=9), errors.RULE),
        _refuse("rules that are no list", _map(k4=1), errors.RULE),
    ]


def _rules() -> list:
    return [
        _refuse("33 rules", bundle([rule(i, [0], [_ONE]) for i in range(33)], []), errors.TOO_LARGE),
        _refuse("two rules of one id", bundle([rule(1, [0], [_ONE])] * 2, []), errors.RULE),
        _refuse("a rule of 4 parts", _map(k4=[[1, 2, [], 0]]), errors.RULE),
        _refuse("a rule id above 16 bits", bundle([rule(1 << 16, [0], [_ONE])], []), errors.RULE),
        _refuse("mode 3", _body(_ONE, mode=3), errors.RULE),
        _refuse("mode true", _body(_ONE, mode=True), errors.RULE),
        _refuse("needs a third channel of two", _body(_ONE, needs=4), errors.RULE),
        _refuse("first values that are no list", _map(k4=[[1, 2, 0, 0, [_ONE]]]), errors.RULE),
        _refuse("a first value beyond the bound", _body(_ONE, init=(value_max + 1,)), errors.RULE),
        _refuse("a first value of true", _body(_ONE, init=(True,)), errors.RULE),
        _refuse("129 registers", _body(_ONE, init=[0] * 129), errors.TOO_LARGE),
        _refuse(
            "129 registers in two rules",
            bundle([rule(1, [0] * 65, [_ONE]), rule(2, [0] * 64, [_ONE])], []),
            errors.TOO_LARGE,
        ),
    ]


def _statements() -> list:
    return [
        _refuse("an empty body", _body(), errors.RULE),
        _refuse("an empty if", _body(if_(True, [])), errors.RULE),
        _refuse("an empty else", _body(if_(True, [_ONE], [])), errors.RULE),
        _refuse("257 statements", _body(*[_ONE] * 257), errors.TOO_LARGE),
        _refuse("257 statements in branches", _body(*[if_(True, [_ONE], [_ONE])] * 86), errors.TOO_LARGE),
        _refuse("an unknown statement", _body([4, 0, 0]), errors.RULE),
        _refuse("statement true", _body([True, 0, 0]), errors.RULE),
        _refuse("a set of two parts", _body([g.SET, 0]), errors.RULE),
        _refuse("a register that is not there", _body(set_register(1, 0)), errors.RULE),
        _refuse("a register that is negative", _body(set_register(-1, 0)), errors.RULE),
        _refuse("an indexed set past the last register", _body(set_at(0, 2, 0, 0)), errors.RULE),
        _refuse("an indexed set of no registers", _body(set_at(0, 0, 0, 0)), errors.RULE),
        _refuse("an indexed set with a truth as index", _body(set_at(0, 1, True, 0)), errors.RULE),
        _refuse("an if with a number as condition", _body(if_(1, [_ONE])), errors.RULE),
        _refuse("an if of five parts", _body([g.IF, True, [_ONE], [_ONE], [_ONE]]), errors.RULE),
        _refuse("an action above 8 bits", _body(act(256, 1)), errors.RULE),
        _refuse("an act of a truth", _body(act(1, True)), errors.RULE),
        _refuse("an act with an unknown verdict register", _body(act(1, 1, 1)), errors.RULE),
        _refuse("five requests in one run", _body(*[act(1, 1)] * 5), errors.TOO_LARGE),
        _refuse("a decision of 34 values", _body(act(1, 1), init=[0] * 15), errors.TOO_LARGE),
    ]


def _expressions() -> list:
    deep: object = 1
    for _ in range(12):
        deep = [g.NEGATE, deep]
    return [
        _refuse("nesting 17", _expression(deep), errors.TOO_LARGE),
        _refuse("an unknown operator", _expression([24, 1]), errors.RULE),
        _refuse("operator true", _expression([True, 1, 1]), errors.RULE),
        _refuse("an empty expression", _expression([]), errors.RULE),
        _refuse("text", _expression("import os"), errors.RULE),
        _refuse("null", _expression(None), errors.RULE),
        _refuse("a constant beyond the bound", _expression(value_max + 1), errors.RULE),
        _refuse("a truth where a number is needed", _expression(True), errors.RULE),
        _refuse("a sum of one", _expression([g.ADD, 1]), errors.RULE),
        _refuse("a sum of 33", _expression([g.ADD] + [1] * 33), errors.TOO_LARGE),
        _refuse("a greatest of 33", _expression([g.GREATEST] + [1] * 33), errors.TOO_LARGE),
        _refuse("in a list of 33", _expression([g.CHOOSE, [g.IN_LIST, 1, [1] * 33], 1, 0]), errors.TOO_LARGE),
        _refuse("a difference of three", _expression([g.SUBTRACT, 1, 1, 1]), errors.RULE),
        _refuse("a sum with a truth", _expression([g.ADD, 1, True]), errors.RULE),
        _refuse(
            "equality of a number and a truth", _expression([g.CHOOSE, [g.EQUAL, 1, True], 1, 0]), errors.RULE
        ),
        _refuse("and of numbers", _expression([g.CHOOSE, [g.AND, 1, 1], 1, 0]), errors.RULE),
        _refuse("a choice of two types", _expression([g.CHOOSE, True, 1, False]), errors.RULE),
        _refuse("a choice by a number", _expression([g.CHOOSE, 1, 1, 0]), errors.RULE),
        _refuse("in an empty list", _expression([g.CHOOSE, [g.IN_LIST, 1, []], 1, 0]), errors.RULE),
        _refuse("in a list of truths", _expression([g.CHOOSE, [g.IN_LIST, 1, [True]], 1, 0]), errors.RULE),
        _refuse("an indexed read past the last register", _expression([g.READ_AT, 0, 2, 0]), errors.RULE),
        _refuse("a third channel of two", _expression(reading(2)), errors.RULE),
        _refuse("the age of a third channel", _expression([g.AGE, 2]), errors.RULE),
        _refuse("good of an expression", _expression([g.CHOOSE, [g.GOOD, [g.ADD, 0, 0]], 1, 0]), errors.RULE),
        _refuse("a variable for a register that is not there", _expression(register(1)), errors.RULE),
        _refuse("a simple value that names nothing", _expression(Simple(149)), errors.RULE),
    ]


def _gates() -> list:
    return [
        _refuse("17 gates", bundle([], [gate(i, 0, 1, 0) for i in range(17)]), errors.TOO_LARGE),
        _refuse("two gates of one action", bundle([], [gate(1, 0, 1, 0)] * 2), errors.RULE),
        _refuse("a gate of 8 parts", _gate(1, 0, 1, 0, 0, 0, 0, 0), errors.RULE),
        _refuse("a gate with an unknown flag", _gate(1, 0, 1, 0, 0, 0, 0, 8, 0), errors.RULE),
        _refuse("a gate with a third channel of two", _gate(1, 0, 1, 0, 4, 0, 0, 0, 0), errors.RULE),
        _refuse("a gate whose safe value is outside", _gate(1, 0, 1, 0, 0, 0, 0, 0, 2), errors.RULE),
        _refuse("a gate whose range is empty", _gate(1, 1, 0, 0, 0, 0, 0, 0, 0), errors.RULE),
        _refuse("a gate with an age limit for no channel", _gate(1, 0, 1, 0, 0, 0, 5, 0, 0), errors.RULE),
        _refuse("a gate with a negative gap", _gate(1, 0, 1, -1, 0, 0, 0, 0, 0), errors.RULE),
    ]


def _adopts() -> list:
    deep: object = True
    for _ in range(15):
        deep = [g.NOT, deep]
    return [
        _refuse("adopt that is null", dumps({**_TOP, 8: None}), errors.RULE),
        _refuse("adopt that is a number", _map(k8=1), errors.RULE),
        _refuse("adopt that is an input", _map(k8=reading(0)), errors.RULE),
        _refuse("adopt that is a sum", _map(k8=[g.ADD, 1, 1]), errors.RULE),
        _refuse("adopt that is text", _map(k8="true"), errors.RULE),
        _refuse("adopt that is a list of conditions", _map(k8=[True, False]), errors.RULE),
        _refuse("adopt that is a statement's list", _map(k8=[[g.SET, 0, 1]]), errors.RULE),
        _refuse("adopt that reads a register", _map(k8=[g.EQUAL, register(0), 1]), errors.RULE),
        _refuse("adopt that reads register 11", _map(k8=[g.EQUAL, register(11), 1]), errors.RULE),
        _refuse(
            "adopt that reads a register by index", _map(k8=[g.EQUAL, [g.READ_AT, 0, 1, 0], 1]), errors.RULE
        ),
        _refuse(
            "adopt that reads a register of a rule",
            bundle([rule(1, [0], [_ONE])], [], adopt=[g.EQUAL, register(0), 1]),
            errors.RULE,
        ),
        _refuse("adopt with a third channel of two", _map(k8=[g.BELOW, reading(2), 1]), errors.RULE),
        _refuse("adopt with good of a third channel", _map(k8=[g.GOOD, 2]), errors.RULE),
        _refuse(
            "adopt with a constant beyond the bound", _map(k8=[g.BELOW, NOW, value_max + 1]), errors.RULE
        ),
        _refuse("adopt with and of 33", _map(k8=[g.AND] + [True] * 33), errors.TOO_LARGE),
        _refuse("adopt with nesting 17", _map(k8=[g.NOT, deep]), errors.TOO_LARGE),
        _refuse("format 2 with adopt", _map(k1=2, k8=True), errors.VERSION),
        _refuse("adopt instead of gates", _map(k5=None, k8=True), errors.RULE),
    ]


def _refuse(name: str, data: bytes, code: int) -> dict:
    return {"name": name, "bundle": data.hex(), "reject": code, "reject_name": errors.NAMES[code]}
