"""BLE for a device's process, whose own machine gives MicroPython no radio: a program at an address has one, and plays it.

A call of MicroPython's module `bluetooth` is a line of JSON there and waits for its answer, {"value": ...} or {"errno": ...}; lines that
stand before the answer, or come by themselves, are {"event": ..., "details": ...}. Bytes travel as {"hex": ...}. A board's stack calls the
handler by itself; here the link looks before each of its own turns.
"""

import asyncio
import json
import select
import socket
from binascii import hexlify, unhexlify

from agent.links.ble import BleLink, BleStream
from agent.links.successive import Successive
from agent.unset import unset

# The program is away: waiting a little keeps a loop around recv() from spinning.
_AWAY_MS = 50
_NOT_CONNECTED = 107


def _plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"hex": hexlify(bytes(value)).decode()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _made(value):
    if isinstance(value, dict):
        return unhexlify(value["hex"])
    if isinstance(value, list):
        return tuple([_made(one) for one in value])
    return value


class Radio:
    """A bluetooth.BLE that stands at an address. Raises OSError where nobody is there, or who was there is gone."""

    def __init__(self, host: str, port: int):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rwb")
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._handler = unset()

    def irq(self, handler) -> None:
        """Call handler(event, details) of what happens."""
        self._handler = handler

    def pump(self) -> None:
        """Hand over the events that have come."""
        while self._poll.poll(0):
            self._take()

    def close(self) -> None:
        """Switch it off."""
        self._poll.unregister(self._socket)
        self._lines.close()
        self._socket.close()

    def _call(self, name: str, *args, **named):
        asked = {"call": name, "args": _plain(args), "named": {key: _plain(named[key]) for key in named}}
        self._lines.write((json.dumps(asked) + "\n").encode())
        while True:
            said = self._take()
            if "errno" in said:
                raise OSError(said["errno"])
            if "value" in said:
                return _made(said["value"])

    def _take(self) -> dict:
        line = self._lines.readline()
        if not line:
            raise OSError(_NOT_CONNECTED)
        said = json.loads(line)
        if "event" in said:
            self._handler(said["event"], _made(said["details"]))
        return said

    # ---- of bluetooth.BLE, what agent.links.ble calls

    def active(self, is_on):
        return self._call("active", is_on)

    def config(self, **settings):
        return self._call("config", **settings)

    def gatts_register_services(self, services):
        return self._call("gatts_register_services", services)

    def gatts_set_buffer(self, handle, size, append=False):
        return self._call("gatts_set_buffer", handle, size, append)

    def gatts_read(self, handle):
        return self._call("gatts_read", handle)

    def gatts_write(self, handle, value):
        return self._call("gatts_write", handle, value)

    def gatts_notify(self, connection, handle, piece):
        return self._call("gatts_notify", connection, handle, piece)

    def gap_advertise(self, interval_us, adv_data=None):
        return self._call("gap_advertise", interval_us, adv_data=adv_data)

    def gap_disconnect(self, connection):
        return self._call("gap_disconnect", connection)


class _PumpedStream(BleStream):
    def __init__(self, radio: Radio, ticks_ms, ticks_diff):
        self._radio = radio
        # The radio knows services and characteristics by their text.
        BleStream.__init__(self, radio, str, ticks_ms, ticks_diff)

    def _tend(self) -> None:
        self._radio.pump()
        BleStream._tend(self)


class RadioLink(Successive):
    """Moves datagrams over the radio at an address, HOST:PORT. It is sought with each datagram until it is there, as a serial port is.

    Counts as a BleLink does; what was sent while it was away is lost too.
    """

    def __init__(self, address: str, ticks_ms, ticks_diff):
        super().__init__()
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._ticks = (ticks_ms, ticks_diff)
        self._radio = unset()

    def send(self, datagram: bytes) -> None:
        """Send one datagram, or lose it."""
        try:
            self._open().send(datagram)
        except OSError:
            self._fail()

    async def recv(self, timeout_ms: int):
        """Return the next datagram, or None: after timeout_ms, or earlier when the radio is away."""
        if self._link:
            try:
                return await self._link.recv(timeout_ms)
            except OSError:
                self._fail()
        await asyncio.sleep(min(timeout_ms, _AWAY_MS) / 1000)
        return None

    def close(self) -> None:
        """Forget what has come and what has not left."""
        if self._link:
            try:
                self._link.close()
            except OSError:
                self._fail()

    def _open(self) -> BleLink:
        if not self._link:
            self._radio = Radio(*self._address)
            self._link = BleLink(_PumpedStream(self._radio, *self._ticks))
        return self._link

    def _fail(self) -> None:
        self._lost += 1
        self._leave_link()
        if self._radio:
            self._radio.close()
            self._radio = unset()
