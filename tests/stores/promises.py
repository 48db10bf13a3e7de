"""What a store acknowledged and when, beside the record of its disk; and what a database says in all its tables."""

import hashlib
from typing import Any, NamedTuple


class Promise(NamedTuple):
    """Something that was acknowledged after so many operations of the disk. fact: what the bench can look for."""

    after: int
    fact: tuple[Any, ...]


class Promises:
    """The log of one recorded run. Every committed content is noted: a cut must leave one of them, whole."""

    def __init__(self, disk):
        self._disk = disk
        self.facts: list[Promise] = []
        # Digest of a committed content -> its place among them; and after how many operations each place was acknowledged.
        self.states: dict[tuple[str, bytes], int] = {}
        self.acknowledged: list[tuple[int, str, int]] = []

    def committed(self, store, content):
        """A transaction of a store (one name for each file) was committed and left this content."""
        self.states.setdefault((store, content), len(self.states))

    def kept(self, *fact):
        """A caller was told something."""
        self.facts.append(Promise(len(self._disk.operations), fact))

    def told(self, store, facts, content):
        """A call returned: these facts hold, and this content is durable; None where contents are not noted."""
        for fact in facts:
            self.kept(store, *fact)
        if content is not None:
            self.committed(store, content)
            self.state_acknowledged(store, content)

    def state_acknowledged(self, store, content):
        """A caller was told that this content is durable."""
        self.acknowledged.append((len(self._disk.operations), store, self.states[store, content]))

    def due(self, cut):
        """Return the facts that hold after a cut before operation number `cut`."""
        return [promise.fact for promise in self.facts if promise.after <= cut]

    def wrong_state(self, cut, store, content):
        """Return what is wrong with a content found after a cut, or None; None too where contents were not noted."""
        if not self.states:
            return None
        place = self.states.get((store, content))
        if place is None:
            return f"{store}: a content that no transaction left"
        told = max((at for after, of, at in self.acknowledged if of == store and after <= cut), default=-1)
        return f"{store}: an acknowledged transaction is gone" if place < told else None


def contents(connection):
    """Return the digest of every row of every table."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    sums = hashlib.sha256()
    for (name,) in names:
        rows = connection.execute(f"SELECT * FROM {name}").fetchall()
        sums.update(repr((name, sorted(rows, key=repr))).encode())
    return sums.digest()
