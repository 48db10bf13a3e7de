"""adopt_when: the condition in which the compiled bundle may be replaced by another one.

It looks at one sample and remembers nothing, so it has no states, variables and functions with a memory. An input that is
not good ends its evaluation on the device, so whatever it reads lies in the channel's range.

Source: rules/SPEC.md section 2.1.
"""

from collections.abc import Callable
from typing import Any

from protocol.diagnostic import Diagnostic
from rules.authoring import cel
from rules.authoring.bounds import Bounds
from rules.authoring.check import Check, Value
from rules.authoring.policy import Block, Policy
from rules.authoring.proof import Proof, channel_names, input_ranges
from rules.authoring.source import Node
from rules.authoring.stateful import Stateful
from rules.limits import nesting_max

_ALL_GOOD = 0xFF


def compile_adopt(policy: Policy, report: Callable[[Diagnostic], None]) -> Any:
    """Return the condition as a tree of the bundle; None where the policy has none, or a wrong one, which is reported."""
    node = policy.adopt
    if node is None:
        return None
    check = _SampleCheck(policy, report)
    value = check.expression(node, ("bool",))
    if value is None:
        return None
    inputs = input_ranges(policy, _ALL_GOOD)
    proof = Proof(check, node, report)
    decided = Bounds(inputs, [], proof.tell).truth(value.tree, {})
    proof.one_way(inputs, [])
    if decided is False:
        fix = "remove adopt_when, or compare with a value that a channel can have"
        report(
            node.mistake("rules-wrong-value", "this is never met, and no release would be adopted again", fix)
        )
    # The bundle's own map is one level.
    if 1 + _depth(value.tree) > nesting_max:
        message = f"a device would refuse this: it nests deeper than {nesting_max - 1}"
        report(node.mistake("rules-too-large", message, "write it with fewer brackets"))
    return value.tree


def _depth(tree: Any) -> int:
    return 1 + max(_depth(part) for part in tree) if isinstance(tree, list) else 0


class _NoMemory:
    """The stateful functions, refused."""

    names = Stateful.names

    def call(self, check: Check, call: cel.Call) -> Value | None:
        """Report a stateful call."""
        message = f"{call.name} remembers, and adopt_when looks at one sample only"
        fix = "compare a channel: flow < 10.0; good, has and age will do too"
        return check.wrong(cel.Expr(call.start, call.name_stop), "rules-call", message, fix)


class _SampleCheck(Check):
    """Knows channels, and of what belongs to a rule that it belongs to a rule."""

    def __init__(self, policy: Policy, report: Callable[[Diagnostic], None]):
        super().__init__(channel_names(policy), _NoMemory(), report)
        self._owners: dict[str, str] = {}
        for rule in policy.rules:
            for name in [*(state.name for state in rule.states), *_variables(rule.block)]:
                self._owners.setdefault(name, rule.name)

    def _name(self, tree: cel.Name) -> Value | None:
        owner = self._owners.get(tree.name)
        if owner is None or tree.name in self.names:
            return super()._name(tree)
        message = f"{tree.name} belongs to the rule {owner}, and adopt_when sees channels only"
        return self.wrong(tree, "rules-unknown-name", message, "write out what it is made of")


def _variables(block: Block) -> dict[str, Node]:
    found = dict(block.variables)
    for match in block.matches:
        if match.inner is not None:
            found |= _variables(match.inner)
    return found
