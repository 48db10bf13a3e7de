"""Policies for tests: one with given rules, random ones from a seed, and one expression evaluated on the engine."""

import dataclasses
import random
from fractions import Fraction

from protocol.cbor import dumps
from rules import grammar as g
from rules.authoring.compile import check_text, compile_rule
from rules.authoring.policy import Match, read_policy
from rules.authoring.source import Node, Source
from rules.bundle import read_bundle
from rules.engine import Engine

HEAD = """name: test
sample: 1s
channels:
  a: {unit: "1", scale: 0, range: [-50, 50]}
  b: {unit: V, scale: -2, range: [0.00, 99.99]}
  c: {unit: A, scale: -1, range: [-5.0, 20.0]}
guard:
  out: {action: 1, range: [-4294967295, 4294967295], safe: 0}
  fine: {action: 2, scale: -6, range: [-4000.0, 4000.0], safe: 0}
"""
CHANNELS = {"a": (0, -50, 50), "b": (-2, 0, 9999), "c": (-1, -50, 200)}


def check(rules, head=HEAD):
    """Return (compiled or None, diagnostics) of a policy with these rules."""
    return check_text(head + rules, "test.yaml", lambda name: "")


def codes(rules, head=HEAD):
    """Return the codes of what is said about a policy with these rules."""
    return [diagnostic.code for diagnostic in check(rules, head)[1]]


def rule_of(expression, output="out", ask="every_sample"):
    """Return a rule that asks for the value of an expression at every sample."""
    quoted = expression.replace("'", "''")
    return f"rule: {{name: r, ask: {ask}, needs: [], match: [{{output: {{{output}: '{quoted}'}}}}]}}\n"


class Desk:
    """Compiles single expressions fast, without YAML, and evaluates them on the engine."""

    def __init__(self, head=HEAD, needs=0):
        found = []
        self.policy = read_policy(head + rule_of("0"), "desk", lambda name: "", found.append)
        assert not found, found
        self.needs = needs

    def compile(self, expression):
        """Return (bundle's bytes or None, diagnostics)."""
        node = Node(Source("desk", expression, [expression]), 0, len(expression), "text", text=expression)
        rule = self.policy.rules[0]
        match = Match(node, None, {"out": (node, node)}, "", None)
        rule = dataclasses.replace(
            rule, needs=self.needs, block=dataclasses.replace(rule.block, matches=[match])
        )
        found = []
        made = compile_rule(self.policy, rule, found.append)
        if any(d.severity == "error" for d in found):
            return None, found
        row = [1, g.ON, [r.init for r in made.registers], made.needs, made.body]
        gates = [[1, -(1 << 32) + 1, (1 << 32) - 1, 0, 0, 0, 0, 0, 0]]
        return dumps({1: 1, 2: 1, 3: bytes(8), 4: [row], 5: gates, 7: len(self.policy.channels)}), found


def evaluate(bundle, rows):
    """Return the value that the bundle asks for at each row of raw values, all of them good."""
    engine = Engine(read_bundle(bundle))
    found = []
    for i, row in enumerate(rows):
        decisions = engine.sample(10 * (i + 1), list(row), 7, trusted_time=True, online=True)
        assert not engine.faults, engine.faults
        found.append(decisions[0][9][0][1] if decisions else None)
    return found


class Text:
    """Throws expressions of a policy: well-typed most of the time, harmless or not."""

    def __init__(self, seed, names=(), stateful=0.2):
        self.dice = random.Random(seed)
        self.names = {"int": ["a"], "decimal": ["b", "c"], "bool": [], **dict(names)}
        self.stateful = stateful

    def pick(self, *choices):
        return self.dice.choice(choices)

    def int(self, depth):
        dice = self.dice
        if depth == 0 or dice.random() < 0.15:
            return dice.choice(
                [*self.names["int"], str(dice.randint(-9, 30)), str(dice.choice([0, 1, 7, 1000]))]
            )
        if dice.random() < self.stateful / 2:
            return self.ring("int", depth)
        kind = dice.randrange(8)
        if kind < 5:
            return f"({self.int(depth - 1)} {'+-*/%'[kind]} {self.int(depth - 1)})"
        if kind == 5:
            return f"({self.bool(depth - 1)} ? {self.int(depth - 1)} : {self.int(depth - 1)})"
        if kind == 6:
            return f"math.{self.pick('least', 'greatest')}({self.int(depth - 1)}, {self.int(depth - 1)})"
        return f"{self.pick('-', 'math.abs')}({self.int(depth - 1)})"

    def decimal(self, depth, unit=None):
        dice = self.dice
        name = unit or self.pick("b", "c")
        if depth == 0 or dice.random() < 0.3:
            constant = f"{dice.randint(-5, 40)}.{dice.choice(['0', '5', '25', '125', '005'])}"
            return self.pick(name, name, constant)
        kind = dice.randrange(5)
        if kind < 2:
            return f"({self.decimal(depth - 1, name)} {'+-'[kind]} {self.decimal(depth - 1, name)})"
        if kind == 2:
            return f"({self.decimal(depth - 1, name)} * {dice.choice(['2.0', '0.5', '-1.0'])})"
        if kind == 3 and dice.random() < self.stateful * 2:
            return self.ring("decimal", depth, name)
        return f"({self.bool(depth - 1)} ? {self.decimal(depth - 1, name)} : {self.decimal(depth - 1, name)})"

    def ring(self, kind, depth, unit=None):
        inner = self.int(depth - 1) + " + a" if kind == "int" else f"{unit} + {self.decimal(depth - 1, unit)}"
        name = self.pick("lag", "window.min", "window.max", "window.sum")
        every = self.pick("1s", "2s", "2500ms", "10s")
        if kind == "int" and self.dice.random() < 0.3:
            return f'window.count({self.bool(depth - 1)}, {self.dice.randint(1, 3)}, "{every}")'
        return f'{name}({inner}, {self.dice.randint(1, 3)}, "{every}")'

    def bool(self, depth):
        dice = self.dice
        if depth == 0:
            return dice.choice(
                [*self.names["bool"], "a > 3", "b < 50.0", "c >= 2.5", "true", "a in [1, 2, 3]"]
            )
        if dice.random() < self.stateful:
            if dice.random() < 0.5:
                return f"latch({self.bool(depth - 1)}, {self.bool(depth - 1)})"
            return f'held({self.bool(depth - 1)}, "{self.pick("0s", "1s", "3s")}")'
        kind = dice.randrange(8)
        if kind < 3:
            operator = dice.choice(["<", "<=", ">", ">=", "==", "!="])
            return f"({self.int(depth - 1)} {operator} {self.int(depth - 1)})"
        if kind == 3:
            unit = self.pick("b", "c")
            operator = dice.choice(["<", "<=", ">", ">="])
            return f"({self.decimal(depth - 1, unit)} {operator} {self.decimal(depth - 1, unit)})"
        if kind == 4:
            return f"!({self.bool(depth - 1)})"
        if kind == 5:
            return self.pick("good(b)", "has(c)", 'age(a) < duration("2s")', "good(a)")
        return f"({self.bool(depth - 1)} {self.pick('&&', '||')} {self.bool(depth - 1)})"


def random_rule(seed):
    """Return the text of one random rule: state, variables, alternatives, a rule inside."""
    text = Text(seed, stateful=0.15)
    dice = text.dice
    lines = [
        "rule:",
        "  name: r",
        f"  needs: {dice.choice(['[]', '[a]', '[a, b, c]', '[b]'])}",
        "  ask: every_sample",
    ]
    if dice.random() < 0.5:
        lines += [
            "  state:",
            f"    - {{name: n, starts: 1, range: [0, 9], next: 'math.least(9, math.greatest(0, n + {text.int(1)}))'}}",
        ]
        text.names["int"].append("n")
    if dice.random() < 0.5:
        lines += ["  variables:", f"    - {{name: v, expression: '{text.bool(2)}'}}"]
        text.names["bool"].append("v")
    lines += ["  match:"]
    for _ in range(dice.choice([0, 1, 2, 2, 3])):
        lines.append(f"    - condition: '{text.bool(2)}'")
        if dice.random() < 0.2:
            inner = f"[{{condition: '{text.bool(1)}', output: {{out: '{text.int(1)}'}}}}]"
            lines.append(f"      rule: {{match: {inner}}}")
        else:
            lines.append(f"      output: {{out: '{text.int(2)}'}}")
    lines.append(f"    - output: {{out: '{text.int(2)}', fine: '{text.decimal(1)}'}}")
    return "\n".join(lines) + "\n"


def random_trace(seed, length):
    """Return rows (tick, raw values, good mask) of a random run: steps of one sample's time, now and then a gap."""
    dice = random.Random(seed)
    now, rows = dice.choice([0, 5, 10_000_000]), []
    values = [dice.randint(low, high) for _, low, high in CHANNELS.values()]
    for _ in range(length):
        for i, (_, low, high) in enumerate(CHANNELS.values()):
            if dice.random() < 0.5:
                values[i] = dice.choice(
                    [low, high, dice.randint(low, high), max(low, min(high, dice.randint(-5, 5)))]
                )
        now += dice.choice([10, 10, 10, 10, 9, 12, 25, 200])
        rows.append((now, list(values), dice.choice([7, 7, 7, 7, dice.randrange(8)])))
    return rows


def in_unit(name, raw):
    """Return a raw value of a channel in its unit."""
    return raw * Fraction(10) ** CHANNELS[name][0]
