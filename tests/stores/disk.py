"""What a disk may hold after the power went: a record of everything SQLite did, and the files it can leave at any cut.

Data is durable only once its file was synced; a name is durable only once its folder was. SQLite syncs the folder with the
first sync of a journal or log that it opened, and where it deletes one and says so; a database file alone does not make its
own name durable. Names come and go in order, data in any.

States of a cut: what was not synced is gone ("none"), there ("all"), there in part ("some"), or there in part with sectors
of it old or noise, the operation at work among them ("torn"). Shared memory (-shm) is never there: it is no data.
"""

import os
from typing import NamedTuple

from tests.stores import vfs

STATES = ("none", "all", "some", "torn")
SECTOR_BYTES = 512

CREATE, WRITE, TRUNCATE, SYNC, DELETE, SYNC_FOLDER, FAILED_SYNC = (
    *("create", "write", "truncate", "sync", "delete"),
    *("sync_folder", "failed_sync"),
)


class Operation(NamedTuple):
    """One thing that was done. at: byte offset, or new size for TRUNCATE."""

    kind: str
    path: str
    at: int = 0
    data: bytes = b""


class RecordingDisk:
    """Records; `lies(operation number)` may say that a sync is told and not done; `fault(kind, path)` may give an error.

    fault returns 0, or (code, part of the data that is still written).
    """

    def __init__(self, fault=None, lies=None):
        self.operations: list[Operation] = []
        self._names = set()
        self._new_journals = set()
        self._fault = fault or (lambda kind, path: 0)
        self._lies = lies or (lambda number: False)

    def begin(self, folder):
        """Take every file that is there as durable. Return name -> content."""
        held = {
            name: (folder / name).read_bytes() for name in os.listdir(folder) if not name.endswith("-shm")
        }
        self._names = set(held)
        return held

    def opened(self, path, is_journal):
        if path not in self._names:
            self._names.add(path)
            self.operations.append(Operation(CREATE, path))
        if is_journal:
            self._new_journals.add(path)

    def closed(self, path):
        self._new_journals.discard(path)

    def deleted(self, path, sync_folder):
        self._names.discard(path)
        self.operations.append(Operation(DELETE, path))
        if sync_folder:
            self.operations.append(Operation(SYNC_FOLDER, ""))

    def read(self, path, _offset, _size):
        told = self._fault("read", path)
        return told[0] if told else vfs.OK

    def write(self, path, offset, data):
        code, part = self._fault(WRITE, path) or (vfs.OK, 1.0)
        written = data[: int(len(data) * part)]
        if written:
            self.operations.append(Operation(WRITE, path, offset, written))
        return code, written

    def truncate(self, path, size):
        told = self._fault(TRUNCATE, path)
        if told:
            return told[0]
        self.operations.append(Operation(TRUNCATE, path, size))
        return vfs.OK

    def sync(self, path):
        told = self._fault(SYNC, path)
        if told:
            # The kernel calls those pages clean now, and they are not on the disk: a second sync does not help them.
            self.operations.append(Operation(FAILED_SYNC, path))
            return told[0]
        if not self._lies(len(self.operations)):
            self.operations.append(Operation(SYNC, path))
            if path in self._new_journals:
                self.operations.append(Operation(SYNC_FOLDER, ""))
        self._new_journals.discard(path)
        return vfs.OK


class _File:
    """One file's content: what is durable, and what was done since in order."""

    def __init__(self, content=b""):
        self.durable = bytearray(content)
        self.pending = []

    def sync(self):
        for operation in self.pending:
            _apply(self.durable, operation)
        self.pending = []


class Platter:
    """The disk at one moment of a record; do() brings it to the next."""

    def __init__(self, held):
        self._names = {name: _File(content) for name, content in held.items()}
        self._durable_names = dict(self._names)
        # Names that came or went since the folder was synced, in order: (name, file or None).
        self._pending_names = []

    def do(self, operation):
        """Carry out one operation."""
        kind, path = operation.kind, operation.path
        if kind in (CREATE, DELETE):
            file = _File() if kind == CREATE else None
            self._pending_names.append((path, file))
            _name(self._names, path, file)
        elif kind == SYNC_FOLDER:
            for name, file in self._pending_names:
                _name(self._durable_names, name, file)
            self._pending_names = []
        elif kind == SYNC:
            self._names[path].sync()
        elif kind == FAILED_SYNC:
            self._names[path].pending = []
        else:
            self._names[path].pending.append(operation)

    def is_settled(self):
        """Return whether every state of a cut here is the same."""
        files = [*self._names.values(), *self._durable_names.values()]
        return not self._pending_names and not any(file.pending for file in files)

    def files(self, state, rng, at_work=None):
        """Return name -> content as one state leaves it. at_work: the operation that the cut interrupts ("torn" only)."""
        names = dict(self._durable_names)
        kept_names = {"none": 0, "all": len(self._pending_names)}.get(
            state, rng.randint(0, len(self._pending_names))
        )
        for name, file in self._pending_names[:kept_names]:
            _name(names, name, file)
        # The file that the operation at work is about, which may not be the one that has its name after the cut.
        interrupted = at_work and at_work.kind == WRITE and self._names.get(at_work.path)
        return {
            name: _content(file, state, rng, at_work if file is interrupted else None)
            for name, file in names.items()
        }


def _name(names, path, file):
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _content(file, state, rng, at_work):
    content = bytearray(file.durable)
    if state == "none":
        return content
    pending = list(file.pending)
    if state == "torn" and at_work is not None:
        pending.append(at_work)
    for operation in pending:
        if state == "all" or rng.random() < 0.5:
            _apply(content, operation)
        elif state == "torn" and operation.kind == WRITE:
            _tear(content, operation, rng)
    return content


def _apply(content, operation):
    if operation.kind == TRUNCATE:
        del content[operation.at :]
        content.extend(bytes(operation.at - len(content)))
        return
    _put(content, operation.at, operation.data)


def _put(content, at, data):
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _tear(content, operation, rng):
    """Write some sectors of a write: each is new, or as it was, or noise. A sector of the disk, not of the write."""
    start, stop = operation.at, operation.at + len(operation.data)
    for sector in range(start - start % SECTOR_BYTES, stop, SECTOR_BYTES):
        low, high = max(sector, start), min(sector + SECTOR_BYTES, stop)
        fate = rng.random()
        if fate < 0.6:
            _put(content, low, operation.data[low - start : high - start])
        elif fate < 0.7:
            _put(content, low, rng.randbytes(high - low))


def write_files(folder, files):
    """Make folder hold these files and no others of a database."""
    for name in os.listdir(folder):
        if name not in files:
            os.unlink(os.path.join(folder, name))
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
