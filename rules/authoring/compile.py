"""Policy text to a bundle's bytes: each rule's expressions checked, its memory desugared, its body proved, all mistakes at once.

What a rule becomes, in this order: holds forget after a blind stretch; each stateful function and state is updated; the
first alternative that matches says what every actuator should be; an actuator whose wanted value changed is asked for.

Source: rules/SPEC.md sections 2 to 4, 8.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from protocol.cbor import dumps
from protocol.diagnostic import Diagnostic, DiagnosticError, suggest
from protocol.errors import ProtocolError
from rules import grammar as g
from rules.authoring import cel
from rules.authoring.adopt import compile_adopt
from rules.authoring.bounds import Bounds, Range
from rules.authoring.check import Check, Value
from rules.authoring.policy import Actuator, Block, Match, Policy, RulePolicy, State, read_policy
from rules.authoring.proof import Names, Proof, channel_names, input_ranges
from rules.authoring.source import Node
from rules.authoring.stateful import NOW, Register, Registers, Stateful, reading
from rules.bundle import read_bundle
from rules.guard import ALLOWED, SHADOWED
from rules.limits import value_max

_ASK_NOW = -1
# Each alternative inside another's otherwise costs two levels of the sixteen that a bundle may nest.
_NESTED_MAX = 3


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule as it will run: registers with the names that people know them by, and its body's trees."""

    policy: RulePolicy
    needs: int
    registers: list[Register]
    body: list[Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy and what became of it. bundle, schema: bytes."""

    policy: Policy
    rules: list[CompiledRule]
    bundle: bytes
    schema: bytes


def compile_file(path: Path, version: int = 1) -> tuple[Compiled, list[Diagnostic]]:
    """Return the compiled policy of a file and its warnings. Raises DiagnosticError with every mistake."""
    compiled, found = check_file(path, version)
    if compiled is None:
        raise DiagnosticError(found)
    return compiled, found


def check_file(path: Path, version: int = 1) -> tuple[Compiled | None, list[Diagnostic]]:
    """Return what a file compiles to, None if it has mistakes, and everything to be said about it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        return None, [Diagnostic("rules-file", message, str(path), fix="save it as UTF-8")]
    except OSError as error:
        message = (error.strerror or "it cannot be read").lower()
        return None, [Diagnostic("rules-file", message, str(path), fix="check the path")]
    return check_text(text, str(path), lambda name: (path.parent / name).read_text(encoding="utf-8"), version)


def check_text(
    text: str, path: str, load: Callable[[str], str], version: int = 1
) -> tuple[Compiled | None, list[Diagnostic]]:
    """As check_file, for a text; load gives the text of an imported file."""
    found: list[Diagnostic] = []
    policy = read_policy(text, path, load, found.append)
    if policy is None:
        return None, found
    rules = [compile_rule(policy, rule, found.append) for rule in policy.rules]
    adopt = compile_adopt(policy, found.append)
    if any(diagnostic.severity == "error" for diagnostic in found):
        return None, sorted(set(found), key=_place)
    schema = schema_bytes(policy)
    tree = _bundle_tree(policy, rules, schema, version)
    bundle = dumps(tree if adopt is None else {**tree, 8: adopt})
    try:
        read_bundle(bundle)
    except ProtocolError as error:
        return None, [*found, _refused(policy, str(error))]
    return Compiled(policy, rules, bundle, schema), sorted(set(found), key=_place)


def _place(diagnostic: Diagnostic) -> tuple[str, int, int]:
    return diagnostic.file or "", diagnostic.line or 0, diagnostic.column or 0


def _refused(policy: Policy, message: str) -> Diagnostic:
    """Say at the rule that a device would refuse the bundle: a limit that only the whole shows."""
    named = re.search(r"rule (\d+)", message)
    rule = next((r for r in policy.rules if named and r.rule_id == int(named[1])), policy.rules[0])
    fix = "make the rule smaller: fewer buckets, stateful functions or alternatives"
    return rule.node.mistake("rules-too-large", f"a device would refuse this: {message}", fix)


def schema_bytes(policy: Policy) -> bytes:
    """Return the schema of a policy's channels. Source: protocol/SPEC.md section 4.5."""
    rows = [[c.name, c.unit, c.scale, c.low, c.high, c.stuck_after] for c in policy.channels.values()]
    return dumps([1, rows])


def _bundle_tree(policy: Policy, rules: list[CompiledRule], schema: bytes, version: int) -> dict[int, Any]:
    written = [
        [r.policy.rule_id, r.policy.mode, [row.init for row in r.registers], r.needs, r.body] for r in rules
    ]
    gates = [
        [a.action, a.low, a.high, a.gap, a.good_mask, a.age_mask, a.age_max, a.flags, a.safe]
        for a in policy.actuators.values()
    ]
    return {
        1: g.FORMAT,
        2: version,
        3: sha256(schema).digest()[:8],
        4: written,
        5: gates,
        7: len(policy.channels),
    }


def compile_rule(policy: Policy, rule: RulePolicy, report: Callable[[Diagnostic], None]) -> CompiledRule:
    """Return one rule compiled; mistakes are reported, and the result is then of no use."""
    needs = rule.needs
    if needs is None:
        # What it reads is known only when it was read once.
        first = _Build(policy, rule, 0, lambda _diagnostic: None)
        first.body()
        needs = sum(1 << channel for channel in first.check.read_channels)
    build = _Build(policy, rule, needs, report)
    body = build.body()
    build.prove(body)
    return CompiledRule(rule, needs, build.registers.rows, body)


class _Build:
    """Compiles one rule, once."""

    def __init__(self, policy: Policy, rule: RulePolicy, needs: int, report: Callable[[Diagnostic], None]):
        self.policy = policy
        self.rule = rule
        self.report = report
        self.registers = Registers()
        self._inputs = input_ranges(policy, needs)
        quiet = Bounds(self._inputs, self.registers.ranges, lambda _problem: None)
        self.stateful = Stateful(self.registers, quiet, policy.blind_after, policy.sample)
        self.check = Check(self._names(), self.stateful, report)
        self._wanted: dict[str, tuple[int, int, int | None]] = {}

    # ---- names

    def _names(self) -> Names:
        names = channel_names(self.policy)
        for state in self.rule.states:
            self._new(names, state.name, state.node)
            names[state.name] = self._state(state)
        self._variables(names, self.rule.block)
        return names

    def _new(self, names: dict[str, Any], name: str, node: Node) -> None:
        if name in names:
            self.report(
                node.mistake("rules-duplicate", f"{name} means something else already", "choose another name")
            )

    def _variables(self, names: dict[str, Any], block: Block) -> None:
        for name, node in block.variables.items():
            self._new(names, name, node)
            names[name] = _Variable(self, name, node)
        for match in block.matches:
            if match.inner is not None:
                self._variables(names, match.inner)

    def _state(self, state: State) -> Value:
        held = Range(state.low, state.high, is_time=state.kind == "duration")
        register = self.registers.add(state.name, state.starts, held)
        if state.kind == "bool":
            return Value("bool", [g.EQUAL, reading(register), 1])
        return Value(state.kind, reading(register), state.scale, state.unit)

    # ---- body

    def body(self) -> list[Any]:
        """Return the statements of the rule."""
        updates = self.stateful.statements
        for register, state in enumerate(self.rule.states):
            tree = self.check.stored(state.next, (state.kind,), state.scale)
            if tree is not None:
                self.check.node = state.next
                updates.append(self.check.made(cel.Expr(0, len(state.next.text)), [g.SET, register, tree]))
        for variable in self.check.names.values():
            if isinstance(variable, _Variable):
                variable.evaluate()
        chain = self._chain(self.rule.block)
        self._check_starts()
        return [*self.stateful.prologue(), *updates, *chain, *self._asks()]

    def _chain(self, block: Block) -> list[Any]:
        rows = [(self._condition(match), self._then(match)) for match in block.matches]
        if len(rows) > _NESTED_MAX:
            return self._flat_chain(rows)
        statements: list[Any] = []
        for condition, then in reversed(rows):
            if condition is True:
                statements = then
            elif condition is False or not (then or statements):
                continue
            elif then:
                statements = [[g.IF, condition, then, *([statements] if statements else [])]]
            else:
                statements = [[g.IF, [g.NOT, condition], statements]]
        return statements

    def _flat_chain(self, rows: list[tuple[Any, list[Any]]]) -> list[Any]:
        """Return alternatives one after the other: a register says that one has matched."""
        matched = self.registers.add("matched", 0, Range(0, 1))
        is_open = [g.EQUAL, reading(matched), 0]
        statements: list[Any] = [[g.SET, matched, 0]]
        for condition, then in rows:
            due = is_open if condition is True else [g.AND, is_open, condition]
            statements.append([g.IF, due, [[g.SET, matched, 1], *then]])
        return statements

    def _condition(self, match: Match) -> Any:
        if match.condition is None:
            return True
        value = self.check.expression(match.condition, ("bool",))
        return True if value is None else value.tree

    def _then(self, match: Match) -> list[Any]:
        if match.inner is not None:
            return self._chain(match.inner)
        statements = []
        for name, (key, node) in match.output.items():
            actuator = self.policy.actuators.get(name)
            if actuator is None:
                if name not in self.policy.broken:
                    self._unknown_actuator(key, name)
                continue
            tree = self._wish(actuator, node)
            if tree is not None:
                statements.append(self._want(actuator, tree))
        return statements

    def _unknown_actuator(self, key: Node, name: str) -> None:
        near = suggest(name, self.policy.actuators)
        known = ", ".join(self.policy.actuators) or "none"
        fix = f"did you mean {near}?" if near else f"known under guard are: {known}"
        self.report(key.mistake("rules-unknown-name", f"no actuator is called {name}", fix))

    def _wish(self, actuator: Actuator, node: Node) -> Any:
        kinds = ("int", "bool") if actuator.scale == 0 else ("decimal",)
        tree = self.check.stored(node, kinds, actuator.scale)
        if isinstance(tree, int) and not actuator.low <= tree <= actuator.high:
            message = f"the guard of {actuator.name} lets {actuator.low}..{actuator.high} pass, never {tree}"
            self.report(node.mistake("rules-guard", message, "ask for another value, or widen its range"))
        return tree

    def _want(self, actuator: Actuator, tree: Any) -> list[Any]:
        if self.rule.always:
            return [g.ACT, actuator.action, tree]
        if actuator.name not in self._wanted:
            self._wanted[actuator.name] = self._wanted_registers(actuator)
        wanted, verdict, _ = self._wanted[actuator.name]
        change = [[g.SET, wanted, tree], [g.SET, verdict, _ASK_NOW]]
        return [g.IF, [g.UNEQUAL, reading(wanted), tree], change]

    def _wanted_registers(self, actuator: Actuator) -> tuple[int, int, int | None]:
        start = self.rule.starts.get(actuator.name)
        # Unequal to whatever the rule can want, so that the first evaluation asks.
        first = value_max if start is None else self._first(actuator, start)
        add = self.registers.add
        wanted = add(f"{actuator.name} wanted", first, Range(-value_max, value_max))
        verdict = add(f"{actuator.name} verdict", ALLOWED, Range(_ASK_NOW, value_max))
        asked = None
        if self.rule.retry is not None:
            asked = add(f"{actuator.name} asked", 0, Range(0, value_max, is_time=True))
        return wanted, verdict, asked

    def _first(self, actuator: Actuator, node: Node) -> int:
        tree = self.check.stored(node, ("int", "bool", "decimal"), actuator.scale)
        if tree is not None and not isinstance(tree, int):
            self.report(node.mistake("rules-wrong-value", "a start is a constant"))
        return tree if isinstance(tree, int) else 0

    def _check_starts(self) -> None:
        for name, node in self.rule.starts.items():
            if name not in self._wanted:
                near = suggest(name, self._wanted)
                fix = f"did you mean {near}?" if near else "remove it"
                self.report(
                    node.mistake("rules-unknown-name", f"this rule never asks for {name} on change", fix)
                )

    def _asks(self) -> list[Any]:
        statements: list[Any] = []
        for name, (wanted, verdict, asked) in self._wanted.items():
            due: list[Any] = [g.EQUAL, reading(verdict), _ASK_NOW]
            ask: list[Any] = [[g.ACT, self.policy.actuators[name].action, reading(wanted), verdict]]
            if asked is not None:
                refused = [g.NOT, [g.IN_LIST, reading(verdict), [ALLOWED, SHADOWED]]]
                late = [g.AT_LEAST, [g.SUBTRACT, NOW, reading(asked)], self.rule.retry]
                due = [g.OR, due, [g.AND, refused, late]]
                ask.insert(0, [g.SET, asked, NOW])
            statements.append([g.IF, due, ask])
        return statements

    # ---- proof

    def prove(self, body: list[Any]) -> None:
        """Report every place where an evaluation could fault, and comparisons that can only go one way."""
        proof = Proof(self.check, self.rule.node, self.report)
        bounds = Bounds(self._inputs, self.registers.ranges, proof.tell)
        known = bounds.body(body, {})
        for variable in self.check.names.values():
            # What nothing uses is in no body, and its author wants to know all the same.
            value = variable.evaluate() if isinstance(variable, _Variable) and not variable.is_used else None
            if value is not None and value.constant is None:
                bounds.truth(value.tree, known) if value.kind == "bool" else bounds.number(value.tree, known)
        proof.one_way(self._inputs, self.registers.ranges)


class _Variable:
    """A named expression: evaluated at its first use, the same value ever after. Its stateful functions exist once."""

    def __init__(self, build: _Build, name: str, node: Node):
        self.build, self.name, self.node = build, name, node
        self._is_open = False
        self._value: Value | None = None
        self._is_done = False
        self.is_used = False

    def __call__(self) -> Value | None:
        """Return the value to whoever names it."""
        self.is_used = True
        return self.evaluate()

    def evaluate(self) -> Value | None:
        """Return the value; None if it is wrong."""
        if self._is_open:
            message = f"{self.name} is explained by itself"
            self.build.report(
                self.node.mistake("rules-type", message, "use state for what is to be remembered")
            )
            return None
        if not self._is_done:
            self._is_open = True
            self._value = self.build.check.expression(self.node)
            self._is_open, self._is_done = False, True
        return self._value
