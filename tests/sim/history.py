"""What happened, in order: hashed, so that two runs of one seed can be compared, and the truth that checks are made against."""

import hashlib
from collections import Counter, deque

_KEPT_LINES = 400


class Crash(BaseException):
    """A process ends here, without a word. Nothing of ours may catch it."""


class History:
    """note(): a line. digest(): of all lines. sealed: what each device sealed, and only that is true of it. happened: what faults did, by
    the names of happened.py."""

    def __init__(self, time):
        self._time = time
        self._hash = hashlib.sha256()
        self.lines = 0
        self.newest = deque(maxlen=_KEPT_LINES)
        self.counts = {}
        self.happened = Counter()
        # device -> (lane, epoch, number) -> digests, in the order of sealing; more than one after a cut or a restored flash.
        self.sealed = {}
        self.broken = []

    def note(self, actor, what, *details):
        """Write one line."""
        line = (round(self._time.now * 1000), actor, what, *details)
        self._hash.update(repr(line).encode())
        self.lines += 1
        self.newest.append(line)
        self.counts[what] = self.counts.get(what, 0) + 1

    def digest(self):
        return self._hash.hexdigest()

    def breaks(self, promise, text):
        """A promise is broken, seen while it happened."""
        self.note("check", promise, text)
        self.broken.append((promise, text))

    def seals(self, header, raw):
        """A device is about to write a segment to its flash."""
        place = (header.lane, header.epoch, header.number)
        digest = hashlib.sha256(raw).digest()
        self.sealed.setdefault(header.device, {}).setdefault(place, []).append(digest)
        self.note(header.device.hex()[:4], "seal", *place, digest[:8].hex())

    def is_sealed(self, device, place, digest):
        """Say whether a device sealed those bytes for that place."""
        return digest in self.sealed.get(device, {}).get(place, ())
