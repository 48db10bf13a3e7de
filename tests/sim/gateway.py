"""A gateway of a simulated site: the one that ships, below its socket and its HTTPS client."""

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
from protocol.errors import ProtocolError
from tests.sim.host import Host
from tests.sim.site_plan import SITE, token_of

BYTES_MAX = 1 << 20


class SimGateway(Host):
    """site_name: which gateway of the site it is; a replacement has the same. hostile: who has taken it over, or None."""

    def __init__(self, world, site_name, folder, bytes_max=BYTES_MAX):
        drift = random.Random(f"{world.seed} drift of {site_name}").uniform(-1e-4, 1e-4)
        super().__init__(world, site_name, folder, drift)
        self.site_name = site_name
        self.bytes_max = bytes_max
        self.hears_strays = False
        self.hostile = None
        self._tasks = []
        self._answered = {}
        self.app = None
        self.empty_bytes = 0

    # ---- life

    def _begin(self):
        self._answered = {}
        # Known before it is whole: what it has opened must be let go of where it cannot begin.
        self.app = Gateway.__new__(Gateway)
        self.app.__init__(
            self._configuration(), clock=self.clock, rng=self.random, point=self._reach, office=self
        )
        self.site = self.app.site if self.hostile is None else self._hostile_site()
        if self.starts == 1:
            self.empty_bytes = (self.disk.folder / "gateway.db").stat().st_size
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

    def _fall(self):
        super()._fall()
        store = getattr(self.app, "store", None)
        if store is not None:
            os.close(store._guard)
        self.app = None
        for task in self._tasks:
            task.cancel()

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
