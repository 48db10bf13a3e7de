"""`micropython speak_plainly.py device.json`: the device's process, with a fault that lets anybody talk it out of protection. Runs on MicroPython only."""

import sys

import unix_main

from agent.coap_client import CoapClient
from protocol.coap import CON, Message, encode


def plant():
    """Who is refused without protection asks without it next."""
    deliver = CoapClient._deliver
    examine = CoapClient._examine_unprotected

    def refused(self, message):
        self.is_plain = True
        examine(self, message)

    async def deliver_plainly(self, code, options, payload):
        if getattr(self, "is_plain", False):
            self.is_plain = False
            self._link.send(encode(Message(CON, code, 7, b"bare", options, payload)))
        return await deliver(self, code, options, payload)

    CoapClient._examine_unprotected = refused
    CoapClient._deliver = deliver_plainly


if __name__ == "__main__":
    plant()
    sys.exit(unix_main.main(sys.argv[1]))
