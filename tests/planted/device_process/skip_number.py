"""`micropython skip_number.py device.json`: the device's process, with a fault that leaves out numbers. Runs on MicroPython only.

A folder of its own: a program's folder comes first on the path, and the one above has an agent.py.
"""

import sys

import unix_main

from agent.journal import Journal

# A segment number in so many is left out.
_EVERY = 16


def plant():
    """Seal and chain as always, but now and then count on by two."""
    commit = Journal.commit

    def skipping(self, lane, index, raw, header):
        commit(self, lane, index, raw, header)
        if header.number % _EVERY == _EVERY - 2:
            self.lanes[lane].next_number = header.number + 2

    Journal.commit = skipping


if __name__ == "__main__":
    plant()
    sys.exit(unix_main.main(sys.argv[1]))
