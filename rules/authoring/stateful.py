"""Functions with a memory, desugared to integer registers and statements: latch, held, lag, window.min/max/sum/count.

Each is updated once in every evaluation of its rule, wherever in the text it stands, in the order of the text; a branch
that is not taken does not stop it. What an expression reads is the value after this sample's update.

Rings are chosen by period number (now / every), not by counting samples: late, early and missing samples fall into the
period in which they were taken. A window of n periods has n + 1 buckets, because the newest one is never whole: with n it
would span less than it says.

Source: rules/SPEC.md sections 3 to 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protocol.cbor import Simple
from rules import grammar as g
from rules.authoring import cel
from rules.authoring.bounds import SMALL_MAX, Bounds, Range
from rules.authoring.check import Check, Value
from rules.limits import operands_max, value_max

NOW = Simple(g.now_variable())
PERIODS_MAX = operands_max - 1
NEVER = -1
_TICK = Range(0, value_max, is_time=True)
_SINCE = Range(NEVER, value_max, is_time=True)


@dataclass(frozen=True, slots=True)
class Register:
    """One register of a rule: its first value, the range it is proved to keep, and what people call it."""

    name: str
    init: int
    range: Range


class Registers:
    """The registers of one rule, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.rows: list[Register] = []
        self.ranges: list[Range] = []

    def add(self, name: str, init: int, held: Range) -> int:
        """Return the number of a new register."""
        self.rows.append(Register(name, init, held))
        self.ranges.append(held)
        return len(self.rows) - 1


def reading(register: int) -> Simple:
    """Return the expression that reads a register."""
    return Simple(g.register_variable(register))


class Stateful:
    """Desugars the stateful calls of one rule. statements: their updates, in order, to be run before what reads them."""

    names: tuple[str, ...] = (
        "held",
        "lag",
        "latch",
        "window.count",
        "window.max",
        "window.min",
        "window.sum",
    )

    def __init__(
        self, registers: Registers, bounds: Bounds, blind_ticks: int | None, sample_ticks: int | None
    ):
        self.registers = registers
        self.bounds = bounds
        self.blind_ticks = blind_ticks
        self.sample_ticks = sample_ticks
        self.statements: list[list[Any]] = []
        self._holds: list[int] = []
        self._moved: int | None = None
        self._count = 0

    def prologue(self) -> list[list[Any]]:
        """Return what runs first: holds begin anew when nobody looked for longer than blind_ticks."""
        if not self._holds or self.blind_ticks is None:
            return []
        seen = self.registers.add("last evaluation", 0, _TICK)
        forget = [[g.SET, hold, NEVER] for hold in self._holds]
        return [
            [g.IF, [g.ABOVE, [g.SUBTRACT, NOW, reading(seen)], self.blind_ticks], forget],
            [g.SET, seen, NOW],
        ]

    def call(self, check: Check, call: cel.Call) -> Value | None:
        """Return the value of a stateful call, or None after a report."""
        self._count += 1
        make: Callable[[Check, cel.Call], Value | None] = {
            "latch": self._latch,
            "held": self._held,
            "lag": self._lag,
        }.get(call.name, self._window)
        return make(check, call)

    def _label(self, call: cel.Call) -> str:
        return f"{call.name} {self._count}"

    # ---- latch and held

    def _latch(self, check: Check, call: cel.Call) -> Value | None:
        if not check.has_arguments(call, 2, 2):
            return None
        setting, resetting = (_condition(check, argument) for argument in call.arguments)
        if setting is None or resetting is None:
            return None
        kept = self.registers.add(self._label(call), 0, Range(0, 1))
        # Set wins: an alarm is rather raised twice than missed.
        self.statements += [
            [g.IF, resetting.tree, [[g.SET, kept, 0]]],
            [g.IF, setting.tree, [[g.SET, kept, 1]]],
        ]
        return Value("bool", check.made(call, [g.EQUAL, reading(kept), 1]))

    def _held(self, check: Check, call: cel.Call) -> Value | None:
        if not check.has_arguments(call, 2, 2):
            return None
        condition, hold = _condition(check, call.arguments[0]), check.duration(call.arguments[1])
        if condition is None or hold is None:
            return None
        if self.blind_ticks is None:
            fix = "say how often samples come: sample: 36s"
            return check.wrong(call, "rules-missing-key", "held needs to know how often samples come", fix)
        since = self.registers.add(f"{self._label(call)} since", NEVER, _SINCE)
        self._holds.append(since)
        begin = [g.IF, [g.BELOW, reading(since), 0], [[g.SET, since, NOW]]]
        self.statements.append([g.IF, condition.tree, [begin], [[g.SET, since, NEVER]]])
        long_enough = [g.AT_LEAST, [g.SUBTRACT, NOW, reading(since)], hold]
        return Value("bool", check.made(call, [g.AND, [g.AT_LEAST, reading(since), 0], long_enough]))

    # ---- rings

    def _lag(self, check: Check, call: cel.Call) -> Value | None:
        asked = self._ring_arguments(check, call)
        if asked is None:
            return None
        value, periods, every = asked
        held = self.bounds.number(value.tree, {})
        label = self._label(call)
        period = self.registers.add(f"{label} period", NEVER, Range(NEVER, value_max // every, is_time=True))
        start = min(max(0, held.low), held.high)
        latest = self.registers.add(f"{label} latest", start, held)
        slots = [self.registers.add(f"{label} slot {i}", start, held) for i in range(periods)]
        self.statements.append([g.IF, [g.BELOW, reading(period), 0], [[g.SET, latest, value.tree]]])
        # Each period that has ended since keeps what was seen last in it, or before it.
        fill = [
            self._if_entered(period, periods - 1 - i, periods, [g.SET, slots[i], reading(latest)])
            for i in range(periods)
        ]
        self._advance(period, periods, every, fill)
        self.statements.append([g.SET, latest, value.tree])
        index = [g.REMAINDER, reading(period), periods]
        tree = check.made(call, [g.READ_AT, slots[0], periods, index])
        return Value(value.kind, tree, value.scale, value.unit)

    def _window(self, check: Check, call: cel.Call) -> Value | None:
        asked = self._ring_arguments(check, call)
        if asked is None:
            return None
        value, periods, every = asked
        held = self.bounds.number(value.tree, {})
        if call.name in ("window.min", "window.max"):
            return self._extreme(check, call, asked, held)
        samples = self._samples(check, call, every)
        if samples is None:
            return None
        buckets = periods + 1
        most = SMALL_MAX // buckets
        size = max(abs(held.low), abs(held.high))
        if size * samples > most:
            message = f"{samples} samples of up to {size} a period in {buckets} periods leave +-2**30"
            return check.wrong(
                call, "rules-overflow", message, "use a shorter period, fewer periods or decimal places"
            )
        low, high = (0 if held.low >= 0 else -most), most
        place = self._buckets(call, every, buckets, 0, Range(low, high))
        first, index = place[0], place[1]
        total = [g.ADD, [g.READ_AT, first, buckets, index], value.tree]
        # Bounded even if samples come faster than the policy says.
        bounded = [g.GREATEST, low, [g.LEAST, high, total]]
        self.statements.append([g.SET_AT, first, buckets, index, bounded])
        result = check.made(call, [g.ADD, *[reading(first + i) for i in range(buckets)]])
        return Value(value.kind, result, value.scale, None if call.name == "window.count" else value.unit)

    def _extreme(
        self, check: Check, call: cel.Call, asked: tuple[Value, int, int], held: Range
    ) -> Value | None:
        value, periods, every = asked
        operator, empty = (
            (g.LEAST, held.high + 1) if call.name == "window.min" else (g.GREATEST, held.low - 1)
        )
        buckets = periods + 1
        claimed = Range(min(held.low, empty), max(held.high, empty))
        first, index = self._buckets(call, every, buckets, empty, claimed)
        extreme = [operator, [g.READ_AT, first, buckets, index], value.tree]
        self.statements.append([g.SET_AT, first, buckets, index, extreme])
        result = check.made(call, [operator, *[reading(first + i) for i in range(buckets)]])
        return Value(value.kind, result, value.scale, value.unit)

    def _buckets(
        self, call: cel.Call, every: int, buckets: int, empty: int, claimed: Range
    ) -> tuple[int, list[Any]]:
        """Return (first register, index of the newest bucket) of a ring whose buckets were emptied as time moved on."""
        label = self._label(call)
        period = self.registers.add(f"{label} period", NEVER, Range(NEVER, value_max // every, is_time=True))
        slots = [self.registers.add(f"{label} bucket {i}", empty, claimed) for i in range(buckets)]
        emptied = [
            self._if_entered(period, (buckets - i) % buckets, buckets, [g.SET, slots[i], empty])
            for i in range(buckets)
        ]
        self._advance(period, buckets, every, emptied)
        return slots[0], [g.REMAINDER, reading(period), buckets]

    def _advance(self, period: int, size: int, every: int, entered: list[list[Any]]) -> None:
        """Move a ring on to the period of now; entered: what happens to each slot, as far as time has moved."""
        moved, current = self._moved_register(), [g.DIVIDE, NOW, every]
        # Limited from below too: time never goes back, but the proof does not know it.
        since = [g.GREATEST, 0, [g.LEAST, size, [g.SUBTRACT, current, reading(period)]]]
        self.statements += [
            [g.SET, moved, [g.CHOOSE, [g.BELOW, reading(period), 0], size, since]],
            [g.SET, period, current],
            [g.IF, [g.ABOVE, reading(moved), 0], entered],
        ]

    def _if_entered(self, period: int, offset: int, size: int, statement: list[Any]) -> list[Any]:
        back = [g.REMAINDER, [g.ADD, reading(period), offset] if offset else reading(period), size]
        return [g.IF, [g.BELOW, back, reading(self._moved_register())], [statement]]

    def _moved_register(self) -> int:
        """Return the register in which each ring in turn counts the periods that it moves on by."""
        if self._moved is None:
            self._moved = self.registers.add("periods moved", 0, Range(0, operands_max))
        return self._moved

    def _ring_arguments(self, check: Check, call: cel.Call) -> tuple[Value, int, int] | None:
        if not check.has_arguments(call, 3, 3):
            return None
        counted = call.name == "window.count"
        value = _condition(check, call.arguments[0]) if counted else _number(check, call.arguments[0])
        periods, every = check.value(call.arguments[1]), check.duration(call.arguments[2])
        if value is None or periods is None or every is None:
            return None
        if periods.kind != "int" or periods.constant is None or not 1 <= periods.constant <= PERIODS_MAX:
            message = f"the number of periods is a constant, 1 to {PERIODS_MAX}"
            return check.wrong(call.arguments[1], "rules-call", message)
        if every == 0:
            return check.wrong(call.arguments[2], "rules-call", "a period of no time has no samples")
        if counted:
            value = Value("int", [g.CHOOSE, value.tree, 1, 0])
        return value, int(periods.constant), every

    def _samples(self, check: Check, call: cel.Call, every: int) -> int | None:
        if self.sample_ticks is None:
            fix = "say how often samples come: sample: 36s"
            return check.wrong(
                call, "rules-missing-key", f"{call.name} needs to know how often samples come", fix
            )
        return every // self.sample_ticks + 2


def _condition(check: Check, tree: cel.Expr) -> Value | None:
    value = check.value(tree)
    if value is not None and value.kind != "bool":
        return check.wrong(
            tree, "rules-type", f"a condition is needed here, and this is a number ({value.kind})"
        )
    return value


def _number(check: Check, tree: cel.Expr) -> Value | None:
    value = check.value(tree)
    if value is None:
        return None
    if value.kind not in ("int", "decimal"):
        return check.wrong(tree, "rules-type", f"a number is needed here, and this is a {value.kind}")
    if value.constant is not None:
        return check.wrong(tree, "rules-call", "a constant does not change", "put a channel here")
    return value
