"""Interval analysis of a bundle's trees: proves that no evaluation can fault, or names the place where one could.

Theory: every expression lies in an interval that follows from the channels' declared ranges and the registers' ranges.
A register's range is a claim; that each store stays inside it is what proves the claim, by induction over evaluations.
A condition that was met narrows what it compared (facts) until a register it mentions is stored to again.

A tree stands in many places, since a variable is written out wherever it is named, and what decides is looked at again to
narrow what follows. So a tree is looked at once in each context, which is what is known of its own parts: the work grows
with the number of trees, not with the paths through them.

It walks what the device will run, the registers of stateful functions included, not what the author wrote. Sensor
arithmetic must stay within +-2**30, where a 32-bit MicroPython allocates nothing; only times may leave it.

Source: rules/SPEC.md sections 4 and 6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocol.cbor import Simple
from rules import grammar as g
from rules.limits import product_max, value_max

SMALL_MAX = (1 << 30) - 1

_FLIPPED = {g.BELOW: g.ABOVE, g.ABOVE: g.BELOW, g.AT_MOST: g.AT_LEAST, g.AT_LEAST: g.AT_MOST}
_OPPOSITE = {
    **{g.BELOW: g.AT_LEAST, g.AT_LEAST: g.BELOW, g.ABOVE: g.AT_MOST, g.AT_MOST: g.ABOVE},
    **{g.EQUAL: g.UNEQUAL, g.UNEQUAL: g.EQUAL},
}


@dataclass(frozen=True, slots=True)
class Range:
    """low..high, both included. is_time: made from ticks. is_nonzero: 0 is known not to occur."""

    low: int
    high: int
    is_time: bool = False
    is_nonzero: bool = False

    def has_zero(self) -> bool:
        """Return whether the value can be 0."""
        return self.low <= 0 <= self.high and not self.is_nonzero


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be proved, at which tree. code: a diagnostic code."""

    code: str
    message: str
    fix: str
    tree: Any


Facts = dict[str, tuple[Range, frozenset[int]]]
Context = frozenset[tuple[str, tuple[Range, frozenset[int]]]]
_NOW = Range(0, value_max, is_time=True)


class Bounds:
    """The analysis of one rule. channels: range of each input as the rule can see it; registers: claimed ranges.

    Registers may be added while it is in use; ranges, trees and facts that it was given may not change any more.
    """

    def __init__(
        self, channels: list[Range], registers: list[Range], report: Callable[[Problem], None] | None = None
    ):
        self.channels = channels
        self.registers = registers
        self._report: Callable[[Problem], None] = report or _pass_over
        # Narrowing looks in silence at what was looked at before.
        self._quiet: Bounds = self if report is None else Bounds(channels, registers)
        # Both keep the tree beside what is known of it, so that no other tree takes its number.
        self._texts: dict[int, tuple[Any, str]] = {}
        self._seen: dict[tuple[int, Context], tuple[Any, Any]] = {}

    def _once(self, look: Callable[[Any, Facts], Any], tree: Any, facts: Facts) -> Any:
        """Return look(tree, facts), from memory where the same tree was seen in the same context."""
        key = (id(tree), self._context(tree, facts))
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = (tree, look(tree, facts))
        return seen[1]

    def _context(self, tree: Any, facts: Facts) -> Context:
        """Return what facts say of a tree and its parts."""
        text = self._text(tree) if facts else ""
        return frozenset(item for item in facts.items() if item[0] in text)

    def _text(self, tree: Any) -> str:
        found = self._texts.get(id(tree))
        if found is None:
            found = self._texts[id(tree)] = (tree, repr(tree))
        return found[1]

    def body(self, statements: list[Any], facts: Facts) -> Facts:
        """Check every statement in order and return what is known afterwards."""
        for statement in statements:
            facts = self._statement(statement, facts)
        return facts

    def _statement(self, node: list[Any], facts: Facts) -> Facts:
        kind = node[0]
        if kind == g.IF:
            return self._if(node, facts)
        if kind == g.ACT:
            self._bounded(node[2], self.number(node[2], facts))
            return _without(facts, {node[3]}) if len(node) == 4 else facts
        if kind == g.SET:
            stored = self._store(node, node[1], 1, self.number(node[2], facts))
            kept = _without(facts, {node[1]})
            key = repr(Simple(g.register_variable(node[1])))
            return {**kept, key: (stored, frozenset({node[1]}))}
        self._index(node, node[2], self.number(node[3], facts))
        self._store(node, node[1], node[2], self.number(node[4], facts))
        return _without(facts, set(range(node[1], node[1] + node[2])))

    def _if(self, node: list[Any], facts: Facts) -> Facts:
        self.truth(node[1], facts)
        self.body(node[2], self._met(node[1], True, facts))
        changed = _stored_in(node[2])
        if len(node) == 4:
            self.body(node[3], self._met(node[1], False, facts))
            changed |= _stored_in(node[3])
        return _without(facts, changed)

    def _store(self, tree: Any, base: int, count: int, value: Range) -> Range:
        value = self._bounded(tree, value)
        for register in range(base, base + count):
            claimed = self.registers[register]
            if value.low < claimed.low or value.high > claimed.high:
                message = (
                    f"the value lies in {value.low}..{value.high}, outside {claimed.low}..{claimed.high}"
                )
                self._report(
                    Problem("rules-range", message, "widen range, or limit it with math.least", tree)
                )
                return claimed
        return value

    def _bounded(self, tree: Any, value: Range) -> Range:
        if value.low < -value_max or value.high > value_max:
            message = f"the value lies in {value.low}..{value.high}, beyond +-{value_max}"
            self._report(
                Problem("rules-overflow", message, "limit it with math.least or math.greatest", tree)
            )
            return Range(-value_max, value_max, is_time=value.is_time)
        return value

    def _index(self, tree: Any, count: int, index: Range) -> None:
        if index.low < 0 or index.high >= count:
            message = f"the index lies in {index.low}..{index.high}, outside 0..{count - 1}"
            self._report(Problem("rules-index", message, "limit the index", tree))

    # ---- expressions

    def number(self, tree: Any, facts: Facts) -> Range:
        """Return the interval of an int expression; what cannot be proved is reported."""
        if isinstance(tree, int):
            return Range(tree, tree)
        found: Range = self._once(self._number, tree, facts)
        return found

    def _number(self, tree: Any, facts: Facts) -> Range:
        found = self._variable(tree) if isinstance(tree, Simple) else self._operation(tree, facts)
        known = facts.get(self._text(tree)) if facts else None
        return found if known is None else _meet(found, known[0])

    def _variable(self, tree: Simple) -> Range:
        kind, index = g.variable(tree.value)
        if kind == "now":
            return _NOW
        return self.channels[index] if kind == "input" else self.registers[index]

    def _operation(self, tree: list[Any], facts: Facts) -> Range:
        operator = tree[0]
        if operator == g.AGE:
            return _NOW
        if operator == g.READ_AT:
            self._index(tree, tree[2], self.number(tree[3], facts))
            return _hull(self.registers[tree[1] : tree[1] + tree[2]])
        if operator == g.CHOOSE:
            decided = self.truth(tree[1], facts)
            yes = self.number(tree[2], self._met(tree[1], True, facts))
            no = self.number(tree[3], self._met(tree[1], False, facts))
            return _hull([yes, no]) if decided is None else (yes if decided else no)
        parts = [self.number(part, facts) for part in tree[1:]]
        return self._small(tree, self._combined(tree, operator, parts))

    def _combined(self, tree: list[Any], operator: int, parts: list[Range]) -> Range:
        is_time = any(part.is_time for part in parts)
        if operator == g.ADD:
            return Range(sum(p.low for p in parts), sum(p.high for p in parts), is_time)
        if operator == g.SUBTRACT:
            return Range(parts[0].low - parts[1].high, parts[0].high - parts[1].low, is_time)
        if operator == g.NEGATE:
            return Range(-parts[0].high, -parts[0].low, is_time, parts[0].is_nonzero)
        if operator == g.ABSOLUTE:
            return _absolute(parts[0])
        if operator == g.LEAST:
            return Range(min(p.low for p in parts), min(p.high for p in parts), is_time)
        if operator == g.GREATEST:
            return Range(max(p.low for p in parts), max(p.high for p in parts), is_time)
        if operator == g.MULTIPLY:
            return self._product(tree, parts[0], parts[1])
        return self._division(tree, operator, parts[0], parts[1])

    def _product(self, tree: list[Any], left: Range, right: Range) -> Range:
        corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        low, high = min(corners), max(corners)
        if max(-low, high) > product_max:
            message = f"the product lies in {low}..{high}, beyond +-2**48"
            self._report(Problem("rules-overflow", message, "multiply by less, or divide before", tree))
            low, high = max(low, -product_max), min(high, product_max)
        return Range(low, high, left.is_time or right.is_time)

    def _division(self, tree: list[Any], operator: int, left: Range, right: Range) -> Range:
        if right.has_zero():
            message = f"the divisor lies in {right.low}..{right.high}, so it can be 0"
            fix = "ask first: divisor != 0 ? a / divisor : 0"
            self._report(Problem("rules-division", message, fix, tree))
        is_time = left.is_time or right.is_time
        if operator == g.REMAINDER:
            most = max(abs(right.low), abs(right.high), 1) - 1
            return Range(
                max(-most, left.low) if left.low < 0 else 0,
                min(most, left.high) if left.high > 0 else 0,
                is_time,
            )
        divisors = {d for d in (right.low, right.high, -1, 1) if d and right.low <= d <= right.high} or {1}
        quotients = [_towards_zero(a, d) for a in (left.low, left.high) for d in divisors]
        if left.low <= 0 <= left.high:
            quotients.append(0)
        return Range(min(quotients), max(quotients), is_time)

    def _small(self, tree: Any, value: Range) -> Range:
        if value.is_time or (-SMALL_MAX <= value.low and value.high <= SMALL_MAX):
            return value
        message = f"the result lies in {value.low}..{value.high}, beyond +-2**30"
        self._report(
            Problem("rules-overflow", message, "use fewer decimal places, or smaller factors or ranges", tree)
        )
        return Range(max(value.low, -SMALL_MAX), min(value.high, SMALL_MAX))

    # ---- conditions

    def truth(self, tree: Any, facts: Facts) -> bool | None:
        """Return what a bool expression always is, or None if it can be either; what cannot be proved is reported."""
        if isinstance(tree, bool):
            return tree
        found: bool | None = self._once(self._truth, tree, facts)
        return found

    def _truth(self, tree: Any, facts: Facts) -> bool | None:
        operator = tree[0]
        if operator in (g.GOOD, g.HAS):
            return None
        if operator == g.NOT:
            inner = self.truth(tree[1], facts)
            return None if inner is None else not inner
        if operator in (g.AND, g.OR):
            return self._joined(tree, operator == g.AND, facts)
        if operator == g.CHOOSE:
            self.truth(tree[1], facts)
            yes = self.truth(tree[2], self._met(tree[1], True, facts))
            no = self.truth(tree[3], self._met(tree[1], False, facts))
            return yes if yes == no else None
        if operator == g.IN_LIST:
            self.number(tree[1], facts)
            return None
        if is_bool(tree[1]):
            left, right = self.truth(tree[1], facts), self.truth(tree[2], facts)
            return None if left is None or right is None else (left == right) == (operator == g.EQUAL)
        return _compared(operator, self.number(tree[1], facts), self.number(tree[2], facts))

    def _joined(self, tree: list[Any], is_and: bool, facts: Facts) -> bool | None:
        found: list[bool | None] = []
        for part in tree[1:]:
            found.append(self.truth(part, facts))
            facts = self._met(part, is_and, facts)
        if (not is_and) in found:
            return not is_and
        return None if None in found else is_and

    def _met(self, tree: Any, truth: bool, facts: Facts) -> Facts:
        """Return what is known once a condition is met (truth) or not."""
        if isinstance(tree, bool):
            return facts
        operator = tree[0]
        if operator == g.NOT:
            return self._met(tree[1], not truth, facts)
        if operator == (g.AND if truth else g.OR):
            for part in tree[1:]:
                facts = self._met(part, truth, facts)
            return facts
        if operator not in _OPPOSITE or is_bool(tree[1]):
            return facts
        return {**facts, **self._sides(tree, operator if truth else _OPPOSITE[operator], facts)}

    def _sides(self, tree: list[Any], operator: int, facts: Facts) -> Facts:
        found: Facts = {}
        for subject, other, seen_as in (
            (tree[1], tree[2], operator),
            (tree[2], tree[1], _FLIPPED.get(operator, operator)),
        ):
            if not isinstance(subject, int):
                now, limit = self._quiet.number(subject, facts), self._quiet.number(other, facts)
                found[self._text(subject)] = (
                    _narrowed(now, seen_as, limit),
                    frozenset(registers_of(subject)),
                )
        return found


def is_bool(tree: Any) -> bool:
    """Return whether a well-typed tree is a bool expression."""
    if isinstance(tree, list):
        return (
            is_bool(tree[2])
            if tree[0] == g.CHOOSE
            else (g.EQUAL <= tree[0] <= g.NOT or tree[0] in (g.GOOD, g.HAS))
        )
    return isinstance(tree, bool)


def registers_of(tree: Any) -> set[int]:
    """Return the registers that an expression reads."""
    if isinstance(tree, Simple):
        kind, index = g.variable(tree.value)
        return {index} if kind == "register" else set()
    if not isinstance(tree, list):
        return set()
    if tree[0] == g.READ_AT:
        return set(range(tree[1], tree[1] + tree[2])) | registers_of(tree[3])
    parts = tree[1:2] if tree[0] == g.IN_LIST else [] if tree[0] in (g.GOOD, g.AGE, g.HAS) else tree[1:]
    return set().union(*[registers_of(part) for part in parts])


def _stored_in(body: list[Any]) -> set[int]:
    found: set[int] = set()
    for node in body:
        if node[0] == g.SET:
            found.add(node[1])
        elif node[0] == g.SET_AT:
            found |= set(range(node[1], node[1] + node[2]))
        elif node[0] == g.IF:
            for part in node[2:]:
                found |= _stored_in(part)
        elif len(node) == 4:
            found.add(node[3])
    return found


def _without(facts: Facts, changed: set[int]) -> Facts:
    return {key: known for key, known in facts.items() if not known[1] & changed}


def _hull(ranges: list[Range]) -> Range:
    return Range(min(r.low for r in ranges), max(r.high for r in ranges), any(r.is_time for r in ranges))


def _meet(left: Range, right: Range) -> Range:
    low, high = max(left.low, right.low), min(left.high, right.high)
    # Facts that contradict each other: nothing ever comes here, so anything may be said of it.
    return left if low > high else Range(low, high, left.is_time, left.is_nonzero or right.is_nonzero)


def _narrowed(now: Range, operator: int, limit: Range) -> Range:
    low, high, is_nonzero = now.low, now.high, now.is_nonzero
    if operator in (g.BELOW, g.AT_MOST, g.EQUAL):
        high = min(high, limit.high - (operator == g.BELOW))
    if operator in (g.ABOVE, g.AT_LEAST, g.EQUAL):
        low = max(low, limit.low + (operator == g.ABOVE))
    if operator == g.UNEQUAL and limit.low == limit.high:
        low += low == limit.low
        high -= high == limit.low
        is_nonzero = is_nonzero or limit.low == 0
    return now if low > high else Range(low, high, now.is_time, is_nonzero)


def _absolute(value: Range) -> Range:
    low = 0 if value.low <= 0 <= value.high else min(abs(value.low), abs(value.high))
    return Range(low, max(abs(value.low), abs(value.high)), value.is_time, value.is_nonzero)


def _towards_zero(left: int, right: int) -> int:
    size = abs(left) // abs(right)
    return size if (left >= 0) == (right > 0) else -size


def _compared(operator: int, left: Range, right: Range) -> bool | None:
    if operator in (g.EQUAL, g.UNEQUAL):
        if left.high < right.low or right.high < left.low:
            return operator == g.UNEQUAL
        return (operator == g.EQUAL) if left.low == left.high == right.low == right.high else None
    if operator in (g.ABOVE, g.AT_MOST):
        return _compared(g.BELOW if operator == g.ABOVE else g.AT_LEAST, right, left)
    always, never = left.high < right.low, left.low >= right.high
    below = True if always else False if never else None
    return below if operator == g.BELOW or below is None else not below


def _pass_over(_problem: Problem) -> None:
    """Whom a problem is told that nobody asked for."""
