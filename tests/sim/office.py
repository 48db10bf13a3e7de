"""The office of a simulated site: its ingest, watches and governing as they ship, below FastAPI."""

import asyncio
import contextlib
import shutil

from office_ingest.config import HeartbeatSection, OfficeSection, RolloutSection, Settings
from office_ingest.core import Core
from office_ingest.errors import StoreUnavailable
from office_ingest.govern.commands import CommandRefused, give_command
from office_ingest.govern.rollout import RolloutRefused, halt, roll_out
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.downward import Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.errors import ProtocolError
from protocol.uplink import encode_uplink_answer, parse_request
from tests.sim.host import Host
from tests.sim.site_plan import office_template, token_of
from tests.sim.usage import take

GRACE_S = 600


class SimOffice(Host):
    """heard_s: device -> when its last heartbeat was taken since this start; issued: (device, number) -> demands of commands; several after a restore."""

    kind = "office"

    def __init__(self, world, folder):
        super().__init__(world, "office", folder)
        self.issued = {}
        template, self.root = office_template(len(world.identities))
        for name in ("office.db", "keystore.db"):
            shutil.copy(template / name, folder / name)

    def _begin(self):
        self.store = SqliteStore.open(self.disk.folder / "office.db")
        self.keystore = Keystore.open(self.disk.folder / "keystore.db")
        pace = HeartbeatSection(self.world.pace.heartbeat_s, GRACE_S)
        settings = Settings(OfficeSection(self.name), heartbeat=pace, rollout=RolloutSection(30))
        self.core = Core(
            settings, self.store, self.keystore, self.clock, reach=self._reach, heard=self._heard
        )
        self.heard_s = {}
        self.started_s = self.world.time.now

    def _heard(self, device):
        self.heard_s[device] = self.world.time.now

    # ---- requests: ("ok", bytes), ("busy", why) or another word; ConnectionError where it dies meanwhile

    def uplink(self, token, body):
        """Answer POST /v1/uplink."""
        return self._asked(lambda gateway: self._take(gateway, body), token)

    def body(self, token, path):
        """Answer a GET of a release or part."""

        def give(gateway):
            *_, kind, name = path.split("/")
            if kind == "releases":
                return self.core.rollouts.release_for(gateway, int(name)) or ""
            return self.core.rollouts.part_for(gateway, bytes.fromhex(name)) or ""

        kind, found = self._asked(give, token)
        return ("missing", path) if found == "" else (kind, found)

    def usage(self, site_name, body, life):
        """Answer POST /v1/usage."""
        return self._asked(lambda gateway: take(self.core, gateway, body, life), token_of(site_name))

    def _asked(self, work, token):
        if not self.is_up:
            raise ConnectionError("the office is down")
        gateway = self.core.registry.gateway_of(token)
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
        answer = self.core.ingest.take(gateway, segments, heartbeats)
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
            self.core.check_silence()

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
