"""Makes the frames of a fuzzing run and feeds them to a decoder, on both runtimes: the same name, seed and index give the same frame.

A frame is golden bytes with a few edits, or noise. A decoder ends each in a value or in one of the errors that it documents; which of the
two, and which reject code, is summed up, so that two runtimes can be compared over a million frames by one number.
"""

import gc
from binascii import crc32

from protocol.errors import ProtocolError
from tests.both.seeded_bytes import QuickDice

_NOISE_BYTES_MAX = 80
# Frames before memory is first looked at: what is made once is made by then.
_WARM_UP = 64
# Bytes that begin something in CBOR, CoAP or a varint, or are the ends of a range.
_TELLING = b"\x00\x01\x17\x18\x1b\x1f\x20\x3b\x40\x5b\x5f\x7b\x7f\x80\x81\x9b\x9f\xa0\xbb\xbf\xc0\xc2\xd9\xdb\xf5\xf6\xf7\xf8\xfb\xfe\xff"
# Arrays and maps that hold one more each.
_NESTS = (b"\x81", b"\xa1\x00", b"\x82\x00")
# Heads that announce far more than there is: bytes, text, array, map.
_HEADS = (0x5B, 0x7B, 0x9B, 0xBB)


class FuzzFailure(AssertionError):
    """A decoder raised what it does not document. The text names the frame and how to repeat it."""


class Entry:
    """A decoder under test.

    decode(frame): the call. golden: list of bytes, what frames are made of. covers: names of the functions that it runs. share: of
    a million frames. errors: the exceptions that it documents. edits: makes a frame of (dice, golden); the usual one by default.
    """

    def __init__(self, name, decode, golden, covers, share, errors=(ProtocolError,), edits=None):
        self.name = name
        self.decode = decode
        self.golden = golden
        self.covers = covers
        self.share = share
        self.errors = errors
        self.edits = make_frame if edits is None else edits


def make_frame(dice, golden):
    """Return noise, golden bytes as they are, or golden bytes after one to three edits."""
    kind = dice.below(16)
    if kind == 0:
        return bytes([dice.below(256) for _ in range(dice.below(_NOISE_BYTES_MAX))])
    raw = golden[dice.below(len(golden))]
    if kind == 1:
        return raw
    for _ in range(1 + dice.below(3) // 2 + dice.below(2)):
        raw = _edit(dice, raw, golden)
    return raw


def _edit(dice, raw, golden):
    at = dice.below(len(raw) + 1)
    kind = dice.below(12)
    # Half of the edits keep the length: what lies inside byte strings is reached only so.
    if kind < 3 and at < len(raw):
        return raw[:at] + bytes([raw[at] ^ (1 << dice.below(8))]) + raw[at + 1 :]
    if kind < 6:
        return raw[:at] + bytes([_TELLING[dice.below(len(_TELLING))]]) + raw[at + 1 :]
    if kind == 6:
        return raw[:at] + raw[at + 1 + dice.below(8) :]
    if kind == 7:
        return raw[:at] + bytes([dice.below(256) for _ in range(1 + dice.below(4))]) + raw[at:]
    if kind == 8:
        return raw[:at]
    if kind == 9:
        return raw[:at] + raw[max(0, at - 1 - dice.below(16)) :]
    if kind == 10:
        other = golden[dice.below(len(golden))]
        return raw[:at] + other[dice.below(len(other) + 1) :]
    if dice.below(16) == 0:
        return raw[:at] + _NESTS[dice.below(len(_NESTS))] * (8 + dice.below(2000)) + raw[at:]
    size = bytes([0 if dice.below(2) else 255] + [dice.below(256) for _ in range(7)])
    return raw[:at] + bytes([_HEADS[dice.below(4)]]) + size + raw[at + dice.below(2) :]


def frame_of(entry, seed, index):
    """Return one frame of a run."""
    return entry.edits(QuickDice(seed, index), entry.golden)


def run_entry(entry, count, seed):
    """Feed frames 0 .. count - 1 to a decoder; return (taken, refused, sum of all outcomes). Raises FuzzFailure."""
    taken = total = 0
    outcomes = bytearray()
    for index in range(count):
        frame = entry.edits(QuickDice(seed, index), entry.golden)
        try:
            entry.decode(frame)
            taken += 1
            outcomes.append(0)
        except entry.errors as error:
            code = getattr(error, "code", 255)
            outcomes.append(code & 255 if isinstance(code, int) else 254)
        except Exception as error:  # noqa: BLE001 - any other is what is looked for
            raise _failure(entry, seed, index, frame, error)  # noqa: B904 - MicroPython has no chains of exceptions
        if len(outcomes) == 512:
            total = crc32(outcomes, total)
            outcomes = bytearray()
    return taken, count - taken, crc32(outcomes, total)


def _failure(entry, seed, index, frame, error):
    shown = bytes(frame[:64]).hex() + ("..." if len(frame) > 64 else "")
    text = "{} raised {} {} on {} bytes {}\nrepeat: .venv/bin/python -m tests.fuzz --replay {}:{}:{}"
    return FuzzFailure(
        text.format(entry.name, type(error).__name__, error, len(frame), shown, entry.name, seed, index)
    )


def settle_memory():
    """Collect what can be collected; return the bytes in use: of the heap on MicroPython, of the process elsewhere."""
    gc.collect()
    if hasattr(gc, "mem_alloc"):
        return gc.mem_alloc()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def watch_entry(entry, count, seed):
    """Run an entry after a short warm-up; return what it did as a dict, and by how much memory has grown."""
    run_entry(entry, _WARM_UP, seed + 1)
    before = settle_memory()
    taken, refused, total = run_entry(entry, count, seed)
    growth = settle_memory() - before
    return {"name": entry.name, "taken": taken, "refused": refused, "sum": total, "growth": growth}


def share_of(entry, entries, frames):
    """Return how many of so many frames an entry gets."""
    return max(20, frames * entry.share // sum([one.share for one in entries]))
