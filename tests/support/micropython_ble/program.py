"""Runs in MicroPython: a device as unix_main.py runs it, but over BLE. program.py FIRMWARE PORT DEVICE.JSON, PORT: of the radio."""

import sys

firmware, port, items = sys.argv[1:4]
sys.path.insert(0, firmware)
sys.path.insert(0, __file__[: __file__.rindex("/")])

import time  # noqa: E402

import bluetooth  # noqa: E402
import unix_device  # noqa: E402
import unix_main  # noqa: E402

from agent.links.ble import BleLink, BleStream  # noqa: E402

_radio = bluetooth.BLE(int(port))


class PumpedStream(BleStream):
    """A board's stack calls the handler by itself; here somebody must look."""

    def _tend(self):
        _radio.pump()
        BleStream._tend(self)


unix_device.make_udp = lambda link, random_bytes: BleLink(
    PumpedStream(_radio, bluetooth.UUID, time.ticks_ms, time.ticks_diff)
)
sys.exit(unix_main.main(items))
