"""Reads the bytes of a bundle, and refuses everything that is not exactly a bundle within its limits.

The reader trusts nothing: a signature says who wrote a bundle, not that it is sound. What it returns can be translated
without another check.

Source: SPEC.md sections 2, 3 and 8; bundle.cddl.
"""

from protocol.cbor import loads
from protocol.errors import MALFORMED, RULE, TOO_LARGE, VERSION, ProtocolError
from protocol.limits import channels_max, decision_values_max, uint32_max
from protocol.shape import is_within
from rules import grammar as g
from rules.limits import (
    action_max,
    acts_max,
    bundle_bytes_max,
    gates_max,
    nesting_max,
    registers_max,
    rule_id_max,
    rules_max,
    value_max,
)
from rules.tree import TreeCheck

_KEYS = (1, 2, 3, 4, 5, 7)
_MODELS = 6
_ADOPT = 8


class Rule:
    """One rule as read. init: first values of the registers; needs: one bit a channel; body: its statements, checked."""

    __slots__ = ("body", "init", "mode", "needs", "rule_id")

    def __init__(self, rule_id: int, mode: int, init: list, needs: int, body: list):
        self.rule_id = rule_id
        self.mode = mode
        self.init = init
        self.needs = needs
        self.body = body


class Gate:
    """The gate of one action: see guard.py. gap and age_max in rule ticks, masks one bit a channel."""

    __slots__ = ("action", "age_mask", "age_max", "flags", "gap", "good_mask", "high", "low", "safe")

    def __init__(self, row: list):
        (self.action, self.low, self.high, self.gap) = row[:4]
        (self.good_mask, self.age_mask, self.age_max, self.flags, self.safe) = row[4:]


class Bundle:
    """A bundle as read. schema: first 8 bytes of the schema's digest; channels: how many that schema has.

    adopt: the condition in which it may be replaced, a checked bool expression; None if it may be at any time.
    """

    __slots__ = ("adopt", "channels", "gates", "rules", "schema", "version")

    def __init__(self, version: int, schema: bytes, channels: int, rules: list, gates: list, adopt=None):
        self.version = version
        self.schema = schema
        self.channels = channels
        self.rules = rules
        self.gates = gates
        self.adopt = adopt


def read_bundle(data: bytes) -> Bundle:
    """Return the bundle whose deterministic CBOR is data.

    Raises ProtocolError: MALFORMED (no deterministic CBOR map), VERSION (another format), TOO_LARGE (above a limit of
    limits.py), RULE (breaks the grammar); never anything else, whatever the bytes.
    """
    if len(data) > bundle_bytes_max:
        raise ProtocolError(TOO_LARGE, "bundle of {} bytes exceeds {}".format(len(data), bundle_bytes_max))
    top = loads(data, nesting_max)
    if not isinstance(top, dict):
        raise ProtocolError(MALFORMED, "a bundle is a map")
    if not is_within(top.get(1), g.FORMAT, g.FORMAT):
        raise ProtocolError(VERSION, "bundle format {} is not {}".format(top.get(1), g.FORMAT))
    if _MODELS in top:
        raise ProtocolError(RULE, "models are not part of bundle format {}".format(g.FORMAT))
    if tuple(sorted(key for key in top if key != _ADOPT)) != _KEYS:
        text = "a bundle has the keys 1, 2, 3, 4, 5, 7 and perhaps 8, not {}"
        raise ProtocolError(RULE, text.format(sorted(top)))
    return _read_top(top)


def _read_top(top: dict) -> Bundle:
    if not is_within(top[2], 0, uint32_max):
        raise ProtocolError(RULE, "bundle version is not 0..{}".format(uint32_max))
    if not isinstance(top[3], bytes) or len(top[3]) != 8:
        raise ProtocolError(RULE, "schema is not the first 8 bytes of a digest")
    channels = top[7]
    if not is_within(channels, 1, channels_max):
        raise ProtocolError(RULE, "number of channels is not 1..{}".format(channels_max))
    rules, gates = _read_rules(top[4], channels), _read_gates(top[5], channels)
    return Bundle(top[2], top[3], channels, rules, gates, _read_adopt(top, channels))


def _read_adopt(top: dict, channels: int):
    if _ADOPT not in top:
        return None
    check = TreeCheck(channels)
    check.start("adopt", 0)
    check.condition(top[_ADOPT])
    return top[_ADOPT]


def _rows(value, what: str, most: int) -> list:
    if not isinstance(value, list):
        raise ProtocolError(RULE, "{} are not a list".format(what))
    if len(value) > most:
        raise ProtocolError(TOO_LARGE, "{} {} exceed {}".format(len(value), what, most))
    return value


def _read_rules(rows, channels: int) -> list:
    check = TreeCheck(channels)
    rules = [_read_rule(row, check) for row in _rows(rows, "rules", rules_max)]
    if len({rule.rule_id for rule in rules}) != len(rules):
        raise ProtocolError(RULE, "two rules have one id")
    registers = sum(len(rule.init) for rule in rules)
    if registers > registers_max:
        raise ProtocolError(TOO_LARGE, "{} registers exceed {}".format(registers, registers_max))
    return rules


def _read_rule(row, check: TreeCheck) -> Rule:
    if not isinstance(row, list) or len(row) != 5:
        raise ProtocolError(RULE, "a rule is not [id, mode, init, needs, body]")
    rule_id, mode, init, needs, body = row
    if not is_within(rule_id, 0, rule_id_max):
        raise ProtocolError(RULE, "rule id {} is not 0..{}".format(rule_id, rule_id_max))
    if not is_within(mode, g.OFF, g.ON):
        raise ProtocolError(RULE, "rule {}: mode is not 0..2".format(rule_id))
    if not is_within(needs, 0, (1 << check.channels) - 1):
        raise ProtocolError(
            RULE, "rule {}: needs names more than {} channels".format(rule_id, check.channels)
        )
    _check_init(rule_id, init)
    check.start("rule {}".format(rule_id), len(init))
    _check_acts(rule_id, check.body(body), len(init), check.channels)
    return Rule(rule_id, mode, init, needs, body)


def _check_init(rule_id: int, init) -> None:
    if not isinstance(init, list):
        raise ProtocolError(RULE, "rule {}: first values of registers are not a list".format(rule_id))
    if len(init) > registers_max:
        raise ProtocolError(
            TOO_LARGE, "rule {}: {} registers exceed {}".format(rule_id, len(init), registers_max)
        )
    for value in init:
        if not is_within(value, -value_max, value_max):
            raise ProtocolError(
                RULE, "rule {}: a first value is no integer within +-{}".format(rule_id, value_max)
            )


def _check_acts(rule_id: int, acts: int, registers: int, channels: int) -> None:
    if acts > acts_max:
        raise ProtocolError(
            TOO_LARGE, "rule {}: {} requests in one run exceed {}".format(rule_id, acts, acts_max)
        )
    carried = 2 * channels + 2 * registers
    if acts and carried > decision_values_max:
        raise ProtocolError(
            TOO_LARGE,
            "rule {}: its decision would carry {} values, more than {}".format(
                rule_id, carried, decision_values_max
            ),
        )


def _read_gates(rows, channels: int) -> list:
    gates = [_read_gate(row, channels) for row in _rows(rows, "gates", gates_max)]
    if len({gate.action for gate in gates}) != len(gates):
        raise ProtocolError(RULE, "two gates have one action")
    return gates


def _read_gate(row, channels: int) -> Gate:
    if not isinstance(row, list) or len(row) != 9:
        raise ProtocolError(RULE, "a gate is not [action, low, high, gap, good, aged, age_max, flags, safe]")
    mask = (1 << channels) - 1
    least = (0, -value_max, -value_max, 0, 0, 0, 0, 0, -value_max)
    most = (action_max, value_max, value_max, value_max, mask, mask, value_max, g.GATE_FLAGS_ALL, value_max)
    for i in range(9):
        if not is_within(row[i], least[i], most[i]):
            raise ProtocolError(RULE, "part {} of a gate is not {}..{}".format(i, least[i], most[i]))
    gate = Gate(row)
    if not gate.low <= gate.safe <= gate.high:
        raise ProtocolError(RULE, "gate {}: safe value is outside its range".format(gate.action))
    if gate.age_mask == 0 and gate.age_max != 0:
        raise ProtocolError(RULE, "gate {}: an age limit without a channel".format(gate.action))
    return gate
