"""Rules as closures: each operator a function that holds the functions of its parts. The usual way without code generation.

kernel(rule) does what `rules.translate.kernel` does, fault for fault; only the shape of the work is another.
"""

from protocol.cbor import Simple
from rules import grammar as g
from rules.value import position, product, quotient, remainder, stored

# of a frame: what one evaluation sees and how many cells of requests it has written
_INPUTS, _AGES, _REGISTERS, _NOW, _GOOD, _EVER, _REQUESTS, _CELLS = range(8)


def kernel(rule):
    """Return the function of a rule from read_bundle, made of closures."""
    body = _body(rule.body)

    def k(inputs, ages, registers, now, good, ever, requests):
        frame = [inputs, ages, registers, now, good, ever, requests, 0]
        body(frame)
        return frame[_CELLS]

    return k


def _body(nodes):
    steps = [_statement(node) for node in nodes]

    def run(frame):
        for step in steps:
            step(frame)

    return run


def _statement(node):
    kind = node[0]
    if kind == g.SET:
        return _set(node[1], _value(node[2]))
    if kind == g.SET_AT:
        return _set_at(node[1], node[2], _value(node[3]), _value(node[4]))
    if kind == g.ACT:
        return _act(node[1], _value(node[2]), node[3] if len(node) == 4 else -1)
    return _if(_value(node[1]), _body(node[2]), _body(node[3]) if len(node) == 4 else None)


def _set(register, value):
    def run(frame):
        frame[_REGISTERS][register] = stored(value(frame))

    return run


def _set_at(base, count, index, value):
    def run(frame):
        chosen = stored(value(frame))
        frame[_REGISTERS][base + position(index(frame), count)] = chosen

    return run


def _act(action, value, register):
    def run(frame):
        at = frame[_CELLS]
        requests = frame[_REQUESTS]
        wanted = stored(value(frame))
        requests[at] = action
        requests[at + 1] = wanted
        requests[at + 2] = register
        frame[_CELLS] = at + 3

    return run


def _if(condition, then, otherwise):
    def run(frame):
        if condition(frame):
            then(frame)
        elif otherwise is not None:
            otherwise(frame)

    return run


def _value(node):
    if isinstance(node, (bool, int)):
        return lambda frame: node
    if isinstance(node, Simple):
        return _variable(node)
    operator = node[0]
    if operator == g.IN_LIST:
        return _in_list(_value(node[1]), node[2])
    if operator == g.READ_AT:
        return _read_at(node[1], node[2], _value(node[3]))
    if operator in (g.GOOD, g.HAS):
        return _has_bit(_GOOD if operator == g.GOOD else _EVER, 1 << node[1])
    if operator == g.AGE:
        channel = node[1]
        return lambda frame: frame[_AGES][channel]
    parts = [_value(part) for part in node[1:]]
    if operator in _TWO:
        return _TWO[operator](parts[0], parts[1])
    return _MORE[operator](parts)


def _variable(node):
    kind, index = g.variable(node.value)
    if kind == "now":
        return lambda frame: frame[_NOW]
    if kind == "input":
        return lambda frame: frame[_INPUTS][index]
    return lambda frame: frame[_REGISTERS][index]


def _in_list(value, among):
    return lambda frame: value(frame) in among


def _read_at(base, count, index):
    return lambda frame: frame[_REGISTERS][base + position(index(frame), count)]


def _has_bit(place, bit):
    return lambda frame: frame[place] & bit != 0


def _and(parts):
    def run(frame):
        for part in parts:
            if not part(frame):
                return False
        return True

    return run


def _or(parts):
    def run(frame):
        for part in parts:
            if part(frame):
                return True
        return False

    return run


def _choose(parts):
    condition, one, other = parts
    return lambda frame: one(frame) if condition(frame) else other(frame)


def _add(parts):
    if len(parts) == 2:
        left, right = parts
        return lambda frame: left(frame) + right(frame)
    return lambda frame: sum([part(frame) for part in parts])


def _one(apply):
    def make(parts):
        part = parts[0]
        return lambda frame: apply(part(frame))

    return make


def _all(apply):
    return lambda parts: lambda frame: apply([part(frame) for part in parts])


_TWO = {
    g.SUBTRACT: lambda left, right: lambda frame: left(frame) - right(frame),
    g.MULTIPLY: lambda left, right: lambda frame: product(left(frame), right(frame)),
    g.DIVIDE: lambda left, right: lambda frame: quotient(left(frame), right(frame)),
    g.REMAINDER: lambda left, right: lambda frame: remainder(left(frame), right(frame)),
    g.EQUAL: lambda left, right: lambda frame: left(frame) == right(frame),
    g.UNEQUAL: lambda left, right: lambda frame: left(frame) != right(frame),
    g.BELOW: lambda left, right: lambda frame: left(frame) < right(frame),
    g.AT_MOST: lambda left, right: lambda frame: left(frame) <= right(frame),
    g.ABOVE: lambda left, right: lambda frame: left(frame) > right(frame),
    g.AT_LEAST: lambda left, right: lambda frame: left(frame) >= right(frame),
}
_MORE = {
    g.ADD: _add,
    g.AND: _and,
    g.OR: _or,
    g.CHOOSE: _choose,
    g.NEGATE: _one(lambda value: -value),
    g.ABSOLUTE: _one(abs),
    g.NOT: _one(lambda value: not value),
    g.LEAST: _all(min),
    g.GREATEST: _all(max),
}
