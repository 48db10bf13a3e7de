"""Turns a rule that was read into one Python function, once; the function then runs at the cost of hand-written code.

The text is built only from integers of the tree and the words below, so no bundle can make it say anything else:

    def k(i,a,r,t,g,h,o):       i inputs, a ages, r registers, t rule tick, g channels good now,
                                h channels ever good, o requests
    return c                    how many cells of o were written: action, value, verdict register or -1 for each

    v stored  x product  d quotient  m remainder  n position     (value.py)
    min max abs if else and or not in True False

Evaluation order is Python's: left to right, value before index, branches only when taken.

Source: SPEC.md sections 3 to 6.
"""

from protocol.cbor import Simple
from rules import grammar as g
from rules.value import position, product, quotient, remainder, stored

_INFIX = {
    g.ADD: "+",
    g.SUBTRACT: "-",
    g.EQUAL: "==",
    g.UNEQUAL: "!=",
    g.BELOW: "<",
    g.AT_MOST: "<=",
    g.ABOVE: ">",
    g.AT_LEAST: ">=",
    g.AND: " and ",
    g.OR: " or ",
}
_CALL = {
    g.MULTIPLY: "x",
    g.DIVIDE: "d",
    g.REMAINDER: "m",
    g.ABSOLUTE: "abs",
    g.LEAST: "min",
    g.GREATEST: "max",
}
_VARIABLE = {"input": "i[{}]", "now": "t", "register": "r[{}]"}
_PLACE = "n({},{})+{}"


def kernel(rule):
    """Return the function of a rule from read_bundle; it allocates nothing where integers are 64 bits wide."""
    names = {"v": stored, "x": product, "d": quotient, "m": remainder, "n": position}
    exec(source(rule), names)
    return names["k"]


def source(rule) -> str:
    """Return the text of the function of a rule from read_bundle."""
    lines = ["def k(i,a,r,t,g,h,o):", " c=0"]
    _body(lines, rule.body, " ")
    lines.append(" return c\n")
    return "\n".join(lines)


def _body(lines: list, body: list, indent: str) -> None:
    for node in body:
        _statement(lines, node, indent)


def _statement(lines: list, node: list, indent: str) -> None:
    kind = node[0]
    if kind == g.SET:
        lines.append("{}r[{}]={}".format(indent, node[1], _bounded(node[2])))
    elif kind == g.SET_AT:
        place = _PLACE.format(_text(node[3]), node[2], node[1])
        lines.append("{}r[{}]={}".format(indent, place, _bounded(node[4])))
    elif kind == g.IF:
        lines.append("{}if {}:".format(indent, _text(node[1])))
        _body(lines, node[2], indent + " ")
        if len(node) == 4:
            lines.append(indent + "else:")
            _body(lines, node[3], indent + " ")
    else:
        _act(lines, node, indent)


def _act(lines: list, node: list, indent: str) -> None:
    cells = (str(node[1]), _bounded(node[2]), str(node[3]) if len(node) == 4 else "-1")
    for offset in range(3):
        lines.append("{}o[c+{}]={}".format(indent, offset, cells[offset]))
    lines.append(indent + "c=c+3")


def _bounded(node) -> str:
    # A constant, a variable, an age or a register chosen by index is within bounds already: no call for it.
    plain = not isinstance(node, list) or node[0] in (g.AGE, g.READ_AT)
    return _text(node) if plain else "v({})".format(_text(node))


def _text(node) -> str:
    if isinstance(node, bool):
        return "True" if node else "False"
    if isinstance(node, int):
        return "({})".format(node) if node < 0 else str(node)
    if isinstance(node, Simple):
        kind, index = g.variable(node.value)
        return _VARIABLE[kind].format(index)
    return _operation(node)


def _operation(node: list) -> str:
    operator = node[0]
    if operator in _INFIX:
        return "({})".format(_INFIX[operator].join([_text(part) for part in node[1:]]))
    if operator in _CALL:
        return "{}({})".format(_CALL[operator], ",".join([_text(part) for part in node[1:]]))
    if operator == g.NEGATE:
        return "(-{})".format(_text(node[1]))
    if operator == g.NOT:
        return "(not {})".format(_text(node[1]))
    if operator == g.CHOOSE:
        return "({} if {} else {})".format(_text(node[2]), _text(node[1]), _text(node[3]))
    if operator == g.IN_LIST:
        return "({} in ({},))".format(_text(node[1]), ",".join([_text(part) for part in node[2]]))
    if operator == g.READ_AT:
        return "r[{}]".format(_PLACE.format(_text(node[3]), node[2], node[1]))
    if operator == g.AGE:
        return "a[{}]".format(node[1])
    return "({}&{}!=0)".format("g" if operator == g.GOOD else "h", 1 << node[1])
