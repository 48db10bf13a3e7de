"""What is checked while it happens: each boot, each uplink request, each silence check. It writes to the history what it finds."""

from agent.ring import peek
from agent.steward import SPACING
from protocol.messages import parse_receipt
from tests.sim.checks.lost import missing_of
from tests.sim.office import GRACE_S
from tests.sim.site_plan import ALL_RULES


class Watch:
    """receipts: (device, lane, epoch) -> highest number that the office ever said is safe there."""

    def __init__(self, world):
        self._world = world
        self._cells = {}
        self.receipts = {}
        self._seen = set()
        self._looked_at = None

    # ---- devices

    def booted(self, device):
        """A device has booted: its rules are ones that exist, its counters are above all before."""
        agent = device.agent
        if agent.incumbent.digest not in ALL_RULES:
            self._breaks("adoption", f"{device.name} runs rules that nobody made")
        cell = device.cell()
        now = (cell.boot, cell.epoch, cell.command_floor)
        before = self._cells.get(device.name)
        if before is not None and (now[0] <= before[0] or now[1] < before[1] or now[2] < before[2]):
            self._breaks("counters", f"{device.name}: (boot, epoch, command floor) {before} then {now}")
        self._cells[device.name] = now
        self._world.history.note(device.name, "boot", *now, agent.incumbent.digest[:4].hex())

    def restored(self, device):
        """An old image was put back: what its cell says may be old, and only from here on it must rise."""
        self._cells.pop(device.name, None)

    # ---- the office

    def uplink(self, segments):
        """A request of an honest gateway has its critical segments first."""
        if self._world.is_hostile_now():
            return
        lanes = [peek(raw)[0] for raw in segments]
        if lanes != sorted(lanes):
            self._breaks("critical first", f"lanes {lanes} in one request")

    def answered(self, answer):
        """The office has answered: what it receipts is promised for ever."""
        for raw in answer.receipts:
            if raw in self._seen:
                continue
            self._seen.add(raw)
            fields = parse_receipt(raw).fields
            place = (fields.device, fields.lane, fields.epoch)
            if self.receipts.get(place, -1) < fields.number:
                self.receipts[place] = fields.number
                missing = missing_of(self._world, place, fields.number + 1)
                missing -= self._world.backup.excuses(place, missing)
                if missing:
                    self._breaks(
                        "nothing receipted is lost", f"receipted without {sorted(missing)[:5]} of {place[1:]}"
                    )

    def looked(self):
        """The office has looked who is silent: what else must be so at any time is asked here."""
        self.silence_checked()
        for device in self._world.devices:
            if device.agent is not None:
                self._receipts_are_the_offices(device)
        held = self._what_is_held()
        if held != self._looked_at:
            self._looked_at = held
            for place, number in self._heads():
                self._gaps_are_found(place, number)

    def _what_is_held(self):
        """Return what differs whenever the office's database does: what is asked of nothing else has the same answer until then."""
        connection = self._world.office.store.connection
        return connection, connection.total_changes, connection.execute("PRAGMA data_version").fetchone()

    def _receipts_are_the_offices(self, device):
        epoch = device.agent._journal.epoch
        for lane, state in enumerate(device.agent._journal.lanes):
            said = self.receipts.get((device.identity.device, lane, epoch), -1)
            if state.receipt > said:
                self._breaks(
                    "nothing receipted is lost",
                    f"{device.name} believes {state.receipt}, the office said {said}",
                )

    def _heads(self):
        rows = self._world.office.store.connection.execute("SELECT device, lane, epoch, number FROM heads")
        return [((device, lane, epoch), number) for device, lane, epoch, number in rows]

    def _gaps_are_found(self, place, number):
        rows = self._world.office.store.connection.execute(
            "SELECT start, stop FROM gaps WHERE device = ? AND lane = ? AND epoch = ? AND state IN ('open', 'accepted')",
            place,
        )
        told = {at for start, stop in rows for at in range(start, stop)}
        missing = missing_of(self._world, place, number + 1)
        if not missing <= told:
            self._breaks(
                "gaps are found",
                f"{sorted(missing - told)[:5]} of {place[0].hex()[:4]} {place[1:]} are missing",
            )

    def silence_checked(self):
        """After each check every device that was not heard for the limit has an open finding, and no other."""
        office, pace = self._world.office, self._world.pace
        if office.disk.fault is not None:
            return
        now = self._world.time.now
        open_ = office.store.devices_with_open_finding("silence")
        # A device that was not heard since the start counts from the first check of that start.
        limit = 2 * pace.heartbeat_s + GRACE_S + pace.check_s
        for device in self._world.devices:
            heard = office.heard_s.get(device.identity.device, office.started_s)
            quiet_s = now - heard
            may_be_quiet = device.supplies.may_be_quiet() or self._world.backup.may_mislead(
                device.identity.device
            )
            apart_s = 2 * (SPACING - 1) * pace.heartbeat_s if may_be_quiet else 0
            if quiet_s > limit + apart_s + 2 and device.identity.device not in open_:
                self._breaks("silence", f"{device.name} is quiet for {quiet_s:.0f} s and nobody says so")
            if (
                quiet_s < pace.check_s / 2
                and device.identity.device in open_
                and office.heard_s.get(device.identity.device)
            ):
                self._breaks(
                    "silence", f"{device.name} was heard {quiet_s:.0f} s ago and is said to be silent"
                )

    def _breaks(self, promise, text):
        self._world.history.breaks(promise, text)
