"""Builds the gateway and runs it: the only place where its parts meet.

Order of the start: settings, store, sessions, socket and serial ports, uplink; of the end: the links first, so that nothing new comes,
then what waits for the disk, then one last word about health, then the store.
"""

import asyncio
import logging
import os
import random
import secrets
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock
from gateway.collector import Collector
from gateway.config import Configuration, Files, read_configuration, read_links
from gateway.delivery import Delivery
from gateway.downlink import Downlink
from gateway.errors import OfficeUnreachable, StoreFailed, StoreFull
from gateway.fetcher import Fetcher
from gateway.garbage import rarely_collected
from gateway.health import Health
from gateway.link_set import LinkSet
from gateway.links import udp
from gateway.links.announcement import Announcement
from gateway.links.ble import BleLink, Radio
from gateway.links.groups import Groups
from gateway.links.newcomers import Newcomers
from gateway.links.serial import SerialLink
from gateway.links.server import CoapServer
from gateway.links.site import Site
from gateway.outbox import Outbox
from gateway.points import VARIABLE, KillPoint, read_kill_point
from gateway.readings import Readings
from gateway.renewal import Renewal
from gateway.scrub import Scrub
from gateway.sessions import Sessions
from gateway.shelf import Shelf
from gateway.store import open_store
from gateway.store_down import StoreDown
from gateway.store_file import connect
from gateway.uplink import Backoff, Office, Uplink
from gateway.usage import Usage
from gateway.witness import Witness
from protocol.diagnostic import DiagnosticError, show
from protocol.installation import check_installation
from protocol.usage import BLE, LIFE_BYTES, SERIAL, UDP

_log = logging.getLogger("gateway.app")

# How old what `status` reads may be. Each save is one commit, and only when something changed.
HEALTH_INTERVAL_S = 2.0


class Gateway:
    """One running gateway. clock, rng, point, connection and office are handed in; see run_gateway for the real ones.

    office: post(), get() and close() as `uplink.Office` has them; None: the one of the settings, over HTTPS.
    radio: as `links.ble.Radio`; None: this machine's.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: Any,
        rng: random.Random,
        point: KillPoint,
        connection: Callable[[str], sqlite3.Connection] = connect,
        office: Any = None,
        radio: Radio | None = None,
    ):
        settings, files, links, _ = configuration
        self._configuration = configuration
        self._clock = clock
        self._office = office or _office_of(configuration)
        self.health, self._rng = Health(), rng
        self.store = open_store(
            files.database,
            bytes_max=settings.store.bytes_max,
            clock=clock,
            rng=rng,
            point=point,
            connect=connection,
            passphrase=settings.store.passphrase(),
        )
        asks = _is_certified(configuration)
        self.sessions = Sessions(self.store, links, secret=rng.randbytes(32), clock=clock)
        self.links = LinkSet(self.store, self.health, links, reload=self.sessions.reload, asks=asks)
        if isinstance(self._office, Office):
            self._office.held = self.links.held
        self.downlink = Downlink()
        self.shelf = Shelf(StoreDown(self.store))
        self.readings = Readings(self.store, self.health, clock=clock)
        self.collector = Collector(self.store, self.downlink, self.shelf, self.health, point=point)
        self.newcomers = self._hear_newcomers()
        # A simulated office is asked nothing beside the uplink.
        self._ask = self._office.ask if isinstance(self._office, Office) else _no_office
        self.usage = self._make_usage()
        self.witness = self._make_witness()
        self.site = self._make_site(point)
        self.fetcher = Fetcher(
            self.shelf, self.health, self._office.get, backoff=self._backoff(rng), clock=clock, point=point
        )
        self.uplink = Uplink(
            self._outbox(),
            self.health,
            self._office.post,
            backoff=self._backoff(rng),
            clock=clock,
            batch_segments=settings.uplink.batch_segments,
            point=point,
        )
        self.collector.arrived, self.collector.kept = self.uplink.wake, self.readings.offer
        self._scrub = Scrub(files.database, self.store, self.health, clock=clock)
        self._saved = ""
        self._counted = (0, 0)
        self._tasks: list[asyncio.Task[None]] = []
        self._make_links(radio)

    def _outbox(self) -> Outbox:
        return Outbox(
            self.store,
            self.downlink,
            self.shelf,
            self.health,
            is_known=self.sessions.is_known,
            lacks=self.fetcher.wake,
            is_revoked=self.sessions.is_revoked,
            revoke=self.sessions.revoke,
            readings=self.readings,
            links=self.links,
        )

    def _make_site(self, point: KillPoint) -> Site:
        return Site(
            self.sessions,
            self.collector,
            Delivery(self.shelf, self.health),
            self.health,
            clock=self._clock,
            point=point,
            newcomers=self.newcomers,
            moved=self.usage.moved,
        )

    def _make_usage(self) -> Usage:
        interval_s = self._configuration.settings.uplink.usage_s
        life = self._rng.randbytes(LIFE_BYTES)
        return Usage(self.store, self.health, self._ask, life=life, clock=self._clock, interval_s=interval_s)

    def _make_witness(self) -> Witness:
        interval_s = self._configuration.settings.uplink.witness_s
        return Witness(
            self.store, self.health, self._ask, self.shelf.envelopes, clock=self._clock, interval_s=interval_s
        )

    def _hear_newcomers(self) -> Newcomers | None:
        if not self._configuration.settings.listen.newcomers:
            return None

        def ask_links() -> None:
            # The uplink is made after this.
            self.uplink.ask()

        return Newcomers(
            self._office.ask,
            self.health,
            is_known=self.sessions.is_known,
            ask_links=ask_links,
            clock=self._clock,
            chance=self._rng,
        )

    def _make_links(self, radio: Radio | None) -> None:
        self.link: udp.UdpLink | None = None
        ports = [(entry.port, entry.baud) for entry in self._configuration.settings.serial]
        self.serial = SerialLink(ports, self.health, lambda said: show([said]))
        self.ble = self._ble_link(radio)
        # Of the links beside UDP.
        self._servers: list[CoapServer] = []
        # How devices that look for a gateway find this one; None: they do not.
        self.groups: Groups | None = None
        self.announcement: Announcement | None = None

    def _ble_link(self, radio: Radio | None) -> BleLink | None:
        ble = self._configuration.settings.ble
        if ble is None:
            return None
        return BleLink(
            radio or Radio(ble.adapter),
            self.health,
            lambda said: show([said]),
            clock=self._clock,
            connections=ble.connections,
            turn_s=ble.turn_s,
        )

    def _start_links(self) -> None:
        """Let whatever else the settings name carry datagrams too."""
        if self._configuration.settings.serial:
            self.serial.start(self._serve_over(SERIAL, self.serial.send))
        if self.ble is not None:
            self.ble.start(self._serve_over(BLE, self.ble.send))

    def _serve_over(self, link: int, send: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
        server = CoapServer(self.site.over(link, self._window(link)), send)
        self._servers.append(server)
        return server.feed

    def _window(self, link: int) -> tuple[int, int] | None:
        return self._configuration.settings.bulk.window(link)

    async def _close_links(self) -> None:
        await self.serial.close()
        if self.ble is not None:
            await self.ble.close()
        for server in self._servers:
            await server.close()

    def _backoff(self, rng: random.Random) -> Backoff:
        uplink = self._configuration.settings.uplink
        return Backoff(least_s=uplink.retry_min_s, most_s=uplink.retry_max_s, rng=rng)

    def _renewal_of(self, files: Files) -> Renewal | None:
        if not files.identity.exists() or not isinstance(self._office, Office):
            return None
        renewal = Renewal(
            files.identity,
            files.ca,
            ask=self._office.ask,
            probe=self._office.probe,
            reload=self._office.reload,
            backoff=self._backoff(self._rng),
            clock=self._clock,
            rng=self._rng,
            health=self.health,
        )
        self._office.announced = renewal.announced
        return renewal

    async def start(self) -> udp.UdpLink:
        """Bind the socket, start the uplink and return the link. Raises DiagnosticError."""
        await self.load()
        listen = self._configuration.settings.listen
        self.link = await udp.listen(self.site.over(UDP, self._window(UDP)), listen.host, listen.port)
        self._start_links()
        self.begin()
        self._be_found(self.link)
        return self.link

    def _be_found(self, link: udp.UdpLink) -> None:
        """Let devices and people find this gateway on its networks, where the settings say so."""
        settings = self._configuration.settings
        if settings.discovery is None:
            return
        self.groups = Groups(link, settings.discovery.port)
        self._tasks.append(asyncio.create_task(self.groups.keep()))
        if settings.discovery.dns_sd:
            self.announcement = Announcement(settings.gateway.name, link, lambda said: show([said]))
            self._tasks.append(asyncio.create_task(self.announcement.keep()))

    async def load(self) -> None:
        """Take up what the store kept. Raises StoreFailed."""
        self.health.load(await self.store.load_health())
        self.downlink.load_receipts(await self.store.receipts())
        await self.links.load()
        await self.shelf.load()
        await self.readings.load()
        await self.usage.load()
        await self.witness.load()

    def begin(self) -> None:
        """Start all that goes on by itself."""
        work = [
            self.uplink.run(),
            self.fetcher.run(),
            self._keep_health(),
            self._scrub.run(),
            self.readings.run(),
            self.serial.wait(),
        ]
        if isinstance(self._office, Office):
            work += [self.usage.run(), self.witness.run()]
        renewal = self._renewal_of(self._configuration.files)
        if renewal is not None:
            work.append(renewal.run())
        if self.links.asks:
            work.append(self.links.keep_asking(self.uplink.ask, self._clock))
        if self.newcomers is not None:
            work.append(self.newcomers.run())
        self._tasks = [asyncio.create_task(one) for one in work]
        if self.ble is not None:
            self._tasks.append(asyncio.create_task(self.ble.wait()))

    def reload_links(self) -> None:
        """Read links.toml again; if it has mistakes they are said and the devices stay as they were."""
        try:
            links = read_links(self._configuration.files.links)
        except DiagnosticError as error:
            show(error.diagnostics)
            return
        count = self.links.relist(links)
        _log.info("links.toml read again: %d devices in it; %d links count", len(links), count)

    async def wait(self) -> None:
        """Return never; raise what ended one of the tasks, which is a fault of ours."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Stop taking requests, finish what waits for the disk, and close everything."""
        if self.groups is not None:
            self.groups.close()
        if self.announcement is not None:
            await self.announcement.close()
        await self._close_links()
        if self.link is not None:
            await self.link.close()
        self._scrub.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.health.is_running = False
        await self._save_usage()
        await self._save_health()
        await self._office.close()
        await self.store.close()

    async def _keep_health(self) -> None:
        while True:
            await self._save_health()
            await self._clock.sleep(HEALTH_INTERVAL_S)

    async def _save_usage(self) -> None:
        try:
            await self.usage.save()
        except (StoreFull, StoreFailed) as error:
            _log.error("what devices moved is not kept: %s", error)

    def _count_store(self) -> None:
        # What was counted already, of this process.
        reopened, repaired = self._counted
        self._counted = (self.store.reopened, self.store.repaired)
        self.health.count("store_reopened", self.store.reopened - reopened)
        self.health.count("store_repaired", self.store.repaired - repaired)

    async def _save_health(self) -> None:
        self.health.store_fault = self.store.fault()
        self.health.down = self.shelf.document()
        self._count_store()
        self.serial.count()
        if self.ble is not None:
            self.ble.count()
        body = self.health.body()
        if body == self._saved:
            return
        try:
            await self.store.save_health(body)
            self._saved = body
        except (StoreFull, StoreFailed) as error:
            _log.error("health not saved: %s", error)


async def _no_office(
    _method: str, _path: str, _bytes_max: int, _body: bytes, _headers: dict[str, str] | None = None
) -> bytes:
    raise OfficeUnreachable("there is no office over HTTPS")


def _is_certified(configuration: Configuration) -> bool:
    return configuration.files.identity.exists()


def _office_of(configuration: Configuration) -> Office:
    uplink = configuration.settings.uplink
    files, token = configuration.files, configuration.token
    identity = files.identity if _is_certified(configuration) else None
    return Office(uplink.url, ca=files.ca, token=token, identity=identity, timeout_s=uplink.timeout_s)


async def serve(configuration: Configuration, say: Callable[[str], None], point: KillPoint) -> None:
    """Run the gateway until SIGTERM or SIGINT. say: told the address when it is ready. Raises DiagnosticError."""
    # Seeded by the system: ordinary random numbers would repeat Echo secrets.
    gateway = Gateway(configuration, clock=SystemClock(), rng=secrets.SystemRandom(), point=point)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload_links)
    try:
        link = await gateway.start()
        say(f"coap://{link.host}:{link.port}")
        running = asyncio.create_task(gateway.wait())
        asked = asyncio.create_task(ended.wait())
        with rarely_collected():
            await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if running.done():
            running.result()
        else:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await gateway.stop()


def run_gateway(path: Path, say: Callable[[str], None]) -> None:
    """Read gateway.toml at path and run until told to stop. Raises DiagnosticError with every mistake."""
    check_installation()
    point = read_kill_point(os.environ.get(VARIABLE))
    configuration = read_configuration(path)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(configuration, say, point))


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where it is installed, else Python's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
