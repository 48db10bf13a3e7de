"""A device that boots again after an orderly end is where it was: actuators, rules, floors and settings are folded from its journal."""

from agent.app import Agent
from agent.config import Config
from tests.sim.device import state_of


def check(world):
    for device in world.devices:
        before = device.last_state
        if before is None:
            continue
        device.flash = device._flash()
        again = Agent(Config(device._settings()), device._board())
        after = state_of(again)
        for name, value in before.items():
            if after[name] != value and value != "on trial":
                yield f"{device.name}: {name} was {value} and is {after[name]} after a boot"
