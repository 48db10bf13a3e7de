"""A gateway of a simulated site: the one that ships, below its socket and its HTTPS client."""

import asyncio
import contextlib
import functools
import os
import random

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
from gateway.links.server import CoapServer
from gateway.links.site import Site
from protocol import coap
from protocol.errors import ProtocolError
from protocol.oscore import decode_option
from tests.sim.host import Host
from tests.sim.site_plan import SITE, token_of
from tests.sim.usage import INTERVAL_S, Meter

BYTES_MAX = 1 << 20
# Requests of which is remembered what an answer to them answers: for the network, which checks both.
ASKED_MAX = 1000


class SimGateway(Host):
    """site_name: which gateway of the site it is; a replacement has the same. hostile: who has taken it over, or None."""

    kind = "gateway"

    def __init__(self, world, site_name, folder, bytes_max=BYTES_MAX):
        drift = random.Random(f"{world.seed} drift of {site_name}").uniform(-1e-4, 1e-4)
        super().__init__(world, site_name, folder, drift)
        self.site_name = site_name
        self.bytes_max = bytes_max
        self.hears_strays = False
        self.hostile = None
        self._tasks = []
        self._asked = {}
        self.server = None
        self.app = None
        self.empty_bytes = 0

    # ---- life

    def _begin(self):
        self._asked = {}
        # Known before it is whole: what it has opened must be let go of where it cannot begin.
        self.app = Gateway.__new__(Gateway)
        self.app.__init__(
            self._configuration(), clock=self.clock, rng=self.random, point=self._reach, office=self
        )
        self._watch_requests(self.app.sessions)
        self.server = self._server(self.app.site if self.hostile is None else self._hostile_site())
        if self.starts == 1:
            self.empty_bytes = (self.disk.folder / "gateway.db").stat().st_size
        self.meter = Meter(self)
        self.meter.begin(self.app)
        self._tasks = [asyncio.ensure_future(self._serve())]
        self.world.network.begin(self)

    def _watch_requests(self, sessions):
        """Each request is taken once in a start: every answer has a number of its own, so no nonce would tell of a replay."""
        opens, taken = sessions.open, set()

        def watched(message):
            opened = opens(message)
            at = opened.session.name, decode_option(coap.option(message.options, coap.OSCORE))[0]
            if at in taken:
                self.world.history.breaks("counters", f"{self.name}: request {at[1].hex()} was taken twice")
            taken.add(at)
            return opened

        sessions.open = watched

    def _configuration(self):
        folder = self.disk.folder
        settings = Settings(
            GatewaySection(site=SITE, name=self.site_name),
            UplinkSection(
                url="https://office.example",
                batch_segments=64,
                retry_min_s=30.0,
                retry_max_s=900.0,
                usage_s=INTERVAL_S,
            ),
            store=StoreSection(bytes_max=self.bytes_max),
        )
        files = Files(
            *(
                folder / name
                for name in ("gateway.db", "links.toml", "office-ca.pem", "token", "identity.pem")
            )
        )
        links = [
            Link(device.identity.device, device.identity.kid, device.identity.secrets[self.site_name])
            for device in self.world.devices
        ]
        return Configuration(settings, files, links, token_of(self.site_name))

    def _hostile_site(self):
        app = self.app
        deliveries = self.hostile.delivery(Delivery(app.shelf, app.health))
        return Site(
            app.sessions,
            self.hostile.collector(app.collector),
            deliveries,
            app.health,
            clock=self.clock,
            point=self._reach,
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
            self._tasks += [*self.app._tasks, asyncio.ensure_future(self._live_through(self.app.usage.run()))]
            await self.app.wait()

    def _fall(self):
        super()._fall()
        store = getattr(self.app, "store", None)
        if store is not None:
            os.close(store._guard)
        self.app = None
        self.server = None
        self.world.network.end(self)
        for task in self._tasks:
            task.cancel()

    # ---- datagrams

    def hear(self, device, datagram):
        """A datagram of a device arrives."""
        if not self.is_up:
            return
        with self._mortal():
            token = _token(datagram)
            if token is not None:
                self._asked[device, token] = datagram
            while len(self._asked) > ASKED_MAX:
                del self._asked[next(iter(self._asked))]
            self.meter.passed(device, len(datagram))
            self.server.feed(device, datagram)

    def _server(self, site):
        """The server that ships, between the site and the network."""
        start = self.starts

        def send(device, datagram):
            if self.is_up and self.starts == start:
                self.meter.passed(device, len(datagram))
                request = self._asked.get((device, _token(datagram)), datagram)
                self.world.network.down(self, device, datagram, request)

        def spawn(coroutine):
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(asyncio.ensure_future(self._live_through(coroutine)))
            return self._tasks[-1]

        return CoapServer(site, send, chance=random.Random(self.random.random()), spawn=spawn)

    async def _live_through(self, coroutine):
        with self._mortal():
            await coroutine

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


# Its server reads each datagram itself: what the network asks of the same bytes costs no second reading.
@functools.lru_cache(maxsize=64)
def _token(datagram):
    """Return the token of a message, None of what is none."""
    try:
        return coap.decode(datagram).token
    except ProtocolError:
        return None
