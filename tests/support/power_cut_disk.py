"""A disk that loses power: what was synced stays, what was not may stay or go, and a write may be torn."""

from office_ingest.govern.leaf import OsDisk
from tests.both.seeded_bytes import Dice


class PowerCut(Exception):
    """The power went; the process that used the disk is no more."""


class ModelDisk:
    """An office_ingest.govern.leaf.Disk in memory.

    Content is durable once write() returned. Names are durable in the order in which they changed, up to the last
    sync_folder() for certain and beyond it as the dice fall.
    """

    def __init__(self, dice: Dice):
        self._dice = dice
        self._durable = {}
        self._pending = []
        self._steps_left = -1

    def cut_after(self, steps):
        """Cut the power within a later step: 0 is the next; -1: never."""
        self._steps_left = steps

    def read(self, path):
        names = self._names(len(self._pending))
        if path not in names:
            raise FileNotFoundError(path)
        return bytes(names[path])

    def write(self, path, content):
        names = self._names(len(self._pending))
        file = names.get(path)
        if file is None:
            file = bytearray()
            self._pending.append((path, None, file))
        if self._is_last():
            file[:] = content[: self._dice.below(len(content) + 1)]
            raise PowerCut
        file[:] = content

    def replace(self, source, target):
        file = self._names(len(self._pending))[source]
        self._pending.append((target, source, file))
        if self._is_last():
            raise PowerCut

    def sync_folder(self, folder):
        if self._is_last():
            raise PowerCut
        self._durable = self._names(len(self._pending))
        self._pending = []

    def power_on(self):
        """Come back after a cut, at any moment: of the changes that no sync covers, some first ones are there."""
        self._durable = self._names(self._dice.below(len(self._pending) + 1))
        self._pending = []
        self._steps_left = -1

    def backup(self):
        """Return what restore() takes."""
        return {path: bytes(file) for path, file in self._names(len(self._pending)).items()}

    def restore(self, copy):
        """Put everything back as it was when backup() was made."""
        self._durable = {path: bytearray(content) for path, content in copy.items()}
        self._pending = []

    def _is_last(self):
        if self._steps_left < 0:
            return False
        self._steps_left -= 1
        return self._steps_left < 0

    def _names(self, count):
        names = dict(self._durable)
        for path, source, file in self._pending[:count]:
            if source is not None:
                names.pop(source, None)
            names[path] = file
        return names


class CutDisk(OsDisk):
    """The machine's own disk, whose power goes before or after one step."""

    def __init__(self, step, after):
        self._step = step
        self._after = after

    def write(self, path, content):
        self._pass(super().write, path, content)

    def replace(self, source, target):
        self._pass(super().replace, source, target)

    def sync_folder(self, folder):
        self._pass(super().sync_folder, folder)

    def _pass(self, act, *arguments):
        self._step -= 1
        if self._step == 0 and not self._after:
            raise PowerCut
        act(*arguments)
        if self._step == 0:
            raise PowerCut
