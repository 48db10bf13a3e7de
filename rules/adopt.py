"""The condition in which a bundle may be replaced, as a rule: so that the same translator and the same judge evaluate it.

The rule has one register, 0 at first, and sets it to 1 if the condition is met. Each reading of an input becomes a choice:
the input if its channel is good in this sample, else a division by zero. So an input that is not good ends the evaluation
where it is met, and nowhere else, by the one way there is to end it: a fault.

Source: SPEC.md section 2.1.
"""

from protocol.cbor import Simple
from rules import grammar as g
from rules.bundle import Rule

_FAULT = [g.DIVIDE, 0, 0]


def adopt_rule(condition) -> Rule:
    """Return a rule without a number that stores 1 in its only register if condition, a checked bool expression, is met."""
    return Rule(-1, g.ON, [0], 0, [[g.IF, _strict(condition), [[g.SET, 0, 1]]]])


def _strict(node):
    if isinstance(node, Simple):
        kind, channel = g.variable(node.value)
        return [g.CHOOSE, [g.GOOD, channel], node, _FAULT] if kind == "input" else node
    if not isinstance(node, list) or node[0] in (g.GOOD, g.AGE, g.HAS):
        return node
    if node[0] == g.IN_LIST:
        return [g.IN_LIST, _strict(node[1]), node[2]]
    return [node[0]] + [_strict(part) for part in node[1:]]
