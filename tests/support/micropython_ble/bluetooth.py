"""MicroPython's module `bluetooth` for the unix port: its radio is `ble_radio.RadioServer` at the other end of a socket.

A call is a line of JSON and waits for its answer; events that stand before the answer, or come by themselves, go to the handler as a board's
stack would call it: in between, whatever the program does. Bytes travel in hex.
"""

import json
import select
import socket
from binascii import hexlify, unhexlify


class UUID:
    def __init__(self, text):
        self.text = text


def _plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"hex": hexlify(value).decode()}
    if isinstance(value, UUID):
        return value.text
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _made(value):
    if isinstance(value, dict):
        return unhexlify(value["hex"])
    if isinstance(value, list):
        return tuple([_made(one) for one in value])
    return value


class BLE:
    def __init__(self, port):
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self._lines = self._socket.makefile("rwb")
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._handler = None

    def irq(self, handler):
        self._handler = handler

    def _call(self, name, *args, **named):
        self._lines.write(
            json.dumps(
                {"call": name, "args": _plain(args), "named": {k: _plain(v) for k, v in named.items()}}
            )
            + "\n"
        )
        while True:
            said = self._take()
            if "errno" in said:
                raise OSError(said["errno"])
            if "value" in said:
                return _made(said["value"])

    def _take(self):
        line = self._lines.readline()
        if not line:
            raise OSError(107)
        said = json.loads(line)
        if "event" in said:
            self._handler(said["event"], _made(said["details"]))
        return said

    def pump(self):
        """Hand over the events that have come."""
        while self._poll.poll(0):
            self._take()

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
