"""Types, units and scales: turns a CEL expression into a tree of the bundle, and reports every mistake with its place.

Kinds: bool, int, decimal (an integer at a scale, as channels are), duration (ticks). Decimals are exact: a constant beside
a reading is brought to the reading's scale, rounded towards the side that leaves the comparison's meaning as it was.
None stands for a value that is wrong already; whoever meets it says nothing more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

from protocol.diagnostic import Diagnostic, suggest
from rules import grammar as g
from rules.authoring import cel
from rules.authoring.bounds import SMALL_MAX, is_bool
from rules.authoring.source import Node, decimals, ticks
from rules.limits import operands_max, value_max

_COMPARE = {"<": g.BELOW, "<=": g.AT_MOST, ">": g.ABOVE, ">=": g.AT_LEAST, "==": g.EQUAL, "!=": g.UNEQUAL}
_MIRROR = {
    **{g.BELOW: g.ABOVE, g.ABOVE: g.BELOW, g.AT_MOST: g.AT_LEAST, g.AT_LEAST: g.AT_MOST},
    **{g.EQUAL: g.EQUAL, g.UNEQUAL: g.UNEQUAL},
}
_ARITHMETIC = {"+": g.ADD, "-": g.SUBTRACT, "*": g.MULTIPLY, "/": g.DIVIDE, "%": g.REMAINDER}
# A bundle's bytes and its nesting are less than this (rules/SPEC.md section 8).
_NODES_MAX = 4096
_DEPTH_MAX = 24
_NUMBERS = ("int", "decimal", "duration")


@dataclass(frozen=True, slots=True)
class Value:
    """A typed expression. tree: of the bundle, at the scale; of a constant, None. constant: its exact value, or None.

    unit: None where none is known. channel: which one, if it is nothing else.
    """

    kind: str
    tree: Any = None
    scale: int = 0
    unit: str | None = None
    constant: Fraction | bool | None = None
    channel: int | None = None


class Functions(Protocol):
    """What gives meaning to stateful calls: stateful.py."""

    names: tuple[str, ...]

    def call(self, check: "Check", call: cel.Call) -> Value | None:
        """Return the value of a stateful call."""


class Check:
    """Checks the expressions of one rule. names: name -> Value, or a function that gives it at its first use."""

    PLAIN = ("age", "duration", "good", "has", "math.abs", "math.greatest", "math.least")

    def __init__(
        self,
        names: dict[str, Value | Callable[[], Value | None]],
        functions: Functions,
        report: Callable[[Diagnostic], None],
    ):
        self.names = names
        self.functions = functions
        self.report = report
        self.read_channels: set[int] = set()
        # Trees keep their identity, so that what the analysis finds can be shown where it was written.
        self.origin: dict[int, tuple[Any, Node, cel.Expr]] = {}
        self.node: Node | None = None
        self._sizes: dict[int, tuple[int, int]] = {}

    def expression(self, node: Node, wanted: tuple[str, ...] = ()) -> Value | None:
        """Return the value of the CEL text in a node; wanted: the kinds that will do."""
        if node.kind != "text":
            self.report(node.mistake("rules-wrong-value", "a CEL expression is needed here"))
            return None
        try:
            tree = cel.parse(node.text)
        except cel.CelError as error:
            self.report(node.mistake_at(error.code, error.message, error.start, error.stop, error.fix))
            return None
        outer, self.node = self.node, node
        value = self.value(tree)
        if value is not None and wanted and value.kind not in wanted:
            value = self.wrong(
                tree, "rules-type", f"this is {_a(value.kind)}, and {_a(' or '.join(wanted))} is needed"
            )
        self.node = outer
        return value

    def stored(self, node: Node, kinds: tuple[str, ...], scale: int) -> Any:
        """Return the int tree at a scale of the CEL text in a node, a bool as 0 or 1; None after a report."""
        value = self.expression(node, kinds)
        if value is None:
            return None
        if isinstance(value.constant, bool):
            return int(value.constant)
        at, outer, self.node = cel.Expr(0, len(node.text)), self.node, node
        if value.kind == "bool":
            tree = self.made(at, [g.CHOOSE, value.tree, 1, 0])
        else:
            tree = self.at_scale(at, value, scale)
        self.node = outer
        return tree

    def wrong(self, at: cel.Expr, code: str, message: str, fix: str | None = None) -> Any:
        """Report a mistake at a part of the expression; return None, so that it can stand for the value."""
        assert self.node is not None
        self.report(self.node.mistake_at(code, message, at.start, at.stop, fix))
        return None

    def value(self, tree: cel.Expr) -> Value | None:
        """Return the value of a part of the expression, or None if it is wrong."""
        if isinstance(tree, cel.Literal):
            return self._literal(tree)
        if isinstance(tree, cel.Name):
            return self._name(tree)
        if isinstance(tree, cel.Unary):
            return self._unary(tree)
        if isinstance(tree, cel.Binary):
            return self._binary(tree)
        if isinstance(tree, cel.Choice):
            return self._choice(tree)
        if isinstance(tree, cel.Call):
            return self._call(tree)
        return self.wrong(tree, "rules-type", "a list stands only after in")

    def _literal(self, tree: cel.Literal) -> Value | None:
        if tree.kind == "text":
            fix = "a duration is written duration(...)" if ticks(str(tree.value)) is not None else None
            return self.wrong(tree, "rules-not-supported", "text is not part of the rules' CEL", fix)
        if isinstance(tree.value, bool):
            return Value("bool", tree.value, constant=tree.value)
        assert isinstance(tree.value, (int, Fraction))
        return Value(tree.kind, constant=Fraction(tree.value))

    def _name(self, tree: cel.Name) -> Value | None:
        found = self.names.get(tree.name)
        if found is None:
            near = suggest(tree.name, self.names)
            fix = f"did you mean {near}?" if near else f"known are: {', '.join(self.names)}"
            if tree.name in self.PLAIN or tree.name in self.functions.names:
                fix = f"{tree.name} is a function: {tree.name}(...)"
            return self.wrong(tree, "rules-unknown-name", f"nothing is called {tree.name}", fix)
        value = found() if callable(found) else found
        if value is not None and value.channel is not None:
            self.read_channels.add(value.channel)
        return value

    def made(self, at: cel.Expr, tree: Any) -> Any:
        """Return tree, and remember where it was written."""
        if not isinstance(tree, list) or self.node is None:
            return tree
        sizes = [self._sizes.get(id(part), (1, 1)) for part in tree[1:]]
        size, depth = 1 + sum(size for size, _ in sizes), 1 + max(depth for _, depth in sizes)
        if size > _NODES_MAX or depth > _DEPTH_MAX:
            # Variables that name variables grow fast; nobody walks what no device could hold.
            fix = "split it up, and remember parts in state"
            self.wrong(
                at, "rules-too-large", "with its variables written out this is too large for a device", fix
            )
            return False if is_bool(tree) else 0
        self._sizes[id(tree)] = (size, depth)
        self.origin[id(tree)] = (tree, self.node, at)
        return tree

    # ---- operators

    def _unary(self, tree: cel.Unary) -> Value | None:
        value = self.value(tree.operand)
        if value is None:
            return None
        if tree.operator == "!":
            if value.kind != "bool":
                return self.wrong(tree.operand, "rules-type", f"! needs a bool, and this is {_a(value.kind)}")
            if isinstance(value.constant, bool):
                return _truth(not value.constant)
            return Value("bool", self.made(tree, [g.NOT, value.tree]))
        if value.kind == "bool":
            return self.wrong(tree.operand, "rules-type", "- needs a number, and this is a bool")
        if value.constant is not None:
            return replace(value, constant=Fraction(-value.constant))
        return replace(value, tree=self.made(tree, [g.NEGATE, value.tree]), channel=None)

    def _binary(self, tree: cel.Binary) -> Value | None:
        if tree.operator == "in":
            return self._in(tree)
        left, right = self.value(tree.left), self.value(tree.right)
        if left is None or right is None:
            return None
        if tree.operator in ("&&", "||"):
            return self._joined(tree, left, right)
        if tree.operator in _COMPARE:
            return self._compare(tree, left, right)
        return self._arithmetic(tree, left, right)

    def _joined(self, tree: cel.Binary, left: Value, right: Value) -> Value | None:
        for part, value in ((tree.left, left), (tree.right, right)):
            if value.kind != "bool":
                return self.wrong(
                    part, "rules-type", f"{tree.operator} needs bools, and this is {_a(value.kind)}"
                )
        operator = g.AND if tree.operator == "&&" else g.OR
        neutral = operator == g.AND
        for one, other in ((left, right), (right, left)):
            if isinstance(one.constant, bool):
                return other if one.constant == neutral else _truth(not neutral)
        return Value("bool", self.made(tree, _flat(operator, left.tree, right.tree)))

    def _compare(self, tree: cel.Binary, left: Value, right: Value) -> Value | None:
        operator = _COMPARE[tree.operator]
        if not self._same_kind(tree, left, right):
            return None
        if left.kind == "bool":
            return self._compare_bools(tree, operator, left, right)
        if left.constant is not None and right.constant is not None:
            assert not isinstance(left.constant, bool)
            return _truth(_compared(operator, left.constant, Fraction(right.constant)))
        if left.constant is not None:
            left, right, operator = right, left, _MIRROR[operator]
        if right.constant is not None:
            raw = self._rounded(tree, operator, Fraction(right.constant), left)
            return None if raw is None else Value("bool", self.made(tree, [operator, left.tree, raw]))
        left, right = self._aligned(tree, left, right)
        return Value("bool", self.made(tree, [operator, left.tree, right.tree]))

    def _compare_bools(self, tree: cel.Binary, operator: int, left: Value, right: Value) -> Value | None:
        if operator not in (g.EQUAL, g.UNEQUAL):
            return self.wrong(tree, "rules-type", f"{tree.operator} compares numbers, and these are bools")
        if left.constant is not None and right.constant is not None:
            return _truth((left.constant == right.constant) == (operator == g.EQUAL))
        return Value("bool", self.made(tree, [operator, left.tree, right.tree]))

    def _rounded(self, tree: cel.Binary, operator: int, constant: Fraction, value: Value) -> int | None:
        """Return the raw constant c' for which "raw operator c'" means what "value operator constant" says."""
        exact = constant / Fraction(10) ** value.scale
        if operator in (g.EQUAL, g.UNEQUAL) and exact.denominator != 1:
            step = _decimal(Fraction(10) ** value.scale)
            message = (
                f"this is never equal: it comes in steps of {step}, {_decimal(constant)} lies between two"
            )
            return self.wrong(tree, "rules-precision", message, "compare with < or >")
        rounded = math.ceil(exact) if operator in (g.BELOW, g.AT_LEAST) else math.floor(exact)
        return self._fits(tree, rounded, value.kind)

    def _fits(self, tree: cel.Expr, raw: int, kind: str) -> int | None:
        most = value_max if kind == "duration" else SMALL_MAX
        if abs(raw) > most:
            message = f"the constant becomes {raw} in raw units, beyond +-{most}"
            return self.wrong(
                tree, "rules-overflow", message, "use a smaller constant or fewer decimal places"
            )
        return raw

    def _same_kind(self, tree: cel.Expr, left: Value, right: Value) -> bool:
        if left.kind != right.kind:
            fix = None
            for value in (left, right):
                if value.kind == "int" and value.constant is not None:
                    other = right if value is left else left
                    if other.kind == "decimal":
                        fix = f"write {value.constant}.0"
                    elif other.kind == "duration":
                        fix = f'write duration("{value.constant}s")'
            self.wrong(tree, "rules-type", f"{_a(left.kind)} and {_a(right.kind)} do not go together", fix)
            return False
        if left.unit and right.unit and left.unit != right.unit:
            self.wrong(tree, "rules-unit", f"{left.unit} and {right.unit} are different units")
            return False
        return True

    def _arithmetic(self, tree: cel.Binary, left: Value, right: Value) -> Value | None:
        for part, value in ((tree.left, left), (tree.right, right)):
            if value.kind == "bool":
                return self.wrong(part, "rules-type", f"{tree.operator} needs numbers, and this is a bool")
        if tree.operator in ("/", "%"):
            return self._division(tree, left, right)
        if tree.operator == "*":
            return self._product(tree, left, right)
        if not self._same_kind(tree, left, right):
            return None
        if left.constant is not None and right.constant is not None:
            total = left.constant + (right.constant if tree.operator == "+" else -right.constant)
            return replace(left, constant=Fraction(total))
        left, right = self._aligned(tree, left, right)
        operator = _ARITHMETIC[tree.operator]
        made = (
            _flat(operator, left.tree, right.tree) if operator == g.ADD else [operator, left.tree, right.tree]
        )
        return Value(left.kind, self.made(tree, made), left.scale, left.unit or right.unit)

    def _product(self, tree: cel.Binary, left: Value, right: Value) -> Value | None:
        kinds = {left.kind, right.kind}
        if ("duration" in kinds and kinds != {"int", "duration"}) or kinds == {"int", "decimal"}:
            self._same_kind(tree, left, right)
            if left.kind == right.kind:
                self.wrong(tree, "rules-type", "a duration is multiplied by an int")
            return None
        kind = "duration" if "duration" in kinds else left.kind
        unit = f"{left.unit} {right.unit}" if left.unit and right.unit else left.unit or right.unit
        if left.constant is not None and right.constant is not None:
            return Value(kind, constant=Fraction(left.constant * right.constant), unit=unit)
        left, right = self._own_scale(tree, left), self._own_scale(tree, right)
        if left.tree is None or right.tree is None:
            return None
        made = self.made(tree, [g.MULTIPLY, left.tree, right.tree])
        return Value(kind, made, left.scale + right.scale, unit)

    def _division(self, tree: cel.Binary, left: Value, right: Value) -> Value | None:
        if "decimal" in (left.kind, right.kind):
            fix = "multiply the other side instead: a > b * 1.5"
            return self.wrong(
                tree, "rules-type", f"{tree.operator} is for ints: a decimal result is not exact", fix
            )
        kind = "int"
        if "duration" in (left.kind, right.kind):
            if left.kind != "duration":
                return self.wrong(tree, "rules-type", f"an int {tree.operator} a duration has no meaning")
            kind = "duration" if right.kind == "int" or tree.operator == "%" else "int"
        if right.constant == 0:
            return self.wrong(tree, "rules-division", "this divides by 0", "divide by something else")
        unit = left.unit if right.unit is None or tree.operator == "%" else f"{left.unit or 1}/{right.unit}"
        if left.constant is not None and right.constant is not None:
            return Value(
                kind, constant=Fraction(_divided(tree.operator, int(left.constant), int(right.constant)))
            )
        left, right = self._own_scale(tree, left), self._own_scale(tree, right)
        if left.tree is None or right.tree is None:
            return None
        return Value(kind, self.made(tree, [_ARITHMETIC[tree.operator], left.tree, right.tree]), unit=unit)

    def _choice(self, tree: cel.Choice) -> Value | None:
        condition, yes, no = self.value(tree.condition), self.value(tree.yes), self.value(tree.no)
        if condition is not None and condition.kind != "bool":
            fix = "compare it: ... != 0 ?"
            return self.wrong(
                tree.condition, "rules-type", f"? needs a bool, and this is {_a(condition.kind)}", fix
            )
        if condition is None or yes is None or no is None or not self._same_kind(tree, yes, no):
            return None
        if isinstance(condition.constant, bool):
            return yes if condition.constant else no
        if yes.kind == "bool":
            return Value("bool", self.made(tree, [g.CHOOSE, condition.tree, yes.tree, no.tree]))
        yes, no = self._aligned(tree, yes, no)
        if yes.tree is None or no.tree is None:
            return None
        made = self.made(tree, [g.CHOOSE, condition.tree, yes.tree, no.tree])
        return Value(yes.kind, made, yes.scale, yes.unit or no.unit)

    def _in(self, tree: cel.Binary) -> Value | None:
        left = self.value(tree.left)
        if not isinstance(tree.right, cel.Listing):
            return self.wrong(tree.right, "rules-type", "in is followed by a list of constants: [1, 2, 3]")
        items = [self.value(item) for item in tree.right.items]
        if left is None or None in items:
            return None
        if not items or len(items) > operands_max:
            return self.wrong(
                tree.right, "rules-type", f"a list has 1 to {operands_max} members, not {len(items)}"
            )
        if left.kind not in _NUMBERS:
            return self.wrong(tree.left, "rules-type", "in looks for a number, and this is a bool")
        members = []
        for part, item in zip(tree.right.items, items, strict=True):
            assert item is not None
            if not self._same_kind(part, left, item):
                return None
            if item.constant is None:
                return self.wrong(part, "rules-type", "a member of a list is a constant")
            members.append(Fraction(item.constant))
        return self._among(tree, left, members)

    def _among(self, tree: cel.Binary, left: Value, members: list[Fraction]) -> Value | None:
        if left.constant is not None:
            return _truth(left.constant in members)
        raws = [member / Fraction(10) ** left.scale for member in members]
        if any(raw.denominator != 1 for raw in raws):
            return self.wrong(
                tree.right, "rules-precision", "a member lies between two steps of what is looked for"
            )
        if any(self._fits(tree.right, int(raw), left.kind) is None for raw in raws):
            return None
        return Value("bool", self.made(tree, [g.IN_LIST, left.tree, [int(raw) for raw in raws]]))

    # ---- scales

    def at_scale(self, tree: cel.Expr, value: Value, scale: int) -> Any:
        """Return the tree of a number at a scale that is not coarser than its own, or None after a report."""
        if value.constant is not None:
            raw = Fraction(value.constant) / Fraction(10) ** scale
            if raw.denominator != 1:
                message = f"{_decimal(Fraction(value.constant))} has more decimal places than {-scale}"
                return self.wrong(tree, "rules-precision", message, "round it yourself")
            return self._fits(tree, int(raw), value.kind)
        if value.scale == scale:
            return value.tree
        if value.scale < scale:
            message = f"the value has {-value.scale} decimal places, and {-scale} are kept here"
            return self.wrong(tree, "rules-precision", message, "use fewer decimal places")
        return self.made(tree, [g.MULTIPLY, value.tree, 10 ** (value.scale - scale)])

    def _own_scale(self, tree: cel.Expr, value: Value) -> Value:
        if value.constant is None or value.kind == "bool":
            return value
        scale = -decimals(Fraction(value.constant)) if value.kind == "decimal" else 0
        return replace(value, tree=self.at_scale(tree, value, scale), scale=scale)

    def _aligned(self, tree: cel.Expr, left: Value, right: Value) -> tuple[Value, Value]:
        left, right = self._own_scale(tree, left), self._own_scale(tree, right)
        scale = min(left.scale, right.scale)
        # A wrong constant was reported; 0 stands in for it so that the rest can be looked at.
        trees = [
            self.at_scale(tree, value, scale) if value.tree is not None else None for value in (left, right)
        ]
        both = [0 if found is None else found for found in trees]
        return (
            replace(left, tree=both[0], scale=scale, constant=None),
            replace(right, tree=both[1], scale=scale, constant=None),
        )

    # ---- calls

    def _call(self, tree: cel.Call) -> Value | None:
        if tree.name in self.functions.names:
            return self.functions.call(self, tree)
        if tree.name not in self.PLAIN:
            near = suggest(tree.name, [*self.PLAIN, *self.functions.names])
            fix = f"did you mean {near}?" if near else "docs/rules/language.md lists the functions"
            at = cel.Expr(tree.start, tree.name_stop)
            return self.wrong(at, "rules-unknown-name", f"there is no function {tree.name}", fix)
        if tree.name.startswith("math."):
            return self._math(tree)
        if not self.has_arguments(tree, 1, 1):
            return None
        if tree.name == "duration":
            count = self.duration(tree.arguments[0])
            return None if count is None else Value("duration", constant=Fraction(count))
        return self._about_channel(tree)

    def has_arguments(self, tree: cel.Call, least: int, most: int) -> bool:
        """Return whether a call has so many arguments; report it if not."""
        count = len(tree.arguments)
        if least <= count <= most:
            return True
        wanted = str(least) if least == most else f"{least} to {most}"
        self.wrong(
            tree, "rules-call", f"{tree.name} takes {wanted} arguments, not {count}", _usage(tree.name)
        )
        return False

    def _about_channel(self, tree: cel.Call) -> Value | None:
        argument = tree.arguments[0]
        read = set(self.read_channels)
        value = self.value(argument)
        # Asking about a channel is not reading it.
        self.read_channels = read
        if value is None:
            return None
        if value.channel is None:
            return self.wrong(
                argument, "rules-call", f"{tree.name} is asked about a channel", _usage(tree.name)
            )
        if tree.name == "age":
            return Value("duration", self.made(tree, [g.AGE, value.channel]))
        return Value("bool", self.made(tree, [g.GOOD if tree.name == "good" else g.HAS, value.channel]))

    def _math(self, tree: cel.Call) -> Value | None:
        alone = tree.name == "math.abs"
        if not self.has_arguments(tree, 1 if alone else 2, 1 if alone else operands_max):
            return None
        values = [self.value(argument) for argument in tree.arguments]
        for argument, value in zip(tree.arguments, values, strict=True):
            if value is not None and value.kind == "bool":
                return self.wrong(argument, "rules-type", f"{tree.name} takes numbers, and this is a bool")
        result = values[0]
        if alone and result is not None:
            return self._absolute(tree, result)
        for value in values[1:]:
            if value is None or result is None or not self._same_kind(tree, result, value):
                return None
            result = self._extreme(tree, result, value)
        return result

    def _absolute(self, tree: cel.Call, value: Value) -> Value:
        if value.constant is not None:
            return replace(value, constant=abs(Fraction(value.constant)))
        return replace(value, tree=self.made(tree, [g.ABSOLUTE, value.tree]), channel=None)

    def _extreme(self, tree: cel.Call, left: Value, right: Value) -> Value:
        is_least = tree.name == "math.least"
        if left.constant is not None and right.constant is not None:
            chosen = min(left.constant, right.constant) if is_least else max(left.constant, right.constant)
            return replace(left, constant=chosen)
        left, right = self._aligned(tree, left, right)
        made = self.made(tree, _flat(g.LEAST if is_least else g.GREATEST, left.tree, right.tree))
        return Value(left.kind, made, left.scale, left.unit or right.unit)

    def duration(self, tree: cel.Expr) -> int | None:
        """Return the ticks of a duration written as text, or of a constant duration; None after a report."""
        if isinstance(tree, cel.Literal) and tree.kind == "text":
            count = ticks(str(tree.value))
            if count is None:
                return self.wrong(
                    tree, "rules-wrong-value", f"{tree.value} is no duration", 'write "108s" or "1h30m"'
                )
        else:
            value = self.value(tree)
            if value is None:
                return None
            if value.kind != "duration" or value.constant is None:
                return self.wrong(
                    tree, "rules-type", "a constant duration is needed here", 'write "108s" or "1h30m"'
                )
            count = Fraction(value.constant)
        if count.denominator != 1 or not 0 <= count <= value_max:
            return self.wrong(
                tree, "rules-wrong-value", "a duration is a whole number of 100 ms, at most 13 years"
            )
        return int(count)


def _truth(value: bool) -> Value:
    return Value("bool", value, constant=value)


def _flat(operator: int, left: Any, right: Any) -> list[Any]:
    """Return one operation of many operands where the left one is the same operation already."""
    if isinstance(left, list) and left[0] == operator and len(left) <= operands_max:
        return [*left, right]
    return [operator, left, right]


def _compared(operator: int, left: Fraction, right: Fraction) -> bool:
    return {
        g.BELOW: left < right,
        g.AT_MOST: left <= right,
        g.ABOVE: left > right,
        g.AT_LEAST: left >= right,
        g.EQUAL: left == right,
        g.UNEQUAL: left != right,
    }[operator]


def _divided(operator: str, left: int, right: int) -> int:
    size = abs(left) // abs(right)
    quotient = size if (left >= 0) == (right > 0) else -size
    return quotient if operator == "/" else left - quotient * right


def _decimal(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.12g}"


def _a(kind: str) -> str:
    return f"an {kind}" if kind.startswith("int") else f"a {kind}"


_USAGES = {
    "age": "age(channel)",
    "good": "good(channel)",
    "has": "has(channel)",
    "duration": 'duration("108s")',
    "latch": "latch(set, reset)",
    "held": 'held(condition, "108s")',
    "lag": 'lag(number, 6, "10s")',
    "window.count": 'window.count(condition, 6, "10s")',
}


def _usage(name: str) -> str:
    default = f'{name}(number, 6, "10s")' if name.startswith("window.") else f"{name}(a, b)"
    return f"it is written {_USAGES.get(name, default)}"
