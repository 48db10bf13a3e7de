"""What hangs on the pins of a board: drivers by board.toml, relays, and the link to the gateway.

Pins come from board_pins, one file a board; docs/operating/boards.md shows them.
"""

import os
import time

import board_pins
import machine
import onewire

from agent.actuators import ActuatorFault
from agent.links.serial import SerialLink
from agent.links.udp import make_udp
from agent.sensors.configured import Hands, build_sensors
from agent.sensors.modbus_rtu import ModbusLine
from agent.sensors.pulse import EDGE_BITS, EdgeCounter
from agent.sensors.recording import Recording

_LINE_BAUD = 115200
# Longest frame of a link, so that nothing is lost while the loop samples.
_LINE_BUFFER_BYTES = 2048


class BoardHands(Hands):
    """What this board has for its drivers: one I2C bus, 1-Wire and pulses on any pin, one line for Modbus where no link has it.

    modbus: that section of the settings, or None.
    """

    def __init__(self, modbus):
        super().__init__(print, time.sleep_ms, time.ticks_ms, time.ticks_diff)
        self._modbus = modbus
        self._bus = None
        self._line = None

    def i2c(self):
        """Return the bus of the pin map; all parts on it share one object."""
        if self._bus is None:
            scl, sda = machine.Pin(board_pins.I2C_SCL), machine.Pin(board_pins.I2C_SDA)
            self._bus = machine.I2C(board_pins.I2C, scl=scl, sda=sda, freq=100000)  # type: ignore[assignment]  # None until then
        return self._bus

    def wire(self, pin):
        """Return a 1-Wire line."""
        return onewire.OneWire(machine.Pin(board_pins.ONE_WIRE if pin is None else pin))

    def pulses(self, pin, gap_us: int) -> tuple:
        """Return (counter of the falling edges of a pin, its bits)."""
        edges = EdgeCounter(time.ticks_us, time.ticks_diff, gap_us)
        taken = machine.Pin(board_pins.PULSE if pin is None else pin, machine.Pin.IN, machine.Pin.PULL_UP)
        taken.irq(edges.edge, machine.Pin.IRQ_FALLING)
        return edges, EDGE_BITS

    def line(self) -> ModbusLine:
        """Return the line that instruments share. Raises ValueError on a board whose settings give it to nobody."""
        if self._modbus is None:
            raise ValueError("the settings have no [modbus]")
        if self._line is None:
            self._line = _modbus_line(self._modbus)  # type: ignore[assignment]  # None until then
        return self._line  # type: ignore[return-value]  # see above


def _modbus_line(settings: dict) -> ModbusLine:
    baud = settings["baud"]
    parity = (None, 0, 1)[("none", "even", "odd").index(settings["parity"])]
    # Without a parity bit a character has a second stop bit: Serial Line V1.02, section 2.5.1.
    stop = 2 if parity is None else 1
    tx, rx = machine.Pin(board_pins.LINE_TX), machine.Pin(board_pins.LINE_RX)
    uart = machine.UART(board_pins.LINE, baud, bits=8, parity=parity, stop=stop, tx=tx, rx=rx, timeout=0)
    drive = None
    if settings.get("drive_pin") is not None:
        drive = machine.Pin(settings["drive_pin"], machine.Pin.OUT, value=0).value
    return ModbusLine(uart, baud, time.sleep_ms, settings["answer_ms"], drive=drive)


def build_sensor(settings: dict, channels: int, recording: str, offset: int):
    """Return the one sensor of the board. settings: of board.toml; recording: a file, in place of drivers; offset: its rows to skip."""
    rows = settings.get("sensors") or ["recording"]
    if rows == ["recording"]:
        return Recording(recording, channels, offset)
    return build_sensors(rows, channels, BoardHands(settings.get("modbus")))


def links_of(settings: dict) -> list:
    """Return the links that board.toml names, the preferred one first."""
    return settings.get("order") or [settings.get("link") or "wifi"]


def build_link(items: dict):
    """Return the way to the gateway, or several of them."""
    links = [_one_link(items, kind) for kind in links_of(items.get("board", {}))]
    if len(links) == 1:
        return links[0]
    from agent.links.several import SeveralLinks

    return SeveralLinks(links, time.ticks_ms, time.ticks_diff)


def _one_link(items: dict, kind: str):
    """Return the network, Bluetooth, or the UART of the pin map."""
    if kind == "wifi":
        return make_udp(items["link"], os.urandom)
    if kind == "ble":
        import bluetooth

        from agent.links.ble import BleLink, BleStream

        return BleLink(BleStream(bluetooth.BLE(), bluetooth.UUID, time.ticks_ms, time.ticks_diff))
    tx, rx = machine.Pin(board_pins.LINE_TX), machine.Pin(board_pins.LINE_RX)
    line = machine.UART(board_pins.LINE, _LINE_BAUD, tx=tx, rx=rx, timeout=0, rxbuf=_LINE_BUFFER_BYTES)
    return SerialLink(line)


class Relays:
    """One output pin an action: 0 is off, anything else on. An action without a pin is a fault, told in the journal."""

    def __init__(self):
        # Off from the first moment: which position is the safe one, the rules say a little later.
        self._pins = [machine.Pin(number, machine.Pin.OUT, value=0) for number in board_pins.RELAYS]

    def move(self, action: int, value: int) -> None:
        """Take a position. Raises ActuatorFault."""
        if not 0 <= action < len(self._pins):
            raise ActuatorFault("no pin for action {}".format(action))
        self._pins[action].value(1 if value else 0)
