"""Evaluate: the engine over a sample, and one rule as it was translated, as a person would write it, and as closures, the usual way."""

from hil_tests.workloads.clock import cost, priced
from rules.bundle import read_bundle
from rules.engine import Engine
from rules.translate import kernel
from tools.bench.micropython import closures

LAPS = 200
SAMPLE_TICKS = 360
HOLD_TICKS = 3 * SAMPLE_TICKS


def leak(i, a, r, t, g, h, o):
    """Do what tools/demo_rules.leak says, by hand."""
    if t - r[4] > 2 * SAMPLE_TICKS:
        r[1] = -1
    r[4] = t
    if i[0] >= 9500 if r[0] == 0 else i[0] < 9000:
        if r[1] < 0:
            r[1] = t
        if t - r[1] >= HOLD_TICKS:
            r[0] = 1 - r[0]
            r[1] = -1
            r[3] = t
            o[0] = 1
            o[1] = r[0]
            o[2] = 2
            return 3
    else:
        r[1] = -1
    if r[2] not in (0, 7) and t - r[3] >= HOLD_TICKS:
        r[3] = t
        o[0] = 1
        o[1] = r[0]
        o[2] = 2
        return 3
    return 0


def run(rule, trace=None):
    """Run a rule over leaks that come and go; add what it did to trace."""
    registers = [1, -1, 0, 0, 0]
    requests = [0] * 6
    for lap in range(1, LAPS + 1):
        flow = 8200 if lap % 60 < 14 else 11000
        cells = rule([flow, 600], [0, 0], registers, lap * SAMPLE_TICKS, 3, 3, requests)
        if trace is not None:
            trace.append((cells, list(registers), requests[:cells]))


def sample(engine):
    """Let an engine take quiet samples."""
    for lap in range(1, LAPS + 1):
        engine.sample(lap * SAMPLE_TICKS, [11000 + lap % 7, 600], 3, trusted_time=True, online=False)


def measure():
    """Return instructions and bytes of heap by name. Asserts that all forms of the rule do the same."""
    with open("demo_bundle.cbor", "rb") as file:
        bundle = read_bundle(file.read())
    translated = kernel(bundle.rules[0])
    closed = closures.kernel(bundle.rules[0])
    traces = [], [], []
    for at, rule in enumerate((translated, leak, closed)):
        run(rule, traces[at])
    assert traces[0] == traces[1] == traces[2]
    found = priced("evaluate", cost(sample, Engine(bundle)), LAPS)
    forms = {
        "rule": translated,
        "rule_by_hand": leak,
        "rule_by_closures": closed,
        "rule_that_does_nothing": lambda i, a, r, t, g, h, o: 0,
    }
    for name, form in forms.items():
        found.update(priced(name, cost(run, form), LAPS))
    return found
