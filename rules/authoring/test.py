"""Runs the tests that stand in a policy against the compiled bundle, on the engine that devices run.

A step is one sample, or several with `repeat`; channels keep what the step before said. A step without `expect` promises
that nothing is asked for, so a rule that acts too often fails as surely as one that does not act. The last of repeated
samples is the one that `expect` and `expect_adopt` speak of.
"""

from dataclasses import dataclass

from protocol.diagnostic import Diagnostic, suggest
from rules.authoring.compile import Compiled
from rules.authoring.policy import TEST_KEYS, Actuator, Policy, Reader
from rules.authoring.source import Node, shown_number, shown_ticks
from rules.bundle import read_bundle
from rules.engine import D_ACTS, Engine
from rules.guard import VERDICT_NAMES, verdict_words

REPEAT_MAX = 100_000
_STEP_KEYS = ("repeat", "expect", "expect_adopt", "wait", "online", "trusted_time")
_ADOPT_WRONG = {
    True: "expected that the bundle may be replaced now, and it may not",
    False: "expected that the bundle may not be replaced now, and it may",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test: whether it held, how many samples it took, and at most one diagnostic where it failed."""

    name: str
    samples: int
    failure: Diagnostic | None


@dataclass(slots=True)
class _Step:
    node: Node
    values: dict[int, int | None]
    repeat: int
    wait: int | None
    is_online: bool
    has_time: bool
    expected: dict[int, tuple[int, int]]
    may_adopt: bool | None


def run_tests(compiled: Compiled) -> tuple[list[Outcome], list[Diagnostic]]:
    """Return the outcome of each test, and the mistakes in how tests are written."""
    mistakes: list[Diagnostic] = []
    read = [_read_test(Reader(mistakes.append), compiled.policy, node) for node in compiled.policy.tests]
    if mistakes:
        return [], mistakes
    return [_run(compiled, name, every, steps) for name, every, steps in read], []


def _read_test(reader: Reader, policy: Policy, node: Node) -> tuple[str, int, list[_Step]]:
    if not reader.is_map(node, "a test") or not reader.keys(node, TEST_KEYS, ("name", "steps")):
        return "", 1, []
    every = reader.duration(node, "every") or policy.sample
    if every is None:
        reader.report(node.mistake("rules-missing-key", "how much time lies between two steps", "every: 36s"))
    steps = [_read_step(reader, policy, item) for item in reader.items(node, "steps")]
    return reader.text(node, "name") or "", every or 1, [step for step in steps if step]


def _read_step(reader: Reader, policy: Policy, node: Node) -> _Step | None:
    if not reader.is_map(node, "a step") or not reader.keys(node, [*policy.channels, *_STEP_KEYS], ()):
        return None
    values: dict[int, int | None] = {}
    for name, (_, value) in node.entries.items():
        channel = policy.channels.get(name)
        if channel is not None:
            bad = value.text == "bad"
            values[channel.index] = (
                None if bad else reader.raw(value, channel.scale, channel.low, channel.high)
            )
    expected = {}
    for name, (key, value) in reader.map(node, "expect").items():
        actuator = policy.actuators.get(name)
        if actuator is None:
            near = suggest(name, policy.actuators)
            fix = f"did you mean {near}?" if near else f"known are: {', '.join(policy.actuators)}"
            reader.report(key.mistake("rules-unknown-name", f"no actuator is called {name}", fix))
        else:
            expected[actuator.action] = _expected(reader, actuator, value)
    return _Step(
        node,
        values,
        reader.whole(node, "repeat", 1, REPEAT_MAX, 1),
        reader.duration(node, "wait"),
        "online" not in node.entries or reader.yes(node, "online"),
        "trusted_time" not in node.entries or reader.yes(node, "trusted_time"),
        expected,
        reader.yes(node, "expect_adopt") if "expect_adopt" in node.entries else None,
    )


def _expected(reader: Reader, actuator: Actuator, value: Node) -> tuple[int, int]:
    """Return (raw value, verdict)."""
    verdict, number = 0, value
    if value.kind == "map":
        reader.keys(value, ("value", "verdict"), ("value",))
        verdicts = {name: code for code, name in enumerate(VERDICT_NAMES)}
        verdict = reader.one_of(value, "verdict", {**verdicts, "": 0})
        number = value.entries["value"][1] if "value" in value.entries else value
    raw = reader.raw(number, actuator.scale, -(1 << 32) + 1, (1 << 32) - 1) if number.kind == "text" else None
    return raw or 0, verdict


def _run(compiled: Compiled, name: str, every: int, steps: list[_Step]) -> Outcome:
    engine = Engine(read_bundle(compiled.bundle))
    values: dict[int, int | None] = dict.fromkeys(range(len(compiled.policy.channels)))
    now, samples = 0, 0
    for number, step in enumerate(steps, 1):
        values |= step.values
        for turn in range(step.repeat):
            now += step.wait if step.wait is not None and turn == 0 else every
            samples += 1
            row = [value or 0 for value in values.values()]
            good = sum(1 << index for index, value in values.items() if value is not None)
            before = engine.state()
            decisions = engine.sample(now, row, good, trusted_time=step.has_time, online=step.is_online)
            asked = [(act[0], (act[1], act[2])) for decision in decisions for act in decision[D_ACTS]]
            is_last = turn == step.repeat - 1
            expected = step.expected if is_last else {}
            message = None
            if engine.faults or sorted(asked) != sorted(expected.items()):
                message = _difference(compiled.policy, expected, asked, engine.faults)
            elif is_last and step.may_adopt not in (None, engine.may_adopt()):
                message = _ADOPT_WRONG[step.may_adopt]
            if message is not None:
                told = _failure(compiled, engine, step, values, before)
                place = f"step {number}" + (
                    f", sample {turn + 1} of {step.repeat}" if step.repeat > 1 else ""
                )
                message = f"{name}: {place}, at {shown_ticks(now)}: {message}"
                return Outcome(name, samples, step.node.mistake("rules-test-failed", message, told))
    return Outcome(name, samples, None)


def _difference(policy: Policy, expected: dict[int, tuple[int, int]], asked: list, faults: list) -> str:
    if faults:
        return f"a rule could not go on (fault {faults[0][2]})"
    return f"expected {_shown(policy, list(expected.items()))}, got {_shown(policy, asked)}"


def _shown(policy: Policy, requests: list[tuple[int, tuple[int, int]]]) -> str:
    """Return requests as words: valve = 0, valve = 1 (too soon)."""
    actuators = {actuator.action: actuator for actuator in policy.actuators.values()}
    words = []
    for action, (value, verdict) in sorted(requests):
        actuator = actuators[action]
        said = "" if verdict == 0 else f" ({verdict_words(verdict)})"
        words.append(f"{actuator.name} = {shown_number(value, actuator.scale)}{said}")
    return " and ".join(words) or "nothing"


def _failure(
    compiled: Compiled, engine: Engine, step: _Step, values: dict[int, int | None], before: list
) -> str:
    """Return what was read and remembered: inputs, and the registers that this sample changed or left."""
    channels = list(compiled.policy.channels.values())
    read = [
        f"{channels[index].name} {'bad' if value is None else shown_number(value, channels[index].scale)}"
        for index, value in values.items()
    ]
    rows = engine.state()[1]
    remembered = []
    for rule, row, old in zip(compiled.rules, rows, before[1], strict=True):
        shown = [_register(r.name, o, n) for r, o, n in zip(rule.registers, old[1], row[1], strict=True)]
        remembered.append(f"{rule.policy.name}: {', '.join(shown)}")
    return "; ".join(["compare with " + ", ".join(read), *remembered])


def _register(name: str, old: int, new: int) -> str:
    return f"{name} {new}" if old == new else f"{name} {old} -> {new}"
