"""What any expression of a policy can name, and where in its text stands what the analysis of its trees finds.

Source: docs/rules/language.md.
"""

from collections.abc import Callable

from protocol.cbor import Simple
from protocol.diagnostic import Diagnostic
from protocol.limits import channels_max
from rules import grammar as g
from rules.authoring.bounds import Bounds, Problem, Range, is_bool
from rules.authoring.check import Check, Value
from rules.authoring.policy import Policy
from rules.authoring.source import Node
from rules.authoring.stateful import NOW

Names = dict[str, Value | Callable[[], Value | None]]
# What is only counted or is a ratio goes with every unit (RFC 8428 writes a ratio as /).
_NO_UNIT = ("1", "/")
_COMPARISONS = range(g.EQUAL, g.AT_LEAST + 1)


def channel_names(policy: Policy) -> Names:
    """Return what a policy's channels and `now` mean; a name whose declaration was refused is passed over in silence."""
    names: Names = {"now": Value("duration", NOW)}
    names |= dict.fromkeys(policy.broken, _nothing)
    for c in policy.channels.values():
        kind = "int" if c.scale == 0 else "decimal"
        index = c.index % channels_max
        unit = None if c.unit in _NO_UNIT else c.unit
        names[c.name] = Value(kind, Simple(g.input_variable(index)), c.scale, unit, channel=index)
    return names


def input_ranges(policy: Policy, good_mask: int) -> list[Range]:
    """Return the range of every input where it is read, those of good_mask only while they are good."""
    ranges = [Range(0, 0)] * channels_max
    for c in list(policy.channels.values())[:channels_max]:
        # An input that was never good reads 0.
        low, high = (c.low, c.high) if good_mask >> c.index & 1 else (min(c.low, 0), max(c.high, 0))
        ranges[c.index % channels_max] = Range(low, high)
    return ranges


class Proof:
    """Reports what the analysis finds where it was written. whole: the node for what was written nowhere."""

    def __init__(self, check: Check, whole: Node, report: Callable[[Diagnostic], None]):
        self._check = check
        self._whole = whole
        self._report = report
        self._seen: set[tuple[str, int]] = set()

    def tell(self, problem: Problem) -> None:
        """Report a problem, once."""
        if (problem.code, id(problem.tree)) in self._seen:
            return
        self._seen.add((problem.code, id(problem.tree)))
        written = self._check.origin.get(id(problem.tree))
        if written is None:
            self._report(self._whole.mistake(problem.code, problem.message, problem.fix))
            return
        _, node, at = written
        self._report(node.mistake_at(problem.code, problem.message, at.start, at.stop, problem.fix))

    def one_way(self, inputs: list[Range], registers: list[Range]) -> None:
        """Warn of comparisons that can only go one way."""
        quiet = Bounds(inputs, registers, lambda _problem: None)
        for tree, node, at in list(self._check.origin.values()):
            if tree[0] not in _COMPARISONS or is_bool(tree[1]):
                continue
            decided = quiet.truth(tree, {})
            if decided is not None:
                left = quiet.number(tree[1], {})
                message = (
                    f"this is always {str(decided).lower()}: the left side lies in {left.low}..{left.high}"
                )
                fix = "check the threshold against the channel's range; raw values, before the scale"
                self._report(
                    node.mistake_at("rules-always", message, at.start, at.stop, fix, severity="warning")
                )


def _nothing() -> None:
    """What a name means whose declaration is wrong: nobody says more about it."""
