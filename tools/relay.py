"""Relays between real processes on loopback: they count every byte, and a story or a test can cut or drop through them.

UdpRelay stands between devices and gateway, TcpRelay between gateway and office. Neither looks into what it moves.
"""

import asyncio
from collections.abc import Callable

Address = tuple[str, int]


def keep_all(upward: bool, datagram: bytes) -> bool:
    """Drop nothing: the default of UdpRelay."""
    return True


class UdpRelay:
    """Moves datagrams between many clients and one server, a socket a client, so that answers find their way back.

    keep(upward, datagram) -> bool says whether a datagram passes. bytes_up, bytes_down, datagrams: what passed, UDP payload only.
    """

    def __init__(self, server: Address, keep: Callable[[bool, bytes], bool] = keep_all):
        self.server = server
        self.keep = keep
        self.bytes_up = 0
        self.bytes_down = 0
        self.datagrams = 0
        self.dropped = 0
        self.address: Address = ("", 0)
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Address, asyncio.DatagramTransport] = {}

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Address:
        """Listen; return the address that clients use."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _Front(self), local_addr=(host, port))
        self.address = self._front.get_extra_info("sockname")[:2]
        return self.address

    def stop(self) -> None:
        """Close every socket."""
        for transport in [self._front, *self._backs.values()]:
            if transport is not None:
                transport.close()
        self._backs.clear()

    def passes(self, upward: bool, datagram: bytes) -> bool:
        """Count a datagram and say whether it goes on."""
        if not self.keep(upward, datagram):
            self.dropped += 1
            return False
        self.datagrams += 1
        if upward:
            self.bytes_up += len(datagram)
        else:
            self.bytes_down += len(datagram)
        return True

    async def send_up(self, datagram: bytes, client: Address) -> None:
        """Send one datagram of a client to the server, over the client's own socket."""
        back = self._backs.get(client)
        if back is None:
            loop = asyncio.get_running_loop()
            back, _ = await loop.create_datagram_endpoint(
                lambda: _Back(self, client), remote_addr=self.server
            )
            self._backs[client] = back
        back.sendto(datagram)

    def send_down(self, datagram: bytes, client: Address) -> None:
        """Send one datagram of the server to a client."""
        if self._front is not None and not self._front.is_closing():
            self._front.sendto(datagram, client)


class _Front(asyncio.DatagramProtocol):
    def __init__(self, relay: UdpRelay):
        self.relay = relay
        self.tasks: set[asyncio.Task] = set()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.relay.passes(True, data):
            task = asyncio.get_running_loop().create_task(self.relay.send_up(data, addr))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, relay: UdpRelay, client: Address):
        self.relay = relay
        self.client = client

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.relay.passes(False, data):
            self.relay.send_down(data, self.client)

    def error_received(self, exc: Exception) -> None:
        """A server that is down answers with ICMP: for the client it is the same as silence."""


class TcpRelay:
    """Moves one TCP service; while cut it refuses new connections and has closed those it had."""

    def __init__(self, server: Address):
        self.server = server
        self.bytes_up = 0
        self.bytes_down = 0
        self.is_cut = False
        self.address: Address = ("", 0)
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Address:
        """Listen; return the address that clients use."""
        self._listener = await asyncio.start_server(self._serve, host, port)
        self.address = self._listener.sockets[0].getsockname()[:2]
        return self.address

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._listener is not None:
            self._listener.close()
        self._abort_all()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self.is_cut = True
        self._abort_all()

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _abort_if_cut(self, *ends: asyncio.StreamWriter) -> bool:
        if self.is_cut:
            for end in ends:
                end.transport.abort()
        return self.is_cut

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._abort_if_cut(writer):
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.server)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        # It may have been cut while this connection was being made.
        if self._abort_if_cut(*pair):
            return
        self._writers |= pair
        try:
            await asyncio.gather(self._copy(reader, far_writer, True), self._copy(far_reader, writer, False))
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upward: bool) -> None:
        try:
            while piece := await reader.read(65536):
                if upward:
                    self.bytes_up += len(piece)
                else:
                    self.bytes_down += len(piece)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except (OSError, RuntimeError):
            writer.transport.abort()
