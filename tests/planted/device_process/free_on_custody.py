"""`micropython free_on_custody.py device.json`: the device's process, with a fault that takes custody for a receipt. Runs on MicroPython only."""

import sys

import unix_main

from agent.acknowledgements import Acknowledgements


def plant():
    """Whatever a gateway says it has may go first, and without a tombstone."""
    note_custody = Acknowledgements.note_custody

    def freeing(self, lane, epoch, watermark):
        note_custody(self, lane, epoch, watermark)
        if epoch == self.epoch:
            state = self.lanes[lane]
            state.receipt = max(state.receipt, state.custody - 1)

    Acknowledgements.note_custody = freeing


if __name__ == "__main__":
    plant()
    sys.exit(unix_main.main(sys.argv[1]))
