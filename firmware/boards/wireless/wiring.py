"""What hangs on the pins of a board: drivers by the names of board.toml, relays, and the link to the gateway.

Pins come from board_pins, one file a board; docs/operating/boards.md shows them.
"""

import os
import time

import board_pins
import machine
import onewire

from agent.actuators import ActuatorFault
from agent.links.search import make_udp
from agent.links.serial import SerialLink
from agent.sensors.ads1115 import Ads1115, Input
from agent.sensors.bme280 import Bme280
from agent.sensors.ds18b20 import Ds18b20
from agent.sensors.joined import JoinedSensors
from agent.sensors.pulse import EDGE_BITS, EdgeCounter, PulseCounter
from agent.sensors.recording import Recording
from agent.sensors.sht31 import Sht31

_LINE_BAUD = 115200
# Longest frame of a link, so that nothing is lost while the loop samples.
_LINE_BUFFER_BYTES = 2048
_PULSE_GAP_US = 30000
_PULSE_RATE_MAX = 16


def _i2c():
    scl, sda = machine.Pin(board_pins.I2C_SCL), machine.Pin(board_pins.I2C_SDA)
    return machine.I2C(board_pins.I2C, scl=scl, sda=sda, freq=100000)


def _pulses():
    edges = EdgeCounter(time.ticks_us, time.ticks_diff, _PULSE_GAP_US)
    pin = machine.Pin(board_pins.PULSE, machine.Pin.IN, machine.Pin.PULL_UP)
    pin.irq(edges.edge, machine.Pin.IRQ_FALLING)
    return PulseCounter(edges, EDGE_BITS, _PULSE_RATE_MAX, time.ticks_ms, time.ticks_diff)


def _driver(name: str):
    if name == "sht31":
        return Sht31(_i2c(), time.sleep_ms)
    if name == "bme280":
        return Bme280(_i2c())
    if name == "ads1115":
        return Ads1115(_i2c(), [Input(0), Input(1)], time.sleep_ms)
    if name == "ds18b20":
        return Ds18b20(onewire.OneWire(machine.Pin(board_pins.ONE_WIRE)))
    if name == "pulse":
        return _pulses()
    raise ValueError("no driver is called {}".format(name))


def build_sensor(names: list, channels: int, recording: str, offset: int):
    """Return the one sensor of the board. recording: a file, in place of drivers; offset: its rows to skip.

    Raises ValueError where its channels are not those of the schema.
    """
    if names == ["recording"]:
        return Recording(recording, channels, offset)
    drivers = [_driver(name) for name in names]
    found = sum([driver.channels for driver in drivers])
    if found != channels:
        raise ValueError("the sensors have {} channels, the schema {}".format(found, channels))
    return JoinedSensors(drivers, time.ticks_ms, time.ticks_diff, time.sleep_ms)


def build_link(items: dict):
    """Return the way to the gateway: the network, Bluetooth, or the UART of the pin map."""
    link = items.get("board", {}).get("link", "wifi")
    if link == "wifi":
        return make_udp(items["link"], os.urandom)
    if link == "ble":
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
