"""Runs tests/stores/command.py."""

from tools.shim import install

install()

import sys  # noqa: E402 - the agent must be importable first

from tests.stores.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
