"""Runs worlds: `python -m tests.sim SEED` shows one, `python -m tests.sim --seeds 0..200 --json build/sim.json` runs many and writes their figures."""

from tools.shim import install

install()

import sys  # noqa: E402 - the agent must be importable first

from tests.sim.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
