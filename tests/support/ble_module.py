"""MicroPython's module `bluetooth` over a bumble device: what the agent's BLE link is tested with, on either runtime.

As its documentation has it, of what the link uses: a buffer that appends, OSError(ENOMEM) where the stack has no room for a notification,
events to a handler. As NimBLE does it: notifications go out whether anybody subscribed or not.
"""

import asyncio
from errno import ENOMEM, ENOTCONN

from bumble.gatt import Characteristic, CharacteristicValue, Service

CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE, MTU_EXCHANGED = 1, 2, 3, 21


class Ble:
    """One radio. room: pieces the stack holds; piece_s: how long each takes to leave. overrun: bytes written that found no room."""

    def __init__(self, device, room=4, piece_s=0.0):
        self.device = device
        self.room = room
        self.piece_s = piece_s
        self.is_busy = False
        self.overrun = 0
        self.notified = 0
        self.adverts = 0
        self._handler = None
        self._values = {}
        self._limits = {}
        self._appends = set()
        self._attributes = {}
        self._connections = {}
        self._outgoing = []
        self._mtu = 23
        self._work = asyncio.Queue()
        self._worker = None

    # ---- what MicroPython has

    def active(self, _is_on):
        self._worker = asyncio.ensure_future(self._run())
        self.device.on("connection", self._connected)
        return True

    def config(self, **settings):
        if "mtu" in settings:
            self._mtu = settings["mtu"]

    def irq(self, handler):
        self._handler = handler

    def gatts_register_services(self, services):
        handles, made = [], []
        for uuid, characteristics in services:
            listed = []
            for one, flags in characteristics:
                key = len(self._values) + 1
                self._values[key] = b""
                self._limits[key] = 20
                write = lambda connection, value, key=key: self._written(connection, key, value)  # noqa: E731
                value = CharacteristicValue(write=write) if flags & 0x0C else b""
                properties = Characteristic.Properties(flags)
                permissions = (
                    Characteristic.Permissions.WRITEABLE
                    if flags & 0x0C
                    else Characteristic.Permissions.READABLE
                )
                attribute = Characteristic(str(one), properties, permissions, value)
                self._attributes[key] = attribute
                listed.append((key, attribute))
            made.append(Service(str(uuid), [attribute for _, attribute in listed]))
            handles.append(tuple(key for key, _ in listed))
        self._work.put_nowait(self._power_on(made))
        return tuple(handles)

    def gatts_set_buffer(self, handle, size, append=False):
        self._limits[handle] = size
        if append:
            self._appends.add(handle)

    def gatts_read(self, handle):
        value = self._values[handle]
        if handle in self._appends:
            self._values[handle] = b""
        return value

    def gatts_write(self, handle, value):
        self._values[handle] = bytes(value)

    def gatts_notify(self, connection, handle, piece):
        if connection not in self._connections:
            raise OSError(ENOTCONN)
        if self.is_busy or len(self._outgoing) >= self.room:
            raise OSError(ENOMEM)
        self._outgoing.append((connection, handle, bytes(piece)))
        if len(self._outgoing) == 1:
            asyncio.get_running_loop().call_later(self.piece_s, self._leave)

    def gap_advertise(self, interval_us, adv_data=None):
        if interval_us is None:
            self._work.put_nowait(self.device.stop_advertising())
            return
        self.adverts += 1
        self._work.put_nowait(self._advertise(interval_us / 1000, bytes(adv_data)))

    def gap_disconnect(self, connection):
        if connection not in self._connections:
            raise OSError(ENOTCONN)
        self._work.put_nowait(self._connections[connection].disconnect())

    # ---- the stack

    async def _run(self):
        while True:
            work = await self._work.get()
            try:
                await work
            except Exception as error:  # noqa: BLE001 - a connection that is gone meanwhile
                self.failed = error

    async def _power_on(self, services):
        for service in services:
            self.device.add_service(service)
        self.device.gatt_server.max_mtu = self._mtu
        await self.device.power_on()

    async def _advertise(self, interval_ms, advertisement):
        if not self._connections:
            await self.device.start_advertising(
                advertising_interval_min=interval_ms,
                advertising_interval_max=interval_ms,
                advertising_data=advertisement,
            )

    def _connected(self, connection):
        self._connections[connection.handle] = connection
        connection.on(
            "connection_att_mtu_update",
            lambda: self._handler(MTU_EXCHANGED, (connection.handle, connection.att_mtu)),
        )
        connection.on("disconnection", lambda _reason: self._disconnected(connection))
        self._handler(CENTRAL_CONNECT, (connection.handle, 1, bytes(connection.peer_address)))

    def _disconnected(self, connection):
        self._connections.pop(connection.handle, None)
        self._outgoing = []
        self._handler(CENTRAL_DISCONNECT, (connection.handle, 1, bytes(connection.peer_address)))

    def _written(self, connection, handle, value):
        held = self._values[handle] if handle in self._appends else b""
        room = self._limits[handle] - len(held)
        self.overrun += max(0, len(value) - room)
        self._values[handle] = held + bytes(value)[:room]
        self._handler(GATTS_WRITE, (connection.handle, handle))

    def _leave(self):
        if not self._outgoing:
            return
        number, handle, piece = self._outgoing.pop(0)
        connection = self._connections.get(number)
        if connection is not None:
            self.notified += 1
            self._last = asyncio.ensure_future(
                self.device.gatt_server.notify_subscriber(
                    connection, self._attributes[handle], piece, force=True
                )
            )
        if self._outgoing:
            asyncio.get_running_loop().call_later(self.piece_s, self._leave)
