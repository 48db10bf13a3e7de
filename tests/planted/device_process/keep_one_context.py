"""`micropython keep_one_context.py device.json`: the device's process, with a fault that makes the same link keys at each boot. Runs on MicroPython only."""

import sys

import unix_main

from agent import session


def plant():
    """Whoever has the flash speaks under keys and numbers that were used."""
    session.fresh_context = lambda boot, random_bytes: b"8 bytes!"


if __name__ == "__main__":
    plant()
    sys.exit(unix_main.main(sys.argv[1]))
