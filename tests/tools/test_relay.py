"""The relay between gateway and office: what is cut stays cut, also for a connection that was being made just then."""

import asyncio

import pytest

from tools import relay as relays
from tools.relay import TcpRelay


async def _echo(reader, writer):
    writer.write(await reader.read(100))
    writer.close()


async def _asked(address, connect=asyncio.open_connection):
    """Return what comes back over a new connection, b"" where it is broken off."""
    reader, writer = await connect(*address)
    try:
        writer.write(b"word")
        return await reader.read(100)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def _relayed(steps):
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    relay = TcpRelay(server.sockets[0].getsockname()[:2])
    await relay.start()
    try:
        return await steps(relay)
    finally:
        await relay.stop()
        server.close()


def test_cut_relay_lets_nothing_through_until_it_is_mended():
    async def steps(relay):
        before = await _asked(relay.address)
        relay.cut()
        meanwhile = await _asked(relay.address)
        relay.mend()
        return before, meanwhile, await _asked(relay.address)

    assert asyncio.run(_relayed(steps)) == (b"word", b"", b"word")


def test_connection_that_is_being_made_is_cut_too(monkeypatch: pytest.MonkeyPatch):
    async def steps(relay):
        true_open = asyncio.open_connection

        async def cut_meanwhile(*words):
            ends = await true_open(*words)
            relay.cut()
            return ends

        monkeypatch.setattr(relays.asyncio, "open_connection", cut_meanwhile)
        return await _asked(relay.address, true_open)

    assert asyncio.run(_relayed(steps)) == b""
