"""`micropython keep_open_samples.py device.json`: the device's process, with a fault that keeps what it records unsealed. Runs on MicroPython only."""

import json
import sys

import unix_main

from agent.journal import Journal


def plant(path):
    """What is recorded is noted at the end of the flash image, too."""
    with open(path) as file:
        image = json.load(file)["flash"]
    append = Journal.append

    def noting(self, lane, event):
        with open(image + ".agents", "ab") as file:
            file.write(repr(event).encode())
        return append(self, lane, event)

    Journal.append = noting


if __name__ == "__main__":
    plant(sys.argv[1])
    sys.exit(unix_main.main(sys.argv[1]))
