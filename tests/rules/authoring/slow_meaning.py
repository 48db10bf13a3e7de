"""What a policy means, slowly: CEL on exact fractions, stateful functions by their definition over the whole history.

It shares the parser with the compiler and nothing else: no scales, no registers, no bundle.
"""

from fractions import Fraction

from rules.authoring import cel
from rules.authoring.source import ticks

NEVER_AGE = (1 << 32) - 1


class Undefined(Exception):
    """CEL gives an error here: a division by zero."""


class SlowRule:
    """One rule of a policy that was read; sample() returns actuator -> wanted value of one evaluation."""

    def __init__(self, policy, rule):
        self.policy = policy
        self.rule = rule
        self.states = {
            state.name: bool(state.starts)
            if state.kind == "bool"
            else state.starts * Fraction(10) ** state.scale
            for state in rule.states
        }
        self.variables = {}
        self._gather(rule.block)
        self.histories = {}
        self.trees = {}
        self.last = 0

    def _gather(self, block):
        self.variables |= block.variables
        for match in block.matches:
            if match.inner:
                self._gather(match.inner)

    def sample(self, now, values, good, ages, ever):
        """now in ticks; values: last good one of each channel, in its unit; good, ever: sets of names."""
        self.now, self.values, self.good, self.ages, self.ever = now, values, good, ages, ever
        self.is_blind = self.policy.blind_after is not None and now - self.last > self.policy.blind_after
        self.last, self.known, self.updated = now, {}, {}
        for state in self.rule.states:
            self.states[state.name] = self.node(state.next)
        for name in self.variables:
            self.name(name)
        # Stateful calls in branches that are not taken are updated all the same.
        self._touch(self.rule.block)
        return self._wanted(self.rule.block) or {}

    def _touch(self, block):
        for match in block.matches:
            for node in [match.condition, *[value for _, value in match.output.values()]]:
                if node is not None:
                    self._update(self.tree(node))
            if match.inner:
                self._touch(match.inner)

    def _update(self, tree):
        if isinstance(tree, cel.Call) and tree.name.split(".")[0] in ("latch", "held", "lag", "window"):
            self.value(tree)
        for part in parts(tree):
            self._update(part)

    def _wanted(self, block):
        for match in block.matches:
            if match.condition is None or self.node(match.condition):
                if match.inner:
                    return self._wanted(match.inner)
                return {name: self.node(node) for name, (_, node) in match.output.items()}
        return None

    def tree(self, node):
        if id(node) not in self.trees:
            self.trees[id(node)] = cel.parse(node.text)
        return self.trees[id(node)]

    def node(self, node):
        return self.value(self.tree(node))

    def name(self, name):
        if name == "now":
            return self.now
        if name in self.values:
            return self.values[name]
        if name in self.states:
            return self.states[name]
        if name not in self.known:
            self.known[name] = self.node(self.variables[name])
        return self.known[name]

    def value(self, tree):
        if isinstance(tree, cel.Literal):
            return tree.value
        if isinstance(tree, cel.Name):
            return self.name(tree.name)
        if isinstance(tree, cel.Unary):
            value = self.value(tree.operand)
            return not value if tree.operator == "!" else -value
        if isinstance(tree, cel.Choice):
            return self.value(tree.yes) if self.value(tree.condition) else self.value(tree.no)
        if isinstance(tree, cel.Binary):
            return self._binary(tree)
        return self._call(tree)

    def _binary(self, tree):
        left = self.value(tree.left)
        if tree.operator == "&&":
            return left and self.value(tree.right)
        if tree.operator == "||":
            return left or self.value(tree.right)
        if tree.operator == "in":
            return left in [self.value(item) for item in tree.right.items]
        right = self.value(tree.right)
        if tree.operator in "/%":
            if right == 0:
                raise Undefined
            quotient = abs(left) // abs(right) * (1 if (left >= 0) == (right > 0) else -1)
            return quotient if tree.operator == "/" else left - quotient * right
        return {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
            ">": lambda: left > right,
            ">=": lambda: left >= right,
            "==": lambda: left == right,
            "!=": lambda: left != right,
        }[tree.operator]()

    def _call(self, tree):
        plain = {"math.abs": abs, "math.least": min, "math.greatest": max}
        if tree.name in plain:
            return plain[tree.name](*[self.value(part) for part in tree.arguments])
        if tree.name == "duration":
            return self._ticks(tree.arguments[0])
        if tree.name in ("good", "has", "age"):
            channel = tree.arguments[0].name
            if tree.name == "age":
                return self.ages[channel]
            return channel in (self.good if tree.name == "good" else self.ever)
        if id(tree) not in self.updated:
            self.updated[id(tree)] = self._stateful(tree)
        return self.updated[id(tree)]

    def _ticks(self, tree):
        return int(ticks(tree.value)) if isinstance(tree, cel.Literal) else self.value(tree)

    def _stateful(self, tree):
        history = self.histories.setdefault(id(tree), [])
        if tree.name == "latch":
            setting, resetting = (self.value(part) for part in tree.arguments)
            history.append(setting or (not resetting and bool(history) and history[-1]))
            return history[-1]
        if tree.name == "held":
            return self._held(tree, history)
        value, count, every = (
            self.value(tree.arguments[0]),
            self.value(tree.arguments[1]),
            self._ticks(tree.arguments[2]),
        )
        history.append((self.now // every, value))
        period = self.now // every
        if tree.name == "lag":
            old = [v for p, v in history if p <= period - count]
            return old[-1] if old else history[0][1]
        seen = [v for p, v in history if p >= period - count]
        return {"window.min": min, "window.max": max, "window.sum": sum, "window.count": sum}[tree.name](seen)

    def _held(self, tree, history):
        condition = self.value(tree.arguments[0])
        if self.is_blind:
            history.clear()
        if not condition:
            history.clear()
            return False
        history.append(self.now)
        return self.now - history[0] >= self._ticks(tree.arguments[1])


def parts(tree):
    """Return the expressions that an expression is made of."""
    if isinstance(tree, cel.Unary):
        return [tree.operand]
    if isinstance(tree, cel.Binary):
        return [tree.left, tree.right]
    if isinstance(tree, cel.Choice):
        return [tree.condition, tree.yes, tree.no]
    return tree.arguments if isinstance(tree, cel.Call) else []
