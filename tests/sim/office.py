"""The office of a simulated site: its ingest, watches and governing as they ship, below FastAPI."""

import asyncio
import contextlib
import shutil

from office_ingest.errors import StoreUnavailable
from office_ingest.govern.commands import CommandRefused, give_command
from office_ingest.govern.rollout import RolloutRefused, Rollouts, halt, roll_out
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch.silence import SilenceWatch, record_silence
from protocol.errors import ProtocolError
from protocol.uplink import encode_uplink_answer, parse_request
from tests.sim.host import Host
from tests.sim.site_plan import office_template

GRACE_S = 600


class SimOffice(Host):
    """heard_s: device -> when its last heartbeat was taken since this start; issued: (device, number) -> demands of commands; several after a restore."""

    def __init__(self, world, folder):
        super().__init__(world, "office", folder)
        self.issued = {}
        template, self.root = office_template(len(world.identities))
        for name in ("office.db", "keystore.db"):
            shutil.copy(template / name, folder / name)

    def _begin(self):
        self.store = SqliteStore.open(self.disk.folder / "office.db")
        self.keystore = Keystore.open(self.disk.folder / "keystore.db")
        self.watch = SilenceWatch(
            interval_s=self.world.pace.heartbeat_s,
            grace_s=GRACE_S,
            monotonic=self.clock.monotonic,
            silent=self.store.devices_with_open_finding("silence"),
        )
        self.registry = Registry(self.store)
        self.rollouts = Rollouts(self.store)
        self.ingest = Ingest(
            self.store,
            self.keystore,
            wall_ms=self.clock.wall_ms,
            heard=self._heard,
            takings=Takings(self.store, patience=30),
            reach=self._reach,
        )
        self.heard_s = {}
        self.started_s = self.world.time.now

    def _heard(self, device):
        self.heard_s[device] = self.world.time.now
        self.watch.heard(device)

    # ---- requests: ("ok", bytes), ("busy", why) or another word; ConnectionError where it dies meanwhile

    def uplink(self, token, body):
        """Answer POST /v1/uplink."""
        return self._asked(lambda gateway: self._take(gateway, body), token)

    def body(self, token, path):
        """Answer a GET of a release or part."""

        def give(gateway):
            *_, kind, name = path.split("/")
            if kind == "releases":
                return self.rollouts.release_for(gateway, int(name)) or ""
            return self.rollouts.part_for(gateway, bytes.fromhex(name)) or ""

        kind, found = self._asked(give, token)
        return ("missing", path) if found == "" else (kind, found)

    def _asked(self, work, token):
        if not self.is_up:
            raise ConnectionError("the office is down")
        gateway = self.registry.gateway_of(token)
        try:
            return "ok", work(gateway)
        except StoreUnavailable as error:
            return "busy", str(error)
        except BaseException:
            if not self.is_up:
                raise ConnectionError("the office died meanwhile") from None
            raise

    def _take(self, gateway, body):
        try:
            segments, heartbeats = parse_request(body)
        except ProtocolError as error:
            return "malformed", str(error)
        self.world.watch.uplink(segments)
        answer = self.ingest.take(gateway, segments, heartbeats)
        self.world.watch.answered(answer)
        return encode_uplink_answer(answer)

    # ---- what people and timers do

    async def watch_silence(self):
        """Check for silent devices again and again, as the service does."""
        while True:
            await asyncio.sleep(self.world.pace.check_s)
            if self.is_up:
                self._check_silence()
                self.world.watch.looked()

    def _check_silence(self):
        with contextlib.suppress(StoreUnavailable):
            record_silence(self.watch, self.store, self.clock.wall_ms())

    def roll_out(self, number):
        """Roll a release out, as a person does."""
        self._govern(lambda: roll_out(self.store, number, "sim", self.clock.wall_ms()))

    def halt(self, number):
        """Halt a rollout."""
        self._govern(lambda: halt(self.store, number, "sim", self.clock.wall_ms()))

    def command(self, device, demand):
        """Give a device a command."""

        def give():
            # Noted before: a disk that fails may have kept what it says it did not.
            number = Downward(self.store).next_command(device)
            self.issued.setdefault((device, number), []).append(demand)
            give_command(
                self.store,
                self.keystore,
                device,
                demand,
                author="sim",
                now_ms=self.clock.wall_ms(),
                lasts_ms=12 * 3_600_000,
            )

        self._govern(give)

    def _govern(self, work):
        if not self.is_up:
            return
        try:
            work()
        except (StoreUnavailable, RolloutRefused, CommandRefused) as refusal:
            self.world.history.note(self.name, "refused", type(refusal).__name__)
