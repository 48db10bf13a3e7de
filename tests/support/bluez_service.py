"""The objects of org.bluez that bleak uses, on a bus of our own: so bleak's BlueZ backend itself runs, and no radio.

Written from BlueZ's documentation of its D-Bus API (org.bluez.Adapter, Device, GattService, GattCharacteristic). What the daemon, the kernel
and an adapter do besides is not here.
"""

import asyncio
from typing import Any

from dbus_fast import BusType, ErrorType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from protocol.gatt import DOWN, SERVICE, UP

ADAPTER = "/org/bluez/hci0"
_ADAPTER, _DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
_SERVICE, _CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
_PROPERTIES, _OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"


class Refused(Exception):
    """An error of org.bluez, by its name."""


class Peripheral:
    """A device of the service. written(piece): what the gateway wrote. mtu: of a connection."""

    def __init__(self, bluez: "Bluez", address: str, mtu: int, written: Any):
        self.bluez = bluez
        self.address = address
        self.path = f"{ADAPTER}/dev_{address.replace(':', '_')}"
        self.mtu = mtu
        self.written = written
        self.is_connected = self.is_notifying = False
        self.fails = 0
        self.connects = 0

    def properties(self) -> dict[str, Variant]:
        return {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", self.address.replace(":", "-")),
            "Adapter": Variant("o", ADAPTER),
            "UUIDs": Variant("as", [SERVICE]),
            "Connected": Variant("b", self.is_connected),
            "Paired": Variant("b", False),
            "ServicesResolved": Variant("b", self.is_connected),
            "RSSI": Variant("n", -60),
        }

    def attributes(self) -> dict[str, dict[str, dict[str, Variant]]]:
        service = f"{self.path}/service000a"
        made = {
            service: {
                _SERVICE: {
                    "UUID": Variant("s", SERVICE),
                    "Device": Variant("o", self.path),
                    "Primary": Variant("b", True),
                }
            }
        }
        for number, (uuid, flags) in enumerate(
            ((DOWN, ["write", "write-without-response"]), (UP, ["notify"]))
        ):
            made[f"{service}/char000{number + 1}"] = {
                _CHARACTERISTIC: {
                    "UUID": Variant("s", uuid),
                    "Service": Variant("o", service),
                    "Value": Variant("ay", b""),
                    "Notifying": Variant("b", False),
                    "Flags": Variant("as", flags),
                    "MTU": Variant("q", self.mtu),
                }
            }
        return made

    def advertise(self) -> None:
        """Let the adapter hear it once."""
        self.bluez.heard(self)

    def notify(self, piece: bytes) -> None:
        """Send one notification."""
        assert self.is_notifying
        self.bluez.changed(
            f"{self.path}/service000a/char0002", _CHARACTERISTIC, {"Value": Variant("ay", piece)}
        )

    def disconnect(self) -> None:
        """End the connection, as a radio does that lost it."""
        if self.is_connected:
            self.is_connected = self.is_notifying = False
            self.bluez.changed(
                self.path,
                _DEVICE,
                {"ServicesResolved": Variant("b", False), "Connected": Variant("b", False)},
            )
            for path in reversed(list(self.attributes())):
                self.bluez.removed(path, list(self.attributes()[path]))


class Bluez:
    """The service. is_powered: of its adapter; scans: how many scans were begun, is_scanning; peripherals: by address."""

    def __init__(self) -> None:
        self.peripherals: dict[str, Peripheral] = {}
        self.known: set[str] = set()
        self.is_powered = True
        self.is_scanning = False
        self.scans = 0
        self.filters: dict[str, Any] = {}
        self._bus: Any = None

    async def start(self, address: str) -> None:
        """Take the name org.bluez on the bus at an address."""
        self._bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
        self._bus.add_message_handler(self._take)
        await self._bus.request_name("org.bluez")

    def stop(self) -> None:
        """Be gone, as a daemon that ended."""
        self._bus.disconnect()

    def add(self, address: str, mtu: int, written: Any) -> Peripheral:
        self.peripherals[address] = Peripheral(self, address, mtu, written)
        return self.peripherals[address]

    def power_on(self) -> None:
        """Switch the adapter on."""
        self.is_powered = True
        self.changed(ADAPTER, _ADAPTER, {"Powered": Variant("b", True)})

    # ---- signals

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        self._bus.send(Message.new_signal(path, interface, member, signature, body))

    def changed(self, path: str, interface: str, properties: dict[str, Variant]) -> None:
        self._signal(path, _PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, properties, []])

    def removed(self, path: str, interfaces: list[str]) -> None:
        self._signal("/", _OBJECTS, "InterfacesRemoved", "oas", [path, interfaces])

    def heard(self, peripheral: Peripheral) -> None:
        if not self.is_scanning or peripheral.is_connected:
            return
        if peripheral.address in self.known:
            self.changed(peripheral.path, _DEVICE, {"RSSI": Variant("n", -61)})
        else:
            self.known.add(peripheral.address)
            body = [peripheral.path, {_DEVICE: peripheral.properties()}]
            self._signal("/", _OBJECTS, "InterfacesAdded", "oa{sa{sv}}", body)

    # ---- calls

    def _take(self, message: Message) -> Message | bool | None:
        if (
            message.message_type is not MessageType.METHOD_CALL
            or message.destination == "org.freedesktop.DBus"
        ):
            return None
        try:
            found = self._call(message)
        except Refused as error:
            return Message.new_error(message, str(error), str(error))
        if asyncio.iscoroutine(found):
            self._later = asyncio.ensure_future(self._answer(message, found))
            return True
        return Message.new_method_return(message, *found)

    async def _answer(self, message: Message, work: Any) -> None:
        try:
            self._bus.send(Message.new_method_return(message, *(await work)))
        except Refused as error:
            self._bus.send(Message.new_error(message, str(error), str(error)))

    def _call(self, message: Message) -> Any:
        member, path = message.member, message.path
        if member == "GetManagedObjects":
            return "a{oa{sa{sv}}}", [self._objects()]
        if path == ADAPTER:
            return self._adapter(member, message.body)
        owner = next((one for one in self.peripherals.values() if path.startswith(one.path)), None)
        if owner is None or owner.address not in self.known:
            raise Refused(ErrorType.UNKNOWN_OBJECT.value)
        if path == owner.path:
            return self._device(owner, member)
        return self._characteristic(owner, path, member, message.body)

    def _objects(self) -> dict[str, Any]:
        powered = {"Address": Variant("s", "00:00:00:00:00:01"), "Powered": Variant("b", self.is_powered)}
        powered["Roles"] = Variant("as", ["central", "peripheral"])
        powered["Discovering"] = Variant("b", self.is_scanning)
        found: dict[str, Any] = {ADAPTER: {_ADAPTER: powered}}
        for address in self.known:
            found[self.peripherals[address].path] = {_DEVICE: self.peripherals[address].properties()}
        return found

    def _adapter(self, member: str, body: list[Any]) -> Any:
        if not self.is_powered:
            raise Refused("org.bluez.Error.NotReady")
        if member == "SetDiscoveryFilter":
            self.filters = body[0]
        elif member in ("StartDiscovery", "StopDiscovery"):
            self.is_scanning = member == "StartDiscovery"
            self.scans += self.is_scanning
            self.changed(ADAPTER, _ADAPTER, {"Discovering": Variant("b", self.is_scanning)})
        return "", []

    def _device(self, one: Peripheral, member: str) -> Any:
        if member == "Connect":
            return self._connect(one)
        if member == "Disconnect":
            one.disconnect()
        return "", []

    async def _connect(self, one: Peripheral) -> Any:
        one.connects += 1
        await asyncio.sleep(0.01)
        if one.fails:
            one.fails -= 1
            raise Refused("org.bluez.Error.Failed")
        one.is_connected = True
        self.changed(one.path, _DEVICE, {"Connected": Variant("b", True)})
        for path, interfaces in one.attributes().items():
            self._signal("/", _OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces])
        self.changed(one.path, _DEVICE, {"ServicesResolved": Variant("b", True)})
        return "", []

    def _characteristic(self, one: Peripheral, path: str, member: str, body: list[Any]) -> Any:
        if not one.is_connected:
            raise Refused("org.bluez.Error.NotConnected")
        if member == "StartNotify":
            one.is_notifying = True
        elif member == "WriteValue":
            if len(body[0]) > one.mtu - 3:
                raise Refused("org.bluez.Error.InvalidValueLength")
            one.written(bytes(body[0]))
        return "", []
