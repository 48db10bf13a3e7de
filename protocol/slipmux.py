"""CoAP messages as frames on a byte stream: a serial line, or a pair of GATT characteristics.

Source: SPEC.md section 13; draft-bormann-t2trg-slipmux-03, RFC 1055, RFC 1662 appendix C.
"""

from protocol._const import const
from protocol.coap import datagram_bytes_max

COAP = const(0xA9)
TEXT = const(0x0A)

_END = b"\xc0"
_ESC = b"\xdb"
_ESC_END = b"\xdb\xdc"
_ESC_ESC = b"\xdb\xdd"
_CHECK_BYTES = const(2)
_CONTENT_BYTES_MAX = datagram_bytes_max + 1 + _CHECK_BYTES
# Each byte may be escaped.
_RAW_BYTES_MAX = 2 * _CONTENT_BYTES_MAX
_INITIAL = const(0xFFFF)
# What remains of the register after content and its own check.
_GOOD = const(0xF0B8)
# The reflected polynomial 0x8408, four bits at a time: 16 entries, where a byte at a time would need 256.
_NIBBLES = (
    0x0000, 0x1081, 0x2102, 0x3183, 0x4204, 0x5285, 0x6306, 0x7387,
    0x8408, 0x9489, 0xA50A, 0xB58B, 0xC60C, 0xD68D, 0xE70E, 0xF78F,
)  # fmt: skip


def _register(content: bytes) -> int:
    register = _INITIAL
    for byte in content:
        register = register >> 4 ^ _NIBBLES[(register ^ byte) & 15]
        register = register >> 4 ^ _NIBBLES[(register ^ byte >> 4) & 15]
    return register


def _enclose(content: bytes) -> bytes:
    return _END + content.replace(_ESC, _ESC_ESC).replace(_END, _ESC_END) + _END


def encode_frame(datagram: bytes) -> bytes:
    """Return the frame of one datagram, with the delimiters on both sides."""
    assert len(datagram) <= datagram_bytes_max
    content = bytes((COAP,)) + datagram
    check = _register(content) ^ _INITIAL
    return _enclose(content + bytes((check & 255, check >> 8)))


def encode_text(text: str) -> bytes:
    """Return the frame of a line for people."""
    return _enclose(bytes((TEXT,)) + text.encode())


class FrameReader:
    """Finds frames in a stream that comes in pieces of any size; holds at most one frame in memory.

    Counts, all rising: dropped (frames that noise or an overrun spoiled), foreign (frames of a kind that is not ours).
    """

    def __init__(self):
        self._raw = bytearray()
        self._is_too_long = False
        self.dropped = 0
        self.foreign = 0

    def feed(self, piece: bytes) -> list:
        """Return what became whole with the next bytes: tuples (COAP, datagram) or (TEXT, bytes)."""
        whole = []
        start = 0
        while True:
            end = piece.find(_END, start)
            self._take(piece[start:] if end < 0 else piece[start:end])
            if end < 0:
                return whole
            frame = self._finish()
            if frame is not None:
                whole.append(frame)
            start = end + 1

    def abandon(self) -> None:
        """Drop the frame that has begun: its rest will not come, what comes next is of another stream."""
        self.dropped += bool(self._raw) or self._is_too_long
        self._raw = bytearray()
        self._is_too_long = False

    def _take(self, part: bytes) -> None:
        if len(self._raw) + len(part) > _RAW_BYTES_MAX:
            # The rest of it is not kept, so that nobody can fill our memory.
            self._is_too_long = True
            self._raw = bytearray()
        elif not self._is_too_long:
            self._raw.extend(part)

    def _finish(self):
        raw = bytes(self._raw)
        is_too_long = self._is_too_long
        self._raw = bytearray()
        self._is_too_long = False
        if not raw and not is_too_long:
            return None
        frame = None if is_too_long else _open(raw)
        if frame is None:
            self.dropped += 1
        elif frame[0] not in (COAP, TEXT):
            self.foreign += 1
            return None
        return frame


def _open(raw: bytes):
    """Return (first byte, content without it and its check), None for a frame that is spoiled."""
    if raw.count(_ESC) != raw.count(_ESC_END) + raw.count(_ESC_ESC):
        return None
    content = raw.replace(_ESC_END, _END).replace(_ESC_ESC, _ESC)
    if len(content) > _CONTENT_BYTES_MAX:
        return None
    if content[0] != COAP:
        return content[0], content[1:]
    if len(content) < 1 + _CHECK_BYTES or _register(content) != _GOOD:
        return None
    return COAP, content[1:-_CHECK_BYTES]
