"""What one serial line brings, counted, and what that says of it: frames, a console's text, or garbage of a wrong baud rate.

No I/O and no clock: the verdict rests on bytes alone, so that a line that is slow or silent is never called broken.
"""

from typing import Any

from protocol.diagnostic import Diagnostic
from protocol.slipmux import COAP, FrameReader

AWAY = "away"
SILENT = "silent"
FRAMES = "frames"
TEXT = "text"
GARBLED = "garbled"

# So many bytes without one whole frame: of a line that never brought one, less than a request and its repetitions.
_UNREADABLE_BYTES_FIRST = 256
# Of a line that did: more than any run of frames that noise spoils by chance, and a longer text than a board prints at its boot.
_UNREADABLE_BYTES = 4096
_PRINTABLE = bytes([*range(0x20, 0x7F), *b"\t\n\r\x1b"])
# Of a hundred bytes; a wrong baud rate makes printable ones of fewer than half.
_TEXT_PERCENT = 90


class LineQuality:
    """Takes a line's bytes, gives its datagrams, and keeps count.

    state: SILENT until anything comes, then FRAMES, TEXT or GARBLED. Counts, all rising: received_bytes (raw), frames (whole
    CoAP frames), spoiled (frames that noise hit), skipped (frames of another kind, and what stands between frames).
    """

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._texts = 0
        self._bytes = 0
        self._printable = 0
        self.state = SILENT
        self.received_bytes = 0
        self.frames = 0
        # Of readers before this one: a line that comes back begins with an empty one.
        self._spoiled = 0
        self._skipped = 0

    @property
    def spoiled(self) -> int:
        """Frames that did not arrive as they were sent."""
        return self._spoiled + self._reader.dropped

    @property
    def skipped(self) -> int:
        """Pieces between delimiters that are no CoAP frame: text, and kinds that are not ours."""
        return self._skipped + self._reader.foreign + self._texts

    def begin(self) -> None:
        """Forget the half of a frame that came before the line went away, and judge what comes now anew."""
        self._spoiled += self._reader.dropped
        self._skipped += self._reader.foreign
        self._reader = FrameReader()
        self._bytes = self._printable = 0
        self.state = SILENT

    def hear(self, piece: bytes) -> list[bytes]:
        """Return the datagrams that became whole with the next bytes of the line."""
        found = self._reader.feed(piece)
        datagrams = [content for kind, content in found if kind == COAP]
        self._texts += len(found) - len(datagrams)
        self.received_bytes += len(piece)
        self.frames += len(datagrams)
        if datagrams:
            self.state = FRAMES
            self._bytes = self._printable = 0
        else:
            self._judge(piece)
        return datagrams

    def _judge(self, piece: bytes) -> None:
        self._bytes += len(piece)
        self._printable += len(piece) - len(piece.translate(None, _PRINTABLE))
        is_text = 100 * self._printable >= _TEXT_PERCENT * self._bytes
        is_first = self.state == SILENT and not is_text
        if self._bytes < (_UNREADABLE_BYTES_FIRST if is_first else _UNREADABLE_BYTES):
            return
        self.state = TEXT if is_text else GARBLED
        self._bytes = self._printable = 0


def finding(line: dict[str, Any]) -> Diagnostic | None:
    """Return what a person must mend on a line, or None. line: of serial_line.SerialLine.document()."""
    where = f"serial port {line['port']} at {line['baud']} baud"
    if line["state"] == AWAY:
        fix = "connect it, see who holds it and that this user may use it, or mend port under [[serial]]; it is tried again by itself"
        return Diagnostic(
            "serial-away", f"{where} cannot be used: {line['reason']}", fix=fix, severity="warning"
        )
    if line["state"] == GARBLED:
        fix = "set baud of this port under [[serial]] to what the device uses; see wires and ground"
        said = f"{where} brings bytes, and none of them is a whole frame: another baud rate, or noise"
        return Diagnostic("serial-unreadable", said, fix=fix, severity="warning")
    if line["state"] == TEXT:
        fix = "name the port of the board's data line; a console is read with outstation device logs --port"
        said = f"{where} brings text and no frame: it is a console"
        return Diagnostic("serial-unreadable", said, fix=fix, severity="warning")
    return None
