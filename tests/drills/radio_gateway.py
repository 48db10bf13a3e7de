"""`python -m tests.drills.radio_gateway run --config ...`: the real gateway on a virtual radio, and beside it somebody within its reach.

There is no radio on this machine, so an air of bumble's is inside the gateway's process; the gateway's own link over BLE and bleak are as
they ship. Whoever connects to the TCP port that VARIABLE names has a peripheral on that air, with our service: he sends a datagram, and
gets what the gateway answers to it. Without the variable nothing is changed.
"""

import asyncio
import os
import time

from gateway.links.ble import Radio
from tests.support.ble_air import Air
from tests.support.ble_bleak import Adapter
from tests.support.ble_module import Ble

VARIABLE = "OUTSTATION_DRILL_RADIO"
# The gateway connects when it hears him, and gives others their turns.
ANSWER_MS = 20_000
_LENGTH_BYTES = 2


class DrillRadio(Radio):
    """A radio whose air is made when the gateway first looks around. port: of whoever is within reach."""

    def __init__(self, port):
        super().__init__()
        self._port = port
        self._air = None

    def scan(self, heard):
        if self._air is None:
            self._air = Air()
            adapter = Adapter(self._air)
            self._scanner, self._client = adapter.backends()
            self._task = asyncio.ensure_future(self._open(adapter))
        return super().scan(heard)

    async def _open(self, adapter):
        await adapter.switch_on()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _serve(self, reader, writer):
        # In the gateway's process alone, which is started with firmware/ on its path.
        from agent.links.ble import BleLink, BleStream

        radio = Ble(self._air.make_device())
        link = BleLink(
            BleStream(radio, str, lambda: int(time.monotonic() * 1000), lambda new, old: new - old)
        )
        try:
            while True:
                link.send(await read_datagram(reader))
                write_datagram(writer, await link.recv(ANSWER_MS) or b"")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def read_datagram(reader) -> bytes:
    """Return the next datagram of a stream."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big"))


def write_datagram(writer, datagram: bytes) -> None:
    """Put one datagram into a stream."""
    writer.write(len(datagram).to_bytes(_LENGTH_BYTES, "big") + datagram)


def install() -> None:
    """Give the gateway of this process its radio."""
    port = os.environ.get(VARIABLE)
    if port is not None:
        from gateway import app

        app.Radio = lambda adapter: DrillRadio(int(port))


if __name__ == "__main__":
    install()
    from gateway.cli import main

    main()
