"""Datagrams over BLE: slipmux frames through two GATT characteristics, this device the peripheral. Source: SPEC.md section 13.1.

MicroPython may call the handler between any two bytecodes of the loop, on some ports from another thread: it only notes, in a few
assignments, and the loop looks. What a central writes is kept by the Bluetooth stack itself, in a buffer that appends, until it is read.
"""

from agent.links.serial import SerialLink
from protocol._const import const
from protocol.gatt import DOWN, SERVICE, UP, advertisement, mtu_min, piece_bytes

# One packet of a radio with long packets carries it.
mtu_max = 247

# Events and flags, as MicroPython's documentation of the module bluetooth numbers them.
_CENTRAL_CONNECT = const(1)
_CENTRAL_DISCONNECT = const(2)
_GATTS_WRITE = const(3)
_MTU_EXCHANGED = const(21)
_FLAG_WRITE_NO_RESPONSE = const(0x0004)
_FLAG_WRITE = const(0x0008)
_FLAG_NOTIFY = const(0x0010)
_ADDRESS_RANDOM = const(1)

# The longest frame with each byte escaped: one request is outstanding, so one answer comes.
_BUFFER_BYTES = const(2560)
_ADVERTISE_US = const(250000)
# A stack may stop by itself, as after a connection that never came to be: it is told again so often.
_RENEW_MS = const(30000)
# A central that says nothing, and one that never answers, do not keep others away.
_OPEN_MS = const(30000)
_SILENT_MS = const(90000)


class BleStream:
    """The bytes of whichever central is connected, with the shape of a UART: each write() is one frame.

    ble: a bluetooth.BLE. uuid: bluetooth.UUID. ticks_ms, ticks_diff: the board's.

    A frame is kept until something comes back after it: a connection that opens begins with it. Only then is there anything to
    advertise for. life: rises with each beginning and end of a connection that the loop has seen. replaced: frames given up for others.
    """

    def __init__(self, ble, uuid, ticks_ms, ticks_diff, mtu: int = mtu_max):
        self._ble = ble
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        # Written by the handler alone, but for _has_come.
        self._connection = None
        self._mtu = mtu_min
        self._lives = 0
        self._is_open = False
        self._has_come = False
        self._is_advertising = False
        self._advertised_ms = 0
        self.life = 0
        self.replaced = 0
        self._frame = b""
        self._at = 0
        self._is_unanswered = False
        self._since_ms = 0
        self._begin(uuid, mtu)

    def _begin(self, uuid, mtu: int) -> None:
        ble = self._ble
        ble.active(True)
        try:
            ble.config(addr_mode=_ADDRESS_RANDOM)
        except (OSError, ValueError):
            # This radio has one address for ever. Nobody's identity rests on it.
            pass
        ble.config(mtu=mtu)
        ble.irq(self._note)
        down = (uuid(DOWN), _FLAG_WRITE | _FLAG_WRITE_NO_RESPONSE)
        up = (uuid(UP), _FLAG_NOTIFY)
        ((self._down, self._up),) = ble.gatts_register_services(((uuid(SERVICE), (down, up)),))
        ble.gatts_set_buffer(self._down, _BUFFER_BYTES, True)

    def _note(self, event: int, details) -> None:
        if event == _GATTS_WRITE:
            self._is_open = self._has_come = True
        elif event == _MTU_EXCHANGED:
            self._mtu = details[1]
        elif event == _CENTRAL_CONNECT:
            self._mtu = mtu_min
            self._connection = details[0]
            self._is_open = self._is_advertising = False
            self._lives += 1
        elif event == _CENTRAL_DISCONNECT and details[0] == self._connection:
            self._connection = None
            self._is_open = self._has_come = False
            self._lives += 1
            self._ble.gatts_write(self._down, b"")

    # ---- the loop's side

    def write(self, frame: bytes) -> None:
        """Send one frame now, or as soon as a central listens. One that is on its way in pieces is finished first."""
        self._tend()
        if 0 < self._at < len(self._frame):
            # Begun anew with each repetition it would never end on a slow link; a repetition is the same bytes.
            self.replaced += frame != self._frame
            return
        if not self._is_unanswered:
            self._is_unanswered = True
            self._since_ms = self._ticks_ms()
        self._frame = frame
        self._at = 0
        self._tend()

    def read(self, _n: int):
        """Return what has come, of any length, or None. It is of the connection that `life` names."""
        self._tend()
        if not self._has_come:
            return None
        self._has_come = False
        piece = self._ble.gatts_read(self._down)
        # Between two connections: nobody can say whose it is.
        return piece if self.life == self._lives else None

    def heard(self) -> None:
        """Take note that a datagram came: what was sent need not be kept."""
        self._is_unanswered = False

    def forget(self) -> None:
        """Send nothing any more of what was written."""
        self._frame = b""
        self._at = 0
        self._is_unanswered = False
        if self._is_advertising:
            self._is_advertising = False
            self._ble.gap_advertise(None)

    def _tend(self) -> None:
        lives = self._lives
        if lives != self.life:
            self.life = lives
            self._since_ms = self._ticks_ms()
            # What was on its way, or sent and not answered, went to somebody who is gone.
            self._at = 0 if self._is_unanswered else len(self._frame)
        connection = self._connection
        if connection is None:
            self._advertise()
        elif self._is_open:
            self._push(connection)
            if self._is_unanswered:
                self._end_after(connection, _SILENT_MS)
        else:
            self._end_after(connection, _OPEN_MS)

    def _advertise(self) -> None:
        now = self._ticks_ms()
        if not self._is_unanswered:
            return
        if self._is_advertising and self._ticks_diff(now, self._advertised_ms) < _RENEW_MS:
            return
        self._is_advertising = True
        self._advertised_ms = now
        try:
            self._ble.gap_advertise(_ADVERTISE_US, adv_data=advertisement())
        except OSError:
            # The stack is still ending the connection before: the next look asks again.
            self._is_advertising = False

    def _push(self, connection: int) -> None:
        """Hand the stack as many pieces as it takes."""
        size = piece_bytes(self._mtu)
        while self._at < len(self._frame):
            piece = self._frame[self._at : self._at + size]
            try:
                self._ble.gatts_notify(connection, self._up, piece)
            except OSError:
                # No room in the stack, or the connection has ended: the next look knows.
                return
            self._at += len(piece)

    def _end_after(self, connection: int, limit_ms: int) -> None:
        now = self._ticks_ms()
        if self._ticks_diff(now, self._since_ms) > limit_ms:
            self._since_ms = now
            try:
                self._ble.gap_disconnect(connection)
            except OSError:
                return


class BleLink(SerialLink):
    """Moves datagrams to and from the one gateway that is connected. stream: a BleStream.

    Counts as a serial link does; what a connection took with it when it ended is lost too.
    """

    def __init__(self, stream):
        SerialLink.__init__(self, stream)
        self._life = stream.life

    @property
    def lost(self) -> int:
        """Frames that did not become datagrams, and datagrams that gave way to others before they were sent."""
        return self._reader.dropped + self._overrun + self._uart.replaced

    def close(self) -> None:
        """Forget what has come and what has not left."""
        SerialLink.close(self)
        self._uart.forget()

    def _look(self) -> None:
        piece = self._uart.read(0)
        if self._life != self._uart.life:
            self._life = self._uart.life
            self._reader.abandon()
        if piece:
            before = len(self._waiting) + self._overrun
            self._take(piece)
            if len(self._waiting) + self._overrun > before:
                self._uart.heard()
