"""A small gateway for the client's tests: aiocoap with OSCORE over loopback UDP, and a relay in front that misbehaves."""

import asyncio
import hashlib
import os
import socket

import aiocoap
from aiocoap import error, resource

from tests.aiocoap_oscore import MemoryContext, oscore
from tools.ports import free_port

SECRET = b"link secret 0001"
DEVICE_ID = b"\x07"
GATEWAY_ID = b""


class ProtectedSite(resource.Resource):
    """Answers what the inner path says; counts each request that it carried out."""

    def __init__(self):
        super().__init__()
        self.context = MemoryContext(SECRET, GATEWAY_ID, DEVICE_ID)
        self.handled = []
        self.echoes = 0

    async def render(self, request):
        try:
            inner, identity = self.context.unprotect(request)
        except oscore.ReplayErrorWithEcho:
            self.echoes += 1
            raise
        except oscore.ProtectionInvalid:
            raise error.Unauthorized("not for me")  # noqa: B904
        path = "/".join(inner.opt.uri_path)
        self.handled.append(path)
        answer = await self._answer(path, inner)
        protected, _ = self.context.protect(answer, identity)
        return protected

    async def _answer(self, path, inner):
        if path == "slow":
            await asyncio.sleep(0.25)
        if path == "never":
            await asyncio.sleep(30)
        if path == "busy":
            return aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE, max_age=7)
        if path == "restart":
            self.context.forget(os.urandom(8))
        return aiocoap.Message(code=aiocoap.CHANGED, payload=hashlib.sha256(inner.payload).digest())


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams between one client and the server, as `rule` says.

    rule(direction, number, datagram) -> [(direction, datagram), ...]: direction is "up" or "down", number counts from 0 in
    each direction. It returns what is passed on instead.
    """

    def __init__(self, server, rule):
        self._server = server
        self._rule = rule
        self._client = None
        self._transport = None
        self.seen = {"up": [], "down": []}

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        direction = "down" if address == self._server else "up"
        if direction == "up":
            self._client = address
        number = len(self.seen[direction])
        self.seen[direction].append(data)
        for way, datagram in self._rule(direction, number, data):
            self._transport.sendto(datagram, self._server if way == "up" else self._client)


async def run_site(rule, client):
    """Start server and relay, await client(relay port), and return (site, relay, what client returned)."""
    site = ProtectedSite()
    address = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
    server = await aiocoap.Context.create_server_context(
        site, bind=address, transports=["simplesocketserver"]
    )
    relay = Relay(address, rule)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: relay, local_addr=("127.0.0.1", 0)
    )
    try:
        result = await client(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
        await server.shutdown()
    return site, relay, result
