"""The radio of a device that runs in MicroPython: `ble_module.Ble` at the other end of a socket; see firmware/unix_radio.py."""

import asyncio
import json

from tests.support.ble_module import Ble


def _plain(value):
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _made(value):
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [_made(one) for one in value]
    return value


class RadioServer:
    """Gives each device that connects a radio on an air; the radio is gone with the device. port: where. radios: all there ever were."""

    def __init__(self, air, **options):
        self._air = air
        self._options = options
        self.radios = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _serve(self, reader, writer):
        radio = Ble(self._air.make_device(), **self._options)
        self.radios.append(radio)

        def say(**said):
            if not writer.is_closing():
                writer.write(json.dumps(said).encode() + b"\n")

        radio.irq(lambda event, details: say(event=event, details=_plain(details)))
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                named = {name: _made(value) for name, value in asked["named"].items()}
                try:
                    say(value=_plain(getattr(radio, asked["call"])(*_made(asked["args"]), **named)))
                except OSError as error:
                    say(errno=error.errno)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._air.cut_all(radio.device.controller)
            self._air.remove_controller(radio.device.controller)
            await radio.device.stop_advertising()
