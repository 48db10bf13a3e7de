"""One turn of one device: connected, subscribed, opened, and frames in pieces both ways until it ends.

Nothing outlives the connection: half a frame that came is dropped, and what was not sent is not sent to a later one.

Source: SPEC.md section 13.1.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from protocol.coap import OSCORE, datagram_bytes_max, decode, option
from protocol.errors import ProtocolError
from protocol.gatt import DOWN, OPENING, UP, header_bytes, piece_bytes
from protocol.slipmux import COAP, FrameReader, encode_frame

_log = logging.getLogger("gateway.links.ble")

# From connecting to opened. A radio that does not answer may take the whole of it.
CONNECT_S = 20.0
# Answers that wait for a slow connection. A device has one request outstanding: what finds no room, nobody waits for.
ANSWERS_MAX = 4
# Answers without protection, of a stranger: he has the secret of another gateway, which waits for him, or none.
REFUSALS_MAX = 3
# A piece that the radio does not take for so long: the connection is as good as gone.
PIECE_S = 15.0

Feed = Callable[[str, bytes], None]


def name_of(address: str) -> str:
    """Return the name under which a server knows a device. address: of its radio."""
    return f"ble:{address}"


class NotOurs(Exception):
    """What advertises our service does not have it."""


def failures() -> tuple[type[Exception], ...]:
    """Return what connecting, writing and scanning may raise: bleak's backends let through errors of their bus, and assert that it is there."""
    from bleak.exc import BleakError

    return BleakError, OSError, TimeoutError, EOFError, AssertionError, NotOurs


class BlePeer:
    """client: makes a bleak client of (handle, disconnected_callback). feed(name, datagram): takes what arrives. now_s(): monotonic.

    Counts of this turn: pieces_in, pieces_out, bytes_in, bytes_out (of pieces), frames, sent (datagrams), lost (answers that found
    no room or no connection). is_credible: something that came had a protected answer. begun_s, heard_s: opened, last whole frame.
    """

    def __init__(
        self,
        address: str,
        handle: Any,
        *,
        client: Callable[..., Any],
        feed: Feed,
        now_s: Callable[[], float],
    ):
        self.name = name_of(address)
        self.address = address
        self.begun_s = self.heard_s = 0.0
        self.is_open = self.is_credible = False
        self.pieces_in = self.pieces_out = self.bytes_in = self.bytes_out = 0
        self.frames = self.sent = self.lost = 0
        self._feed = feed
        self._now_s = now_s
        self._refusals = 0
        self._reader = FrameReader()
        self._answers: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_ended = False
        self._client = client(handle, self._end)

    @property
    def spoiled(self) -> int:
        """Frames that did not come whole, or were none."""
        return self._reader.dropped + self._reader.foreign

    def _end(self, _client: Any = None) -> None:
        self._is_ended = True
        self._news.set()

    def end(self) -> None:
        """Let run() come to its end."""
        self._end()

    async def run(self) -> None:
        """Serve the device until it, the radio or end() ends it. Raises what `failures` lists; the connection is then given back."""
        try:
            async with asyncio.timeout(CONNECT_S):
                down = await self._open()
            while not self._is_ended:
                await self._send_all(down)
                self._news.clear()
                if self._refusals >= REFUSALS_MAX and not self.is_credible:
                    return
                if not self._is_ended and not self._answers:
                    await self._news.wait()
        finally:
            self.is_open = False
            self.lost += len(self._answers)
            self._answers.clear()
            self._reader.abandon()
            await self._give_back()

    async def _open(self) -> Any:
        await self._client.connect()
        down, up = (self._client.services.get_characteristic(uuid) for uuid in (DOWN, UP))
        if down is None or up is None:
            raise NotOurs(f"{self.address} advertises the service and does not have its characteristics")
        await self._client.start_notify(up, self._hear)
        self.begun_s = self.heard_s = self._now_s()
        self.is_open = True
        await self._client.write_gatt_char(down, OPENING, response=True)
        return down

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._client.disconnect()
        except failures() as error:
            _log.info("%s: disconnecting: %s", self.name, error)

    def _hear(self, _characteristic: Any, piece: bytearray) -> None:
        if not self.is_open:
            return
        self.pieces_in += 1
        self.bytes_in += len(piece)
        for kind, content in self._reader.feed(bytes(piece)):
            if kind == COAP:
                self.frames += 1
                self.heard_s = self._now_s()
                self._feed(self.name, content)

    def send(self, datagram: bytes) -> None:
        """Send one datagram over this connection, soon or never."""
        if not self.is_open or len(self._answers) >= ANSWERS_MAX or len(datagram) > datagram_bytes_max:
            self.lost += 1
            return
        self.is_credible = self.is_credible or _is_protected(datagram)
        self._refusals += not self.is_credible
        self._answers.append(encode_frame(datagram))
        self._news.set()

    async def _send_all(self, down: Any) -> None:
        while self._answers and not self._is_ended:
            frame = self._answers.popleft()
            # Asked each time: a radio may agree to longer pieces while the connection is open.
            size = piece_bytes(down.max_write_without_response_size + header_bytes)
            for at in range(0, len(frame), size):
                piece = frame[at : at + size]
                async with asyncio.timeout(PIECE_S):
                    await self._client.write_gatt_char(down, piece, response=False)
                self.pieces_out += 1
                self.bytes_out += len(piece)
            self.sent += 1


def _is_protected(datagram: bytes) -> bool:
    try:
        return option(decode(datagram).options, OSCORE) is not None
    except ProtocolError:
        return False
