"""The slow, obvious evaluator: the specification in code, against which the translated function is judged for ever.

It walks the tree at every evaluation and shares no arithmetic with value.py. It is not frozen into devices.

Source: SPEC.md sections 3 to 6.
"""

from protocol.cbor import Simple
from rules import grammar as g
from rules.limits import product_max, value_max
from rules.value import FAULT_DIVISION, FAULT_INDEX, FAULT_PRODUCT, FAULT_VALUE, RuleFault


def kernel(rule):
    """Return a function that does what translate.kernel(rule) does, by walking the tree."""

    def k(inputs, ages, registers, now, good, ever, requests):
        run = _Run(inputs, ages, registers, now, good, ever)
        run.body(rule.body)
        cells = 0
        for request in run.requests:
            for cell in request:
                requests[cells] = cell
                cells += 1
        return cells

    return k


def may_adopt(condition, inputs, ages, now, good, ever) -> bool:
    """Return what the `adopt` of a bundle says of a sample, by walking its tree. Source: SPEC.md section 2.1."""
    try:
        return _StrictRun(inputs, ages, [], now, good, ever).value(condition)
    except (RuleFault, _NotGood):
        return False


def divide_towards_zero(left: int, right: int) -> tuple:
    """Return (quotient, remainder) of left by right, which is not 0, counted on magnitudes as at school."""
    quotient, rest = divmod(abs(left), abs(right))
    if (left < 0) != (right < 0):
        quotient = 0 - quotient
    return quotient, 0 - rest if left < 0 else rest


class _Run:
    def __init__(self, inputs, ages, registers, now, good, ever):
        self.inputs = inputs
        self.ages = ages
        self.registers = registers
        self.now = now
        self.good = good
        self.ever = ever
        self.requests = []

    def body(self, body) -> None:
        for node in body:
            kind = node[0]
            if kind == g.SET:
                self.registers[node[1]] = self.bounded(node[2])
            elif kind == g.SET_AT:
                value = self.bounded(node[4])
                self.registers[self.place(node[1], node[2], node[3])] = value
            elif kind == g.ACT:
                value = self.bounded(node[2])
                self.requests.append((node[1], value, node[3] if len(node) == 4 else -1))
            elif self.value(node[1]):
                self.body(node[2])
            elif len(node) == 4:
                self.body(node[3])

    def bounded(self, node) -> int:
        value = self.value(node)
        if abs(value) > value_max:
            raise RuleFault(FAULT_VALUE)
        return value

    def place(self, base: int, count: int, index) -> int:
        chosen = self.value(index)
        if chosen < 0 or chosen >= count:
            raise RuleFault(FAULT_INDEX)
        return base + chosen

    def value(self, node):
        if isinstance(node, (bool, int)):
            return node
        if isinstance(node, Simple):
            return self.variable(node.value)
        operator = node[0]
        if operator == g.AND:
            return all(self.value(part) for part in node[1:])
        if operator == g.OR:
            return any(self.value(part) for part in node[1:])
        if operator == g.CHOOSE:
            return self.value(node[2]) if self.value(node[1]) else self.value(node[3])
        if operator == g.IN_LIST:
            return self.value(node[1]) in node[2]
        if operator == g.READ_AT:
            return self.registers[self.place(node[1], node[2], node[3])]
        if operator == g.GOOD:
            return bool((self.good >> node[1]) % 2)
        if operator == g.HAS:
            return bool((self.ever >> node[1]) % 2)
        if operator == g.AGE:
            return self.ages[node[1]]
        return _combine(operator, [self.value(part) for part in node[1:]])

    def variable(self, simple: int) -> int:
        kind, index = g.variable(simple)
        if kind == "now":
            return self.now
        return self.inputs[index] if kind == "input" else self.registers[index]


class _NotGood(Exception):
    """An input was met whose channel is not good. Answered here."""


class _StrictRun(_Run):
    def variable(self, simple: int) -> int:
        kind, index = g.variable(simple)
        if kind == "input" and not (self.good >> index) % 2:
            raise _NotGood
        return super().variable(simple)


def _combine(operator: int, parts: list):
    if operator in (g.DIVIDE, g.REMAINDER):
        if parts[1] == 0:
            raise RuleFault(FAULT_DIVISION)
        both = divide_towards_zero(parts[0], parts[1])
        return both[0] if operator == g.DIVIDE else both[1]
    if operator == g.MULTIPLY:
        if abs(parts[0] * parts[1]) > product_max:
            raise RuleFault(FAULT_PRODUCT)
        return parts[0] * parts[1]
    if operator in _ONE:
        return _ONE[operator](parts[0])
    if operator in _MANY:
        return _MANY[operator](parts)
    return _TWO[operator](parts[0], parts[1])


_ONE = {
    g.NEGATE: lambda one: 0 - one,
    g.ABSOLUTE: lambda one: one if one >= 0 else 0 - one,
    g.NOT: lambda one: not one,
}
_MANY = {
    g.ADD: sum,
    g.LEAST: lambda parts: sorted(parts)[0],
    g.GREATEST: lambda parts: sorted(parts)[-1],
}
_TWO = {
    g.SUBTRACT: lambda left, right: left - right,
    g.EQUAL: lambda left, right: left == right,
    g.UNEQUAL: lambda left, right: not left == right,
    g.BELOW: lambda left, right: left < right,
    g.AT_MOST: lambda left, right: not right < left,
    g.ABOVE: lambda left, right: right < left,
    g.AT_LEAST: lambda left, right: not left < right,
}
