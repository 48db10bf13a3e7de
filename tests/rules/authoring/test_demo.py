"""Promise of the demo's policy: its bundle decides exactly as the one written by hand."""

import random
from hashlib import sha256

import pytest

from rules.authoring.compile import check_file
from rules.bundle import read_bundle
from rules.engine import Engine
from tools.demo_rules import SAMPLE_TICKS, demo_bundle
from tools.device_types import ROOT
from tools.provision import demo_schema

DEMO = ROOT / "docs" / "rules" / "demo.yaml"


@pytest.fixture(scope="module")
def compiled():
    """Return the demo's policy, compiled."""
    made, found = check_file(DEMO)
    assert not found, [d.text() for d in found]
    return made


def recording(seed, hours=1400):
    """Return rows like the demo's: flow with low runs and gaps, temperature that swings with the day."""
    dice = random.Random(seed)
    rows, flow, low = [], 10_000, 0
    for hour in range(hours):
        low = max(0, low - 1) if low or dice.random() > 0.02 else dice.randint(1, 40)
        flow = dice.choice([2426, 8999, 9000]) if low else dice.choice([9000, 9499, 9500, 10_000, 10_200])
        day = abs(hour % 24 - 12)
        heat = 760 - 8 * day + dice.randint(-12, 12) if hour % 480 < 240 else 600
        is_gap = dice.random() < 0.03
        rows.append(
            (
                dice.choice([SAMPLE_TICKS] * 30 + [3 * SAMPLE_TICKS]),
                flow,
                heat,
                0 if is_gap else 3 - 2 * (dice.random() < 0.02),
            )
        )
    return rows


def acts(bundle, rows):
    """Return each request as (tick, rule, action, value, verdict, gate's last tick)."""
    engine, now, found = Engine(read_bundle(bundle)), 0, []
    for step, flow, heat, good in rows:
        now += step
        for decision in engine.sample(now, [flow, heat], good, trusted_time=True, online=False):
            found += [(now, decision[0], *act) for act in decision[9]]
        assert not engine.faults
    return found


def test_the_demo_policy_decides_as_the_bundle_written_by_hand(compiled):
    """Over synthetic recordings like the demo's: the same requests at the same ticks with the same verdicts."""
    total = 0
    for seed in range(6):
        rows = recording(seed)
        expected = acts(demo_bundle(), rows)
        total += len(expected)

        assert expected == acts(compiled.bundle, rows)
    assert total > 200, total


def test_the_demo_policy_has_the_demo_devices_schema_and_gates(compiled):
    """A device of the demonstration would take it: same channels, same guard."""
    by_hand = read_bundle(demo_bundle(schema=sha256(demo_schema()).digest()[:8]))
    ours = read_bundle(compiled.bundle)

    assert compiled.schema == demo_schema()
    assert (by_hand.schema, by_hand.channels) == (ours.schema, ours.channels)
    for left, right in zip(by_hand.gates, ours.gates, strict=True):
        assert [getattr(left, name) for name in left.__slots__] == [
            getattr(right, name) for name in right.__slots__
        ]
    assert [(r.rule_id, r.needs) for r in by_hand.rules] == [(r.rule_id, r.needs) for r in ours.rules]
