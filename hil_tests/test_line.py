"""The data line carries every byte, both ways, and the console's keys mean nothing on it."""

import random

from hil_tests.qemu import Repl
from protocol.slipmux import COAP, FrameReader, encode_frame

ECHO = """
import machine
from protocol.slipmux import FrameReader, encode_frame
uart, reader, left = machine.UART(1), FrameReader(), %d
while left:
    for kind, content in reader.feed(uart.read(256) or b''):
        uart.write(encode_frame(bytes(reversed(content))))
        left -= 1
print('done', reader.dropped)
"""


def exchange(line, datagram):
    """Send one datagram and return the next one that comes."""
    at = len(line.heard)
    line.send(encode_frame(datagram))
    reader = FrameReader()
    while line.wait(at, 30):
        piece = line.heard[at:]
        at += len(piece)
        for kind, content in reader.feed(piece):
            assert kind == COAP
            return content
    return None


def test_frames_of_every_byte_come_back(development, start, blank_flash):
    """Reversed by the board, so that nothing between loops them back; Ctrl-C and its like among the bytes."""
    board = start(development, blank_flash)
    chosen = random.Random(5)
    datagrams = [bytes(range(256)) * 4, b"\x03" * 300, b"\xc0\xdb" * 500]
    for _ in range(17):
        part = chosen.choice([b"\xc0\xdb\x03\x04", bytes(range(256))])
        datagrams.append(part * chosen.randrange(1, 5))
    Repl(board).start(ECHO % len(datagrams))
    for datagram in datagrams:
        assert exchange(board.line, datagram) == datagram[::-1]

    assert board.wait_for("done 0")


def test_line_is_silent_while_nobody_speaks(development, start, blank_flash):
    """What the console says does not come out of the data line."""
    board = start(development, blank_flash)
    Repl(board).run("print('to the console')")

    assert board.line.quiet(0.5) == b""
