"""Seeded stories of a device: kills, power cuts, outages, refusals and lost answers in any mixture, in small and large rings.

`OUTSTATION_SEED=N python -m pytest tests/agent/test_stories.py` repeats one story that failed, or tells another.
"""

import os
import random

import pytest

from agent.flash import MODES
from protocol.event import BOOT
from protocol.keys import CRITICAL, LANES, ROUTINE
from tests.agent.desk import Desk
from tests.agent.test_app import POINTS, _check_evidence, _is_complete

_CHOSEN = os.environ.get("OUTSTATION_SEED")
SEEDS = [int(_CHOSEN)] if _CHOSEN else range(12)


def _trouble(desk, chance):
    """Set up what goes wrong in the next run; return (seconds, power cut or None)."""
    gateway = desk.gateway
    gateway.is_down = chance.random() < 0.3
    gateway.lose_answers = chance.choice([0, 0, 0, 3, 9])
    gateway.refused_lanes = chance.choice([(), (), (), (ROUTINE,), LANES])
    gateway.gives_receipts = chance.random() < 0.8
    desk.points = {}
    cut = None
    ends_by = chance.random()
    if ends_by < 0.5:
        desk.points = {chance.choice((*POINTS, "before_erase", "after_erase")): chance.randint(1, 80)}
    elif ends_by < 0.85:
        cut = (chance.randint(0, 200), chance.choice(MODES))
    return chance.choice([0.4, 2, 6, 15]), cut


def _heal(desk):
    """Let everything work again and the device end in order."""
    desk.points = {}
    gateway = desk.gateway
    gateway.is_down, gateway.refused_lanes, gateway.lose_answers, gateway.gives_receipts = False, (), 0, True
    desk.settings["drain_ms"] = 8000
    return desk.run(3)


def _check_rule_ticks(events):
    bases = {}
    highest = -1
    for boot, (_, tick, kind, fields) in events:
        if kind == BOOT:
            assert fields[1] > highest
            bases[boot] = fields[1]
        if boot in bases:
            highest = max(highest, bases[boot] + tick // 100)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_everything_durable_is_held_or_accounted_for(seed):
    """
    After any mixture of troubles each number is held or under a tombstone, chains close, no order comes twice, no epoch had to
    begin; where nothing critical was pruned, each act allowed has one action event and rule ticks rise over all boots.
    """
    chance = random.Random(seed)
    desk = Desk(
        sectors=chance.choice([8, 9, 10, 12, 16, 40]),
        drain_ms=300,
        period_s=chance.choice([86_400, 14_400, 3_600]),
        routine_seal_ms=chance.choice([600_000, 3_600_000]),
    )
    for _ in range(chance.randint(2, 6)):
        seconds, cut = _trouble(desk, chance)
        desk.run(seconds, cut=cut)

    assert _heal(desk) is None
    assert _is_complete(desk)
    assert desk.agent._journal.epoch == 0
    desk.gateway.check_chains()
    events = desk.gateway.events()
    orders = [event[0] for _, event in events]
    assert len(orders) == len(set(orders)) > 0
    if not desk.gateway.lost_below(CRITICAL, 0):
        _check_evidence(desk)
        _check_rule_ticks(events)
