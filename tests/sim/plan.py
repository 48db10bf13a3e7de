"""What goes wrong, when: drawn from the seed before anything runs, and printed with a failure.

A plan is a list of (second, what, arguments), in order. KINDS: every kind of fault, with how often it comes in a day.
"""

import random
from typing import Any, NamedTuple

from agent.flash import MODES
from tests.sim.hostile import KINDS as HOSTILE
from tests.sim.shortage import ALLOWANCE, BATTERY, HEAP

DAY_S = 86_400
_OFFERED_AFTER_S = 600


class Step(NamedTuple):
    """At that second of the simulation, do what with these arguments."""

    at_s: float
    what: str
    arguments: tuple[Any, ...]


# Times a day, each on the whole site.
KINDS = {
    "weather": 6,
    "part device": 4,
    "part uplink": 3,
    "part office": 1,
    "part gateway": 2,
    "power off device": 5,
    "cut flash": 12,
    "crash device": 6,
    "crash gateway": 6,
    "crash office": 5,
    "kill gateway": 3,
    "kill office": 2,
    "disk of gateway": 2,
    "disk of office": 1.5,
    "jump wall": 2,
    "restore device": 0.4,
    "replace gateway": 0.4,
    "roll gateway back": 0.3,
    "move device": 1.5,
    "strays": 1,
    "hostile": 0.7,
    "command": 5,
    "roll out": 1.2,
    "halt": 0.3,
    # Last: what is drawn before them stays as it was for each seed.
    "low battery": 0.8,
    "short heap": 0.5,
    "short allowance": 0.8,
}


def draw(seed, days, devices, kinds=KINDS):
    """Return the plan of a seed."""
    chance = random.Random(f"plan {seed}")
    steps = []
    for what, a_day in kinds.items():
        times = int(a_day * days) + (chance.random() < a_day * days % 1)
        for _ in range(times):
            at_s = chance.uniform(1800, days * DAY_S)
            steps.append(Step(round(at_s, 3), what, _arguments(what, chance, devices)))
    return sorted(steps + _offers(seed, steps, days))


def _offers(seed, steps, days):
    """A gateway that gives other rules than the signed ones lies about nothing unless a release comes its way: one is rolled out each time."""
    chance = random.Random(f"offers {seed}")
    return [
        Step(
            min(round(step.at_s + _OFFERED_AFTER_S, 3), days * DAY_S - 1),
            "roll out",
            (chance.randrange(1, 4),),
        )
        for step in steps
        if step.what == "hostile" and "other rules" in step.arguments[1]
    ]


def _hours(chance, low, high):
    return round(chance.uniform(low, high) * 3600)


def _arguments(what, chance, devices):
    device = chance.randrange(devices)
    drawn = {
        "weather": lambda: (
            round(chance.choice((0, 0.02, 0.1, 0.3, 0.5)), 3),
            chance.choice((0, 0.1, 0.3)),
            chance.choice((0.05, 0.5, 3, 12)),
            chance.choice((0, 0, 0.02, 0.1)),
        ),
        "part device": lambda: (device, _hours(chance, 0.1, 9)),
        "part uplink": lambda: (chance.randrange(2), _hours(chance, 0.2, 12)),
        "part office": lambda: (_hours(chance, 0.2, 6),),
        "part gateway": lambda: (chance.randrange(2), _hours(chance, 0.1, 4)),
        "power off device": lambda: (device, _hours(chance, 0.001, 1)),
        "cut flash": lambda: (device, chance.randrange(60), chance.choice(MODES)),
        "crash device": lambda: (device, chance.randrange(1, 60)),
        "crash gateway": lambda: (chance.randrange(2), chance.randrange(1, 40)),
        "crash office": lambda: (chance.randrange(1, 20),),
        "kill gateway": lambda: (chance.randrange(2),),
        "kill office": tuple,
        "disk of gateway": lambda: (
            chance.randrange(2),
            chance.choice(("full", "failing")),
            _hours(chance, 0.1, 3),
        ),
        "disk of office": lambda: (chance.choice(("full", "failing")), _hours(chance, 0.1, 2)),
        "jump wall": lambda: (
            chance.choice(("office", "gw-a")),
            chance.choice((-(10**15), -3_600_000, 7_200_000, 86_400_000, 31_536_000_000)),
            _hours(chance, 0.5, 6),
        ),
        "restore device": lambda: (device, _hours(chance, 0.5, 10)),
        "replace gateway": lambda: (chance.randrange(2),),
        "roll gateway back": lambda: (chance.randrange(2), _hours(chance, 0.5, 5)),
        "move device": lambda: (device,),
        "strays": lambda: (_hours(chance, 0.5, 5),),
        "hostile": lambda: (
            chance.randrange(2),
            tuple(sorted(chance.sample(HOSTILE, chance.randrange(1, 4)))),
            _hours(chance, 1, 8),
        ),
        "command": lambda: (device, chance.choice(_DEMANDS)),
        "roll out": lambda: (chance.randrange(1, 4),),
        "halt": lambda: (chance.randrange(1, 4),),
        "low battery": lambda: (device, chance.choice(BATTERY), _hours(chance, 1, 20)),
        "short heap": lambda: (device, chance.choice(HEAP), _hours(chance, 0.5, 10)),
        "short allowance": lambda: (device, chance.choice(ALLOWANCE), _hours(chance, 2, 24)),
    }
    return drawn[what]()


# set an actuator (allowed, and one that its gate refuses), change a setting, ask for a report: SPEC.md section 5.4.
_DEMANDS = ([0, 1, 1], [0, 1, 0], [0, 1, 9], [1, 0, 1_800_000], [1, 0, 3_600_000], [2])
