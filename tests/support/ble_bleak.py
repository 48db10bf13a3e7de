"""bleak backends over a bumble device: the gateway's own code with a virtual adapter."""

import asyncio

from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Peer

CONNECT_S = 10.0


class Adapter:
    """A virtual adapter on an air. mtu: what it asks for. connections: how many it can have; restart(): as when it is pulled off.

    connected, connected_max: at present, and at most.
    """

    def __init__(self, air, mtu=247):
        self.air = air
        self.mtu = mtu
        self.device = None
        self.is_on = False
        self.turn = asyncio.Lock()
        self.scanners = set()
        self.connected = self.connected_max = 0

    async def switch_on(self):
        self.device = self.air.make_device()
        await self.device.power_on()
        self.device.on("advertisement", self._heard)
        self.is_on = True

    def switch_off(self):
        """Pull it off: connections break, and every later call fails."""
        self.is_on = False
        self.air.cut_all(self.device.controller)
        self.air.remove_controller(self.device.controller)
        self.scanners.clear()

    def _heard(self, advertisement):
        for scanner in list(self.scanners):
            scanner.take(advertisement)

    def check(self):
        if not self.is_on:
            raise BleakError("no adapter")

    def backends(self):
        """Return (scanner, client): classes as bleak takes them."""
        adapter = self

        class Scanner(_Scanner):
            def __init__(self, *args, **options):
                super().__init__(adapter, *args)

        class Client(_Client):
            def __init__(self, *args, **options):
                super().__init__(adapter, *args, **options)

        return Scanner, Client


class _Scanner(BaseBleakScanner):
    def __init__(self, adapter, detection_callback, service_uuids, _mode):
        super().__init__(detection_callback, service_uuids)
        self._adapter = adapter

    async def start(self):
        self._adapter.check()
        self.seen_devices = {}
        self._adapter.scanners.add(self)
        if not self._adapter.device.is_scanning:
            await self._adapter.device.start_scanning(active=False)

    async def stop(self):
        self._adapter.scanners.discard(self)
        self._adapter.check()
        if not self._adapter.scanners and self._adapter.device.is_scanning:
            await self._adapter.device.stop_scanning()

    def take(self, advertisement):
        found = advertisement.data.get_all(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)
        uuids = [uuid.to_hex_str("-").lower() for each in found for uuid in each]
        if not self.is_allowed_uuid(uuids):
            return
        told = AdvertisementData(None, {}, {}, uuids, None, -60, ())
        address = advertisement.address.to_string(False)
        device = self.create_or_update_device(address, address, None, advertisement.address, told)
        self.call_detection_callbacks(device, told)


class _Client(BaseBleakClient):
    def __init__(self, adapter, device, services=None, **options):
        super().__init__(
            device, disconnected_callback=options["disconnected_callback"], timeout=options["timeout"]
        )
        self._adapter = adapter
        self._target = device.details
        self._connection = None
        self._peer = None

    @property
    def mtu_size(self):
        return self._connection.att_mtu

    @property
    def is_connected(self):
        return self._connection is not None

    async def connect(self, pair, **options):
        adapter = self._adapter
        adapter.check()
        try:
            async with adapter.turn:
                adapter.check()
                self._connection = await adapter.device.connect(self._target, timeout=CONNECT_S)
            adapter.connected += 1
            adapter.connected_max = max(adapter.connected, adapter.connected_max)
            self._connection.on("disconnection", self._ended)
            self._peer = Peer(self._connection)
            if adapter.mtu > 23:
                await self._peer.request_mtu(adapter.mtu)
            await self._discover()
        except (TimeoutError, BaseBumbleError) as error:
            raise BleakError(str(error) or type(error).__name__) from error

    def _ended(self, _reason):
        if self._connection is None:
            return
        self._connection = None
        self.services = None
        self._adapter.connected -= 1
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _discover(self):
        services = BleakGATTServiceCollection()
        await self._peer.discover_services()
        for service in self._peer.services:
            made = BleakGATTService(service, service.handle, service.uuid.to_hex_str("-").lower())
            services.add_service(made)
            for one in await service.discover_characteristics():
                await one.discover_descriptors()
                properties = list(gatt_char_props_to_strs(int(one.properties)))
                size = lambda: min(self._connection.att_mtu - 3, 512) if self._connection else 20  # noqa: E731
                uuid = one.uuid.to_hex_str("-").lower()
                services.add_characteristic(
                    BleakGATTCharacteristic(one, one.handle, uuid, properties, size, made)
                )
        self.services = services

    async def disconnect(self):
        if self._connection is not None:
            try:
                await self._connection.disconnect()
            except BaseBumbleError as error:
                raise BleakError(str(error)) from error

    async def write_gatt_char(self, characteristic, data, response):
        self._check()
        try:
            await characteristic.obj.write_value(bytes(data), with_response=response)
        except (TimeoutError, BaseBumbleError) as error:
            raise BleakError(str(error) or type(error).__name__) from error

    async def start_notify(self, characteristic, callback, **options):
        self._check()
        try:
            await characteristic.obj.subscribe(lambda value: callback(bytearray(value)))
        except (TimeoutError, BaseBumbleError) as error:
            raise BleakError(str(error) or type(error).__name__) from error

    def _check(self):
        if self._connection is None:
            raise BleakError("not connected")

    async def _none(self, *args, **options):
        raise AssertionError("the gateway does not do this")

    pair = unpair = read_gatt_char = read_gatt_descriptor = write_gatt_descriptor = stop_notify = _none
