"""MicroPython program: the same records on littlefs and on naive storage, cut at every flash operation. Prints one JSON object a variant.

    micropython peers_program.py RECORDS VARIANT

A record counts as acknowledged when the call that makes it durable has returned. Of a cut operation happens nothing (clean), a prefix
(torn), or a prefix with random bits behind it (noise), as agent/flash.py does it. A block device object lives for one boot only: a file that
an exception left open is closed by the collector much later, and must find nothing to write to.
"""

import binascii
import json
import os
import struct
import sys

import vfs

from tests.both.seeded_bytes import QuickDice

_BLOCK = 4096
_BLOCKS = 24
_RECORD = 54
_MODES = ("clean", "torn", "noise")
_FOLDER = "/cuts"
_FILE = _FOLDER + "/log"


class Dead(Exception):
    """The flash has no power."""


class Blocks:
    """A block device in RAM that lists what is programmed and erased: (block, offset, bytes), or (block, None, None)."""

    def __init__(self, image):
        self.image = image
        self.operations = []
        self.is_dead = False

    def readblocks(self, block, out, offset=0):
        at = block * _BLOCK + offset
        out[:] = self.image[at : at + len(out)]

    def writeblocks(self, block, data, offset=0):
        if self.is_dead:
            raise Dead
        self.operations.append((block, offset, bytes(data)))
        at = block * _BLOCK + offset
        self.image[at : at + len(data)] = data

    def ioctl(self, request, block):
        if request == 4:
            return _BLOCKS
        if request == 5:
            return _BLOCK
        if request == 6:
            if self.is_dead:
                raise Dead
            self.operations.append((block, None, None))
            self.image[block * _BLOCK : (block + 1) * _BLOCK] = b"\xff" * _BLOCK
        return 0


def record(number):
    """Return the bytes of a record: number, filling, checksum."""
    body = struct.pack(">I", number) + bytes([(number * 31 + i) & 255 for i in range(_RECORD - 8)])
    return body + struct.pack(">I", binascii.crc32(body))


def whole_records(data):
    """Return the numbers of the whole records at the beginning of data."""
    numbers = []
    for at in range(0, len(data) - _RECORD + 1, _RECORD):
        number = struct.unpack(">I", data[at : at + 4])[0]
        if number >= 100000 or data[at : at + _RECORD] != record(number):
            break
        numbers.append(number)
    return numbers


class Littlefs:
    """A file on littlefs. flush_every: records a flush; rewrites: remove the file and write it anew instead of appending."""

    def __init__(self, flush_every=1, rewrites=False):
        self.flush_every = flush_every
        self.rewrites = rewrites

    def format(self, blocks):
        vfs.VfsLfs2.mkfs(blocks)

    def open(self, blocks):
        vfs.mount(vfs.VfsLfs2(blocks), _FOLDER)

    def close(self):
        vfs.umount(_FOLDER)

    def read(self):
        try:
            with open(_FILE, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def write(self, first, stop, acknowledge):
        if self.rewrites:
            self._rewrite(first, stop, acknowledge)
            return
        with open(_FILE, "ab") as file:
            for number in range(first, stop):
                file.write(record(number))
                if (number + 1 - first) % self.flush_every == 0:
                    file.flush()
                    acknowledge(number + 1)

    def _rewrite(self, first, stop, acknowledge):
        for number in range(first, stop):
            held = self.read()
            if held:
                os.remove(_FILE)
            with open(_FILE, "wb") as file:
                file.write(held + record(number))
            acknowledge(number + 1)


class InPlace:
    """No filesystem: the log lies in the first blocks; each record erases the newest block and programs it anew."""

    per_block = _BLOCK // _RECORD

    def format(self, blocks):
        pass

    def open(self, blocks):
        self.blocks = blocks

    def close(self):
        pass

    def read(self):
        out = b""
        for block in range(_BLOCKS):
            held = bytearray(_BLOCK)
            self.blocks.readblocks(block, held)
            numbers = whole_records(held)
            out += bytes(held[: len(numbers) * _RECORD])
        return out

    def write(self, first, stop, acknowledge):
        for number in range(first, stop):
            block, place = divmod(number, self.per_block)
            held = bytearray(place * _RECORD)
            if place:
                self.blocks.readblocks(block, held)
            self.blocks.ioctl(6, block)
            self.blocks.writeblocks(block, bytes(held) + record(number))
            acknowledge(number + 1)


VARIANTS = {
    "littlefs, append and flush each": lambda: Littlefs(),
    "littlefs, append and flush each 6": lambda: Littlefs(6),
    "littlefs, remove and rewrite": lambda: Littlefs(rewrites=True),
    "raw, rewritten in place": lambda: InPlace(),
}


def cut_image(image, operation, mode, dice):
    """Return the image after the power failed within an operation."""
    image = bytearray(image)
    block, offset, data = operation
    if mode == "clean":
        return image
    at = block * _BLOCK + (offset or 0)
    new = b"\xff" * _BLOCK if offset is None else data
    done = dice.below(len(new) + 1)
    image[at : at + done] = new[:done]
    if mode == "noise":
        stop = len(new) if offset is None else min(len(new), done + 64)
        for i in range(at + done, at + stop):
            image[i] = image[i] | dice.below(256) if offset is None else image[i] & dice.below(256)
    return image


def run(variant, records):
    """Write records once, then cut every operation in every mode; return what was lost and what it cost."""
    image = bytearray(b"\xff" * (_BLOCK * _BLOCKS))
    blocks = Blocks(image)
    storage = VARIANTS[variant]()
    storage.format(blocks)
    blocks.operations.clear()
    start = bytes(image)
    acknowledged = []
    storage.open(blocks)
    storage.write(0, records, lambda count: acknowledged.append((len(blocks.operations), count)))
    storage.close()
    result = {
        "variant": variant,
        "records": records,
        "cuts": 0,
        "cuts_that_lost": 0,
        "lost_worst": 0,
        "unreadable": 0,
    }
    done = bytearray(start)
    for index in range(len(blocks.operations)):
        operation = blocks.operations[index]
        told = max([0] + [count for at, count in acknowledged if at <= index])
        for mode in range(3):
            cut = cut_image(done, operation, _MODES[mode], QuickDice(index, mode))
            judge(variant, cut, told, result)
        apply(done, operation)
    programmed = sum([len(data) for _, offset, data in blocks.operations if offset is not None])
    result["bytes_per_payload_byte"] = round(programmed / (records * _RECORD), 3)
    result["erases_per_record"] = round(len([1 for op in blocks.operations if op[1] is None]) / records, 4)
    return result


def apply(image, operation):
    """Do an operation whole."""
    block, offset, data = operation
    at = block * _BLOCK + (offset or 0)
    new = b"\xff" * _BLOCK if offset is None else data
    image[at : at + len(new)] = new


def judge(variant, image, told, result):
    """Boot from a cut image, count what is missing, write on, boot again."""
    result["cuts"] += 1
    blocks = Blocks(image)
    storage = VARIANTS[variant]()
    try:
        storage.open(blocks)
        try:
            held = whole_records(storage.read())
            lost = told - len(held) if held == list(range(len(held))) else told
            if lost > 0:
                result["cuts_that_lost"] += 1
                result["lost_worst"] = max(result["lost_worst"], lost)
            storage.write(len(held), len(held) + 6, lambda count: None)
            if len(whole_records(storage.read())) < len(held) + 6:
                result["unreadable"] += 1
        finally:
            storage.close()
    except OSError:
        result["unreadable"] += 1
    finally:
        blocks.is_dead = True


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[2], int(sys.argv[1]))))
