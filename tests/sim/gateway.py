"""A gateway of a simulated site: the one that ships, its socket and its HTTPS client left out: below aiocoap."""

import asyncio
import contextlib
import os
import random
from types import SimpleNamespace

import aiocoap

from gateway.app import Gateway
from gateway.config import (
    Configuration,
    Files,
    GatewaySection,
    Link,
    Settings,
    StoreSection,
    UplinkSection,
)
from gateway.delivery import Delivery
from gateway.errors import OfficeBusy, OfficeConfused, OfficeUnreachable, StoreFailed, StoreFull
from gateway.links.udp import EXCHANGE_LIFETIME_S, Site
from protocol import coap
from protocol.diagnostic import DiagnosticError
from protocol.errors import ProtocolError
from tests.sim.clock import HostClock
from tests.sim.disk import Disk
from tests.sim.history import Crash
from tests.sim.site_plan import SITE, START_MS, token_of

BYTES_MAX = 1 << 20


class SimGateway:
    """site_name: which gateway of the site it is; a replacement has the same. hostile: who has taken it over, or None."""

    def __init__(self, world, site_name, folder, bytes_max=BYTES_MAX):
        self.world = world
        self.site_name = self.name = site_name
        self.random = random.Random(f"{world.seed} {site_name}")
        self.bytes_max = bytes_max
        self.hears_strays = False
        self.is_up = False
        self.disk = Disk(folder, self.random)
        self.clock = HostClock(world.time, START_MS, self.random.uniform(-1e-4, 1e-4))
        self.crash_at = None
        self.hostile = None
        self.starts = 0
        self.folders = 0
        self._tasks = []
        self._answered = {}
        self.app = None
        self.empty_bytes = 0

    # ---- life

    def start(self):
        """Start the process."""
        self.clock.boot()
        self.starts += 1
        self.world.history.note(self.name, "start", self.starts)
        self._answered = {}
        self.app = Gateway(
            self._configuration(), clock=self.clock, rng=self.random, point=self._reach, office=self
        )
        self.site = self.app.site if self.hostile is None else self._hostile_site()
        if self.starts == 1:
            self.empty_bytes = (self.disk.folder / "gateway.db").stat().st_size
        self.is_up = True
        self._tasks = [asyncio.ensure_future(self._serve())]

    def _configuration(self):
        folder = self.disk.folder
        settings = Settings(
            GatewaySection(site=SITE, name=self.site_name),
            UplinkSection(
                url="https://office.example", batch_segments=64, retry_min_s=30.0, retry_max_s=900.0
            ),
            store=StoreSection(bytes_max=self.bytes_max),
        )
        files = Files(*(folder / name for name in ("gateway.db", "links.toml", "office-ca.pem", "token")))
        links = [
            Link(device.identity.device, device.identity.kid, device.identity.secrets[self.site_name])
            for device in self.world.devices
        ]
        return Configuration(settings, files, links, token_of(self.site_name))

    def _hostile_site(self):
        app = self.app
        deliveries = self.hostile.delivery(Delivery(app.shelf, app.health))
        return Site(
            app.sessions, self.hostile.collector(app.collector), deliveries, app.health, point=self._reach
        )

    @contextlib.contextmanager
    def _mortal(self):
        """What goes wrong in a process that is gone is nobody's business."""
        start = self.starts
        try:
            yield
        except BaseException:
            if self.is_up and self.starts == start:
                raise

    async def _serve(self):
        with self._mortal():
            try:
                await self.app.load()
            except (StoreFull, StoreFailed):
                # The service manager starts it again.
                self.crash("cannot load")
                return
            self.app.begin()
            self._tasks += self.app._tasks
            await self.app.wait()

    def _reach(self, name):
        if not self.is_up:
            raise Crash(name)
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at <= 0:
                self.crash_at = None
                self.crash(name)
                raise Crash(name)

    def crash(self, why="killed"):
        """End the process at once; it is started again after a while."""
        if not self.is_up:
            return
        self.world.history.note(self.name, "crash", why)
        self.is_up = False
        self._drop_store()
        for task in self._tasks:
            task.cancel()
        asyncio.get_running_loop().call_later(self.random.uniform(1, 30), self._start_again)

    def _drop_store(self):
        """Let go of the files as the end of a process does."""
        self.disk.crash()
        if self.app is not None:
            os.close(self.app.store._guard)
            self.app = None

    def _start_again(self):
        if self.is_up:
            return
        try:
            self.start()
        except (DiagnosticError, StoreFull, StoreFailed) as error:
            self.world.history.note(self.name, "cannot start", str(error)[-160:])
            self._drop_store()
            asyncio.get_running_loop().call_later(60, self._start_again)

    # ---- datagrams

    def hear(self, device, datagram):
        """A datagram of a device arrives: answered once, repeated as it was for who repeats his request (RFC 7252 section 4.5)."""
        if not self.is_up:
            return
        try:
            message = coap.decode(datagram)
        except ProtocolError:
            return
        if message.code == coap.EMPTY or message.code >= 0x40:
            return
        key = (device.name, message.message_id)
        then, answer = self._answered.get(key, (-1e9, None))
        if self.world.time.now - then < EXCHANGE_LIFETIME_S:
            if answer is not None:
                self.world.network.down(self, device, answer, datagram)
            return
        self._answered[key] = (self.world.time.now, None)
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.ensure_future(self._answer(device, message, datagram, key)))

    async def _answer(self, device, message, datagram, key):
        request = aiocoap.Message(code=aiocoap.numbers.codes.Code(message.code), payload=message.payload)
        request.opt.oscore = coap.option(message.options, coap.OSCORE)
        request.remote = device.name
        answers = []
        pipe = SimpleNamespace(request=request, add_response=lambda one, is_last: answers.append(one))
        with self._mortal():
            await self.site.render_to_pipe(pipe)
            if not self.is_up:
                return
            made = answers[0]
            options = [] if made.opt.oscore is None else [(coap.OSCORE, made.opt.oscore)]
            answer = coap.encode(
                coap.Message(
                    coap.ACK, int(made.code), message.message_id, message.token, options, made.payload
                )
            )
            self._answered[key] = (self.world.time.now, answer)
            self.world.network.down(self, device, answer, datagram)

    # ---- the office

    async def post(self, body):
        """As `gateway.uplink.Office` does it."""
        post = self.world.office.uplink if self.hostile is None else self.hostile.uplink
        return await self._ask(lambda: post(token_of(self.site_name), body))

    async def get(self, path, bytes_max):
        """As `gateway.uplink.Office` does it."""
        return await self._ask(lambda: self.world.office.body(token_of(self.site_name), path))

    async def _ask(self, call):
        try:
            kind, answer = await self.world.network.ask(self, call)
        except ConnectionError as error:
            raise OfficeUnreachable(str(error)) from None
        if kind == "busy":
            raise OfficeBusy(answer, 30.0)
        if kind != "ok":
            raise OfficeConfused(f"{kind}: {answer}")
        return answer
