"""CoAP over BLE: this gateway is the central. It scans, gives each device that advertises its turn, and moves datagrams meanwhile.

The name of a peer is `ble:` and the radio's address of the device, which says nothing of who it is; messages are a server's matter.

Source: SPEC.md section 13.1.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from gateway.health import Health
from gateway.links.ble_peer import BlePeer, failures, name_of
from gateway.links.ble_turns import Turns
from protocol.diagnostic import UNREACHABLE, Diagnostic, DiagnosticError
from protocol.gatt import SERVICE

_log = logging.getLogger("gateway.links.ble")

# Whether somebody waits, and whose time is up, is looked at so often.
LOOK_S = 0.5
# Where others wait: a device that says nothing more gives way after the one, any device after the other.
IDLE_S = 5.0
# A stranger must have a protected answer by then; while others wait sooner.
PROVE_S = 60.0
PROVE_S_BUSY = 10.0
# A device that advertises is connected to nobody: where it is to us, and silent for so long, a Bluetooth service forgot to say its end.
STALE_S = 5.0
# A scan is begun anew so often: a Bluetooth service that was restarted ends it without a word.
SCAN_S = 60.0
# Before an adapter that is away is tried again; doubles.
RETRY_S_MIN = 1.0
RETRY_S_MAX = 30.0

# Name in the gateway's counters -> attribute of a peer.
_COUNTED = {"ble_frames": "frames", "ble_spoiled": "spoiled", "ble_unsent": "lost"}


Feed = Callable[[str, bytes], None]


class Radio:
    """bleak on this machine's adapter; tests have another. adapter: its name, or "": the first."""

    def __init__(self, adapter: str = "", *, scanner: Any = None, client: Any = None):
        self._bluez = {"adapter": adapter} if adapter else {}
        self._scanner = scanner
        self._client = client

    def scan(self, heard: Callable[[Any, Any], None]) -> Any:
        """Return a scanner of our service. heard(device, advertisement)."""
        from bleak import BleakScanner

        # Each advertisement is told: one that was heard before a connection is no sign of life after it.
        bluez: Any = {**self._bluez, "filters": {"DuplicateData": True}}
        return BleakScanner(heard, [SERVICE], bluez=bluez, backend=self._scanner)

    def client(self, device: Any, ended: Callable[[Any], None]) -> Any:
        """Return a client for a device of the scanner. ended(client): the connection is gone."""
        from bleak import BleakClient

        bluez: Any = self._bluez
        return BleakClient(device, ended, [SERVICE], bluez=bluez, backend=self._client)


class BleLink:
    """All devices of a gateway that it reaches over BLE. clock: monotonic() and sleep(); connections: at once, at most; turn_s: how
    long a device may keep one that another waits for.
    """

    def __init__(
        self,
        radio: Radio,
        health: Health,
        tell: Callable[[Diagnostic], None],
        *,
        clock: Any,
        connections: int,
        turn_s: float,
    ):
        self._radio = radio
        self._feed: Feed = _nobody
        self._health = health
        self._tell = tell
        self._clock = clock
        self._connections = connections
        self._turn_s = turn_s
        self._turns = Turns()
        self._peers: dict[str, BlePeer] = {}
        self._sessions: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._counted: dict[str, dict[str, int]] = {}
        self._is_away = False
        self._reason = ""
        self.losses = 0
        self.turns = 0

    def start(self, feed: Feed) -> None:
        """Begin to scan. feed(peer, datagram): takes what arrives. Raises DiagnosticError (exit 3) without bleak."""
        _require_bleak()
        self._feed = feed
        self._tasks = [asyncio.create_task(self._scan()), asyncio.create_task(self._serve())]

    async def wait(self) -> None:
        """Return never; raise what ended a task, which is a fault of ours."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop scanning and give all connections back."""
        tasks = [*self._tasks, *self._sessions]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []

    def send(self, peer: str, datagram: bytes) -> None:
        """Send one datagram to a device, soon or, where it is not connected any more, never."""
        to = self._peers.get(peer)
        if to is None:
            self._health.count("ble_unsent")
            return
        to.send(datagram)
        if to.is_credible:
            self._turns.trust(to.address)

    def document(self) -> dict[str, Any]:
        """Return state and counts for `status`."""
        return {
            "state": "away" if self._is_away else "scanning",
            "reason": self._reason,
            "connected": sum(peer.is_open for peer in self._peers.values()),
            "connections": self._connections,
            "advertisers": len(self._turns),
            "waiting": self._turns.waiting(self._clock.monotonic()),
            "turns": self.turns,
            "losses": self.losses,
        }

    # ---- the adapter

    async def _scan(self) -> None:
        retry_s = RETRY_S_MIN
        while True:
            scanner = self._radio.scan(self._hear)
            try:
                await scanner.start()
            except failures() as error:
                self._be_away(error)
                await self._clock.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_S_MAX)
                continue
            self._is_away, self._reason = False, ""
            retry_s = RETRY_S_MIN
            try:
                await self._clock.sleep(SCAN_S)
            finally:
                await self._stop(scanner)

    async def _stop(self, scanner: Any) -> None:
        try:
            await scanner.stop()
        except failures() as error:
            _log.info("the scan did not end in order: %s", error)

    def _be_away(self, error: Exception) -> None:
        self._reason = str(error) or type(error).__name__
        if not self._is_away:
            self._is_away = True
            self.losses += 1
            self._health.count("ble_losses")
            fix = "see that the adapter is there, switched on, and that this user may use it; it is tried again by itself"
            said = f"the Bluetooth adapter cannot be used: {self._reason}"
            self._tell(Diagnostic("ble-away", said, fix=fix, severity="warning"))

    def _hear(self, device: Any, advertisement: Any) -> None:
        if SERVICE not in advertisement.service_uuids:
            return
        now_s = self._clock.monotonic()
        self._turns.hear(device.address, device, now_s)
        peer = self._peers.get(name_of(device.address))
        if peer is not None and peer.is_open and now_s - peer.heard_s > STALE_S:
            peer.end()

    # ---- turns

    async def _serve(self) -> None:
        while True:
            now_s = self._clock.monotonic()
            while len(self._peers) < self._connections:
                chosen = self._turns.begin(now_s)
                if chosen is None:
                    break
                self._begin(*chosen)
            self._end_turns(now_s)
            await self._clock.sleep(LOOK_S)

    def _begin(self, address: str, handle: Any) -> None:
        peer = BlePeer(
            address,
            handle,
            client=self._radio.client,
            feed=self._feed,
            now_s=self._clock.monotonic,
        )
        self._peers[peer.name] = peer
        session = asyncio.create_task(self._session(peer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _session(self, peer: BlePeer) -> None:
        self.turns += 1
        try:
            await peer.run()
        except failures() as error:
            _log.info("%s: %s", peer.name, error or type(error).__name__)
        finally:
            del self._peers[peer.name]
            self._turns.end(peer.address, self._clock.monotonic(), was_useful=peer.is_credible)
            self._count(peer)
            self._counted.pop(peer.name, None)

    def _end_turns(self, now_s: float) -> None:
        """End turns that are over. One for each that waits and finds no room: ending more would only cost connections."""
        room = self._connections - len(self._peers)
        wanted = max(0, self._turns.waiting(now_s) - room)
        for peer in sorted(self._peers.values(), key=lambda one: one.begun_s):
            if not peer.is_open:
                continue
            if (not peer.is_credible and now_s - peer.begun_s > (PROVE_S_BUSY if wanted else PROVE_S)) or (
                wanted > 0 and (now_s - peer.begun_s > self._turn_s or now_s - peer.heard_s > IDLE_S)
            ):
                peer.end()
                wanted -= 1

    # ---- counters

    def count(self) -> None:
        """Bring health up to date."""
        for peer in self._peers.values():
            self._count(peer)
        self._health.links["ble"] = self.document()

    def _count(self, peer: BlePeer) -> None:
        before = self._counted.setdefault(peer.name, {})
        for name, attribute in _COUNTED.items():
            now = getattr(peer, attribute)
            self._health.count(name, now - before.get(name, 0))
            before[name] = now


def _nobody(_peer: str, _datagram: bytes) -> None:
    raise AssertionError("nobody takes datagrams before start()")


def _require_bleak() -> None:
    try:
        import bleak  # noqa: F401 -- whether it is there is the question
    except ModuleNotFoundError:
        said = "[ble] is enabled, and bleak is not installed"
        fix = "pip install 'outstation[links]', or remove [ble]"
        raise DiagnosticError(Diagnostic("links-missing", said, fix=fix), UNREACHABLE) from None
