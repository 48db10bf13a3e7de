"""Checks the trees of a bundle: every operator, arity, type, register, channel and count, before anything is translated.

Theory: one walk. An expression's check returns its type, "int" or "bool"; a body's check returns the most requests
that one run through it can make. Whoever translates or interprets afterwards checks nothing again.

Source: SPEC.md section 3.
"""

from protocol.cbor import Simple
from protocol.errors import RULE, TOO_LARGE, ProtocolError
from protocol.shape import is_within
from rules import grammar as g
from rules.limits import action_max, operands_max, statements_max, value_max

_INT = "int"
_BOOL = "bool"

# operator -> (fewest operands, most or None, type of each operand, type of the result)
_PLAIN = {
    g.ADD: (2, None, _INT, _INT),
    g.SUBTRACT: (2, 2, _INT, _INT),
    g.MULTIPLY: (2, 2, _INT, _INT),
    g.DIVIDE: (2, 2, _INT, _INT),
    g.REMAINDER: (2, 2, _INT, _INT),
    g.NEGATE: (1, 1, _INT, _INT),
    g.ABSOLUTE: (1, 1, _INT, _INT),
    g.LEAST: (2, None, _INT, _INT),
    g.GREATEST: (2, None, _INT, _INT),
    g.BELOW: (2, 2, _INT, _BOOL),
    g.AT_MOST: (2, 2, _INT, _BOOL),
    g.ABOVE: (2, 2, _INT, _BOOL),
    g.AT_LEAST: (2, 2, _INT, _BOOL),
    g.AND: (2, None, _BOOL, _BOOL),
    g.OR: (2, None, _BOOL, _BOOL),
    g.NOT: (1, 1, _BOOL, _BOOL),
}


class TreeCheck:
    """Walks the bodies of a bundle's rules and counts their statements together; tell it whose with start()."""

    def __init__(self, channels: int):
        self.channels = channels
        self.statements = 0
        self._registers = 0
        self._what = ""

    def start(self, what: str, registers: int) -> None:
        """Look at what, say "rule 5", which has so many registers, from now on."""
        self._what = what
        self._registers = registers

    def condition(self, node) -> None:
        """Check an expression that must be of type bool. Raises ProtocolError(RULE) or (TOO_LARGE)."""
        self._need(node, _BOOL)

    def body(self, body) -> int:
        """Return the most requests that one run of body can make. Raises ProtocolError(RULE) or (TOO_LARGE)."""
        if not isinstance(body, list) or not body:
            raise self._broken("a body is not a list of one or more statements")
        acts = 0
        for statement in body:
            self.statements += 1
            if self.statements > statements_max:
                raise ProtocolError(TOO_LARGE, "a bundle has more than {} statements".format(statements_max))
            acts += self._statement(statement)
        return acts

    def _broken(self, what: str) -> ProtocolError:
        return ProtocolError(RULE, "{}: {}".format(self._what, what))

    def _too_many(self, what: str, found: int) -> ProtocolError:
        return ProtocolError(TOO_LARGE, "{}: {} {} exceed {}".format(self._what, found, what, operands_max))

    def _statement(self, node) -> int:
        if not isinstance(node, list) or not node or not is_within(node[0], g.SET, g.ACT):
            raise self._broken("a statement is not [0..3, ...]")
        if node[0] == g.SET:
            return self._set(node)
        if node[0] == g.SET_AT:
            return self._set_at(node)
        if node[0] == g.IF:
            return self._if(node)
        return self._act(node)

    def _set(self, node) -> int:
        if len(node) != 3:
            raise self._broken("set has {} parts, not 3".format(len(node)))
        self._register(node[1])
        self._need(node[2], _INT)
        return 0

    def _set_at(self, node) -> int:
        if len(node) != 5:
            raise self._broken("indexed set has {} parts, not 5".format(len(node)))
        self._run(node[1], node[2])
        self._need(node[3], _INT)
        self._need(node[4], _INT)
        return 0

    def _if(self, node) -> int:
        if not 3 <= len(node) <= 4:
            raise self._broken("if has {} parts, not 3 or 4".format(len(node)))
        self._need(node[1], _BOOL)
        acts = self.body(node[2])
        if len(node) == 4:
            acts = max(acts, self.body(node[3]))
        return acts

    def _act(self, node) -> int:
        if not 3 <= len(node) <= 4:
            raise self._broken("act has {} parts, not 3 or 4".format(len(node)))
        if not is_within(node[1], 0, action_max):
            raise self._broken("action {} is not 0..{}".format(node[1], action_max))
        self._need(node[2], _INT)
        if len(node) == 4:
            self._register(node[3])
        return 1

    def _register(self, register) -> None:
        if not is_within(register, 0, self._registers - 1):
            raise self._broken("register {} is none of its {}".format(register, self._registers))

    def _run(self, base, count) -> None:
        self._register(base)
        if not is_within(count, 1, self._registers - base):
            raise self._broken(
                "{} registers from {} on are not among its {}".format(count, base, self._registers)
            )

    def _need(self, node, wanted: str) -> None:
        found = self.expression(node)
        if found != wanted:
            raise self._broken("{} where {} is needed".format(found, wanted))

    def expression(self, node) -> str:
        """Return "int" or "bool", the type of an expression. Raises ProtocolError(RULE)."""
        if isinstance(node, bool):
            return _BOOL
        if isinstance(node, int):
            if not -value_max <= node <= value_max:
                raise self._broken("constant {} is outside +-{}".format(node, value_max))
            return _INT
        if isinstance(node, Simple):
            return self._variable(node.value)
        if not isinstance(node, list) or not node or not is_within(node[0], g.ADD, g.HAS):
            raise self._broken("an expression is no constant, variable or [operator 0..23, ...]")
        return self._operation(node)

    def _variable(self, simple: int) -> str:
        named = g.variable(simple)
        if named is None:
            raise self._broken("simple value {} names no variable".format(simple))
        if named[0] == "input":
            self._channel(named[1])
        elif named[0] == "register":
            self._register(named[1])
        return _INT

    def _channel(self, channel) -> None:
        if not is_within(channel, 0, self.channels - 1):
            raise self._broken("channel {} is none of the {}".format(channel, self.channels))

    def _operation(self, node) -> str:
        operator = node[0]
        if operator in _PLAIN:
            least, most, operand, result = _PLAIN[operator]
            self._arity(node, least, most)
            for part in node[1:]:
                self._need(part, operand)
            return result
        if operator in (g.EQUAL, g.UNEQUAL):
            self._arity(node, 2, 2)
            self._need(node[2], self.expression(node[1]))
            return _BOOL
        if operator == g.CHOOSE:
            return self._choose(node)
        if operator == g.IN_LIST:
            return self._in_list(node)
        if operator == g.READ_AT:
            self._arity(node, 3, 3)
            self._run(node[1], node[2])
            self._need(node[3], _INT)
            return _INT
        self._arity(node, 1, 1)
        self._channel(node[1])
        return _INT if operator == g.AGE else _BOOL

    def _arity(self, node, least: int, most) -> None:
        found = len(node) - 1
        if most is None and found > operands_max:
            raise self._too_many("operands", found)
        if found < least or (most is not None and found > most):
            raise self._broken("operator {} has {} operands".format(node[0], found))

    def _choose(self, node) -> str:
        self._arity(node, 3, 3)
        self._need(node[1], _BOOL)
        kind = self.expression(node[2])
        self._need(node[3], kind)
        return kind

    def _in_list(self, node) -> str:
        self._arity(node, 2, 2)
        self._need(node[1], _INT)
        members = node[2]
        if not isinstance(members, list) or not members:
            raise self._broken("in: the members are not a list of one or more constants")
        if len(members) > operands_max:
            raise self._too_many("members of a list", len(members))
        for member in members:
            if not is_within(member, -value_max, value_max):
                raise self._broken("in: a member is no constant within +-{}".format(value_max))
        return _BOOL
