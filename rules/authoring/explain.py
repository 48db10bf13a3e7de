"""A bundle or a policy as text that a person can sign off: what each rule does, in the order in which it is done.

A bundle alone knows channels, actions and registers by number; with its policy they have names. The text of a body is made
from the bytes that a device would run, never from what the author wrote.
"""

from typing import Any

from protocol.cbor import Simple
from rules import grammar as g
from rules.authoring.compile import Compiled
from rules.authoring.source import shown_number, shown_ticks
from rules.bundle import Bundle, Gate, Rule, read_bundle

_MODES = {
    g.OFF: "off: never evaluated",
    g.SHADOW: "shadow: evaluated, nothing passes the guard",
    g.ON: "on",
}
_INFIX = {
    **{g.ADD: "+", g.SUBTRACT: "-", g.MULTIPLY: "*", g.DIVIDE: "/", g.REMAINDER: "%", g.EQUAL: "=="},
    **{
        g.UNEQUAL: "!=",
        g.BELOW: "<",
        g.AT_MOST: "<=",
        g.ABOVE: ">",
        g.AT_LEAST: ">=",
        g.AND: "and",
        g.OR: "or",
    },
}
_LEVEL = {
    **{g.OR: 1, g.AND: 2, g.ADD: 4, g.SUBTRACT: 4, g.MULTIPLY: 5, g.DIVIDE: 5, g.REMAINDER: 5},
    **dict.fromkeys(range(g.EQUAL, g.IN_LIST + 1), 3),
}
_CALLS = {g.ABSOLUTE: "magnitude", g.LEAST: "least", g.GREATEST: "greatest"}


class Words:
    """Names for the numbers of a bundle; without a policy, the numbers."""

    def __init__(self, compiled: Compiled | None = None):
        self._channels = list(compiled.policy.channels.values()) if compiled else []
        self._actions = {a.action: a for a in compiled.policy.actuators.values()} if compiled else {}
        self._adopt = compiled.policy.adopt if compiled else None
        self._rules = {r.policy.rule_id: r for r in compiled.rules} if compiled else {}

    def channel(self, index: int) -> str:
        """Return the name of a channel."""
        return self._channels[index].name if self._channels else f"channel {index}"

    def channels(self, mask: int) -> str:
        """Return the names of the channels of a mask."""
        return " and ".join(self.channel(i) for i in range(8) if mask >> i & 1)

    def action(self, action: int) -> str:
        """Return the name of an action."""
        return self._actions[action].name if action in self._actions else f"action {action}"

    def rule(self, rule_id: int) -> str:
        """Return the heading of a rule."""
        known = self._rules.get(rule_id)
        return f"Rule {rule_id}, {known.policy.name}" if known else f"Rule {rule_id}"

    def register(self, rule_id: int, register: int) -> str:
        """Return the name of a register."""
        known = self._rules.get(rule_id)
        return f"[{known.registers[register].name}]" if known else f"[{register}]"

    def value(self, action: int, raw: int) -> str:
        """Return a value of an actuator in its unit."""
        return shown_number(raw, self._actions[action].scale) if action in self._actions else str(raw)

    def adopt(self) -> list[str]:
        """Return what the author wrote of when the bundle may be replaced."""
        return [f"  when {self._adopt.text}"] if self._adopt is not None else []

    def scales(self) -> list[str]:
        """Return a line for each channel: how raw values are read."""
        return [
            f"  {c.name}: raw x 10^{c.scale} {c.unit}, "
            f"{shown_number(c.low, c.scale)} to {shown_number(c.high, c.scale)}"
            for c in self._channels
        ]

    def authored(self, rule_id: int) -> list[str]:
        """Return what the author wrote of a rule."""
        known = self._rules.get(rule_id)
        if known is None:
            return []
        lines = [f"  {known.policy.description}"] if known.policy.description else []
        lines += [f"  {name} means {node.text}" for name, node in known.policy.block.variables.items()]
        for match in known.policy.block.matches:
            wanted = ", ".join(f"{name} = {node.text}" for name, (_, node) in match.output.items())
            when = f"when {match.condition.text}" if match.condition else "otherwise"
            why = f" ({match.explanation})" if match.explanation else ""
            lines.append(f"  {when}: {wanted or 'see the rule inside'}{why}")
        return lines


def explain(data: bytes, compiled: Compiled | None = None) -> str:
    """Return a bundle as text. compiled: the policy that gives names. Raises ProtocolError if data is no bundle."""
    bundle = read_bundle(data)
    words = Words(compiled)
    lines = [
        f"Bundle version {bundle.version}, {len(data)} bytes",
        f"For the schema {bundle.schema.hex()} of {bundle.channels} channels",
        *words.scales(),
        *_adopt(bundle, words),
        "",
    ]
    for gate in bundle.gates:
        lines += [*_gate(gate, words), ""]
    for rule in bundle.rules:
        lines += [*_rule(bundle, rule, words), ""]
    return "\n".join(lines).rstrip() + "\n"


def _adopt(bundle: Bundle, words: Words) -> list[str]:
    if bundle.adopt is None:
        return ["May be replaced by another bundle at any time"]
    # It has no registers, so it needs no rule.
    met = _Text(-1, words).text(bundle.adopt)
    return [
        "May be replaced by another bundle only after a sample",
        *words.adopt(),
        f"  for which {met} (raw values, times in ticks of 100 ms),",
        "  never if that needs a channel that is not good",
    ]


def _gate(gate: Gate, words: Words) -> list[str]:
    name, low, high, safe = (
        words.action(gate.action),
        words.value(gate.action, gate.low),
        words.value(gate.action, gate.high),
        words.value(gate.action, gate.safe),
    )
    limits = [f"at least {shown_ticks(gate.gap)} between two movements"] if gate.gap else []
    if gate.good_mask:
        limits.append(f"only while {words.channels(gate.good_mask)} is good")
    if gate.age_mask:
        limits.append(f"only if {words.channels(gate.age_mask)} was good within {shown_ticks(gate.age_max)}")
    for flag, said in (
        (g.NEEDS_TIME, "only with trusted time"),
        (g.NEEDS_LINK, "only while a gateway answers"),
        (g.GATE_SHADOW, "never moves: shadow"),
    ):
        limits += [said] if gate.flags & flag else []
    return [f"Guard of {name}: {low} to {high}, safe {safe}", *(f"  {limit}" for limit in limits)]


def _rule(bundle: Bundle, rule: Rule, words: Words) -> list[str]:
    needs = words.channels(rule.needs)
    head = f"{words.rule(rule.rule_id)} ({_MODES[rule.mode]})"
    lines = [head, *words.authored(rule.rule_id)]
    lines.append(f"  Runs on every sample in which {needs} is good" if needs else "  Runs on every sample")
    if rule.init:
        starts = [f"{words.register(rule.rule_id, i)} {value}" for i, value in enumerate(rule.init)]
        lines.append(f"  Starts with {', '.join(starts)}")
    lines.append("  Then, in this order (raw values, times in ticks of 100 ms):")
    return lines + _Text(rule.rule_id, words).body(rule.body, "    ")


class _Text:
    def __init__(self, rule_id: int, words: Words):
        self.rule_id = rule_id
        self.words = words

    def body(self, body: list[Any], indent: str) -> list[str]:
        return [line for node in body for line in self._statement(node, indent)]

    def _statement(self, node: list[Any], indent: str) -> list[str]:
        kind = node[0]
        if kind == g.SET:
            return [f"{indent}{self._register(node[1])} := {self.text(node[2])}"]
        if kind == g.SET_AT:
            place = self._place(node[1], node[2], node[3])
            return [f"{indent}{place} := {self.text(node[4])}"]
        if kind == g.ACT:
            kept = f", and keep the verdict in {self._register(node[3])}" if len(node) == 4 else ""
            return [f"{indent}ask for {self.words.action(node[1])} = {self.text(node[2])}{kept}"]
        lines = [f"{indent}if {self.text(node[1])}:", *self.body(node[2], indent + "  ")]
        if len(node) == 4:
            lines += [f"{indent}otherwise:", *self.body(node[3], indent + "  ")]
        return lines

    def _register(self, register: int) -> str:
        return self.words.register(self.rule_id, register)

    def _place(self, base: int, count: int, index: Any) -> str:
        return f"{self._register(base)} or one of the {count - 1} after it, number ({self.text(index)})"

    def text(self, tree: Any, outer: int = 0) -> str:
        """Return an expression as text, in brackets where the one around it binds closer."""
        if isinstance(tree, bool):
            return "true" if tree else "false"
        if isinstance(tree, int):
            return str(tree)
        if isinstance(tree, Simple):
            return self._variable(tree)
        level = _LEVEL.get(tree[0], 9)
        said = self._operation(tree, level)
        return f"({said})" if level <= outer or (tree[0] == g.CHOOSE and outer) else said

    def _variable(self, tree: Simple) -> str:
        kind, index = g.variable(tree.value)
        if kind == "now":
            return "now"
        return self.words.channel(index) if kind == "input" else self._register(index)

    def _operation(self, tree: list[Any], level: int) -> str:
        operator = tree[0]
        if operator in _INFIX:
            return f" {_INFIX[operator]} ".join(self.text(part, level) for part in tree[1:])
        if operator in _CALLS:
            return f"{_CALLS[operator]}({', '.join(self.text(part) for part in tree[1:])})"
        if operator == g.NEGATE:
            return f"-{self.text(tree[1], 8)}"
        if operator == g.NOT:
            return f"not {self.text(tree[1], 8)}"
        if operator == g.IN_LIST:
            return f"{self.text(tree[1], level)} in {tree[2]}"
        if operator == g.CHOOSE:
            return f"{self.text(tree[2], 8)} if {self.text(tree[1], 8)}, else {self.text(tree[3], 8)}"
        if operator == g.READ_AT:
            return f"<{self._place(tree[1], tree[2], tree[3])}>"
        name = self.words.channel(tree[1])
        return {g.GOOD: f"{name} is good", g.HAS: f"{name} was ever good"}.get(operator, f"age of {name}")
