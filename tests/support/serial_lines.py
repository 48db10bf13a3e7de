"""Serial lines for tests: ptys that can be unplugged, wires with noise between them, and what a UART hears at another baud rate."""

import asyncio
import os
import random
import tty


class Plug:
    """One end of a line, under a name that stays: unplugged, the name is gone; plugged in again, it is another pty, as on USB.

    It is what the agent's SerialLink takes for a UART: read(n) without waiting, write(piece).
    """

    def __init__(self, path, is_in=True):
        self.path = path
        self.fd = None
        if is_in:
            self.plug_in()

    def plug_in(self):
        """Connect it: the name appears."""
        self.fd, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.fd, False)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)

    def unplug(self):
        """Take it away while somebody uses it."""
        if self.fd is not None:
            self.path.unlink()
            os.close(self.fd)
            self.fd = None

    def read(self, n):
        """Return what has come, None where there is nothing or nobody."""
        if self.fd is None:
            return None
        try:
            return os.read(self.fd, n) or None
        except OSError:
            return None

    def write(self, piece):
        """Send; what a full line does not take is lost, as on a wire without flow control. Return how much it took."""
        if self.fd is None:
            return 0
        try:
            return os.write(self.fd, piece)
        except OSError:
            return 0


class Noise:
    """Turns a bit in one of so many bytes, on average. spoiled: how many it has turned."""

    def __init__(self, one_of, seed):
        self._chance = random.Random(seed)
        self._one_of = one_of
        self._left = self._next()
        self.spoiled = 0

    def _next(self):
        return self._chance.randrange(2 * self._one_of)

    def __call__(self, piece):
        """Return the piece as it arrives."""
        piece = bytearray(piece)
        at = self._left
        while at < len(piece):
            piece[at] ^= 1 << self._chance.randrange(8)
            self.spoiled += 1
            at += 1 + self._next()
        self._left = at - len(piece)
        return bytes(piece)


def clean(piece):
    """A wire that changes nothing."""
    return piece


class Wire:
    """Joins two plugs: what one is sent the other brings, through up (from the first) and down. Run it as a task."""

    def __init__(self, first, second, up=clean, down=clean):
        self._ends = first, second
        self._ways = ((first, second, up), (second, first, down))
        self.carried = 0

    def calm(self):
        """Change nothing from now on."""
        first, second = self._ends
        self._ways = ((first, second, clean), (second, first, clean))

    async def run(self):
        """Carry until cancelled."""
        while True:
            for source, target, change in self._ways:
                piece = source.read(4096)
                if piece:
                    target.write(change(piece))
                    self.carried += len(piece)
            await asyncio.sleep(0.001)


def as_heard(piece, sent_baud, heard_baud):
    """Return what a UART set to heard_baud makes of bytes sent at sent_baud: start bit, eight bits, stop bit, sampled in the middle."""
    levels = [level for byte in piece for level in (0, *(byte >> bit & 1 for bit in range(8)), 1)]

    def level(time):
        at = int(time * sent_baud)
        return levels[at] if at < len(levels) else 1

    heard = bytearray()
    now, end, bit_s = 0.0, len(levels) / sent_baud, 1 / heard_baud
    while now < end:
        if level(now):
            now += bit_s / 16
            continue
        heard.append(sum(level(now + bit_s * (bit + 1.5)) << bit for bit in range(8)))
        # A missing stop bit is an error of framing, which drivers pass on as the byte; the next start is looked for behind it.
        now += bit_s * 9.5
    return bytes(heard)
