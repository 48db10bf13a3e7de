"""The agent must be importable before anything of the simulation is."""

from tools.shim import install

install()
