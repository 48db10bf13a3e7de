"""The judge of agent.run: a run that encodes all it holds at each question and remembers nothing but what the last answer was.

It asks at the same counts, so that what it seals is to be equal to the byte.
"""

from protocol.errors import TOO_LARGE, ProtocolError
from protocol.event import SAMPLE, encode_events
from protocol.limits import events_bytes_max, segment_events_max


def encode(events):
    """Return the plaintext, or None where it is too large."""
    try:
        return encode_events(7, events)
    except ProtocolError as error:
        assert error.code == TOO_LARGE
        return None


class WholeRun:
    """add and longest as agent.run.Run has them."""

    def __init__(self):
        self.events = []
        self._forget()

    def _forget(self):
        self._fits = 0
        self._check_at = 8

    def add(self, event):
        self.events.append(event)
        count = len(self.events)
        if count < self._check_at and event[2] == SAMPLE:
            return False
        plaintext = encode(self.events)
        if plaintext is None:
            self._check_at = count
            return True
        self._fits = count
        left = events_bytes_max - len(plaintext)
        step = max(1, left * count * 3 // (len(plaintext) * 4))
        self._check_at = min(segment_events_max, count + step)
        return left < 6 or count == segment_events_max

    def longest(self):
        count = min(len(self.events), segment_events_max)
        if encode(self.events[:count]) is not None:
            return count
        low = min(max(1, self._fits), count)
        while count - low > 1:
            middle = (low + count) // 2
            if encode(self.events[:middle]) is None:
                count = middle
            else:
                low = middle
        return low

    def drop_first(self, count):
        self.events = self.events[count:]
        self._forget()
