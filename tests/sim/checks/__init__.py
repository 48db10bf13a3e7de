"""One file for each promise. Most are asked when a world has come to rest: check(world) -> [what breaks it]. Those of WATCHED are asked
while it lives, by watch.py."""

from tests.sim.checks import (
    adoption,
    bounded,
    chains,
    commands,
    counters,
    critical,
    degraded,
    forged,
    gaps,
    lost,
    once,
    order,
    replay,
    rest,
    silence,
    state,
    usage,
)

PROMISES = {
    "nothing receipted is lost": lost,
    "nothing is doubled": once,
    "nothing forged is accepted": forged,
    "chains close over tombstones": chains,
    "order is kept": order,
    "storage is bounded": bounded,
    "state is the fold of what is durable": state,
    "decisions replay equal": replay,
    "adoption: old or new": adoption,
    "commands once": commands,
    "what is given up is said": degraded,
    "all is at rest": rest,
    "what is told was moved": usage,
}
WATCHED = {
    "critical first": critical,
    "counters": counters,
    "gaps are found": gaps,
    "silence": silence,
}


def check_all(world):
    """Ask for every promise and write what breaks it to the history."""
    for promise, module in PROMISES.items():
        for text in module.check(world):
            world.history.breaks(promise, text)
