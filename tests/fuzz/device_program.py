"""Fuzzes the decoders of a device and prints a JSON line for each. Runs on MicroPython and on CPython.

micropython device_program.py FRAMES SEED [NAME ...]
"""

import json
import sys

from tests.fuzz.device_decoders import ENTRIES
from tests.fuzz.frames import share_of, watch_entry


def main(arguments):
    """Fuzz; a FuzzFailure ends the program with its text."""
    frames, seed, names = int(arguments[0]), int(arguments[1]), arguments[2:]
    for entry in ENTRIES:
        if not names or entry.name in names:
            print(json.dumps(watch_entry(entry, share_of(entry, ENTRIES, frames), seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
