"""What is checked while it happens: each boot, each message, each uplink request, each look of the office. It writes to the history what it
finds. What stands on its own has a file in checks/, as what is asked at the end has."""

from protocol.messages import parse_receipt
from tests.sim.checks import critical, gaps, silence
from tests.sim.checks.counters import Counters
from tests.sim.checks.lost import missing_of
from tests.sim.site_plan import ALL_RULES

_LOST = "nothing receipted is lost"


class Watch:
    """receipts: (device, lane, epoch) -> highest number that the office ever said is safe there."""

    def __init__(self, world):
        self._world = world
        self._counters = Counters()
        self.receipts = {}
        self._seen = set()
        self._looked_at = None

    # ---- devices

    def booted(self, device):
        """A device has booted: its rules are ones that exist, its counters are above all before."""
        agent = device.agent
        if agent.incumbent.digest not in ALL_RULES:
            self._break("adoption: old or new", [f"{device.name} runs rules that nobody made"])
        cell = device.cell()
        self._break("counters", self._counters.booted(device, cell))
        counters = cell.boot, cell.epoch, cell.command_floor
        self._world.history.note(device.name, "boot", *counters, agent.incumbent.digest[:4].hex())

    def restored(self, device):
        """An old image was put back."""
        self._counters.restored(device)

    def sent(self, device, nonce, body):
        """A message of a device, or an answer to one, goes out."""
        self._break("counters", self._counters.sent(device, nonce, body))

    # ---- the office

    def uplink(self, segments):
        """A request has arrived."""
        if not self._world.is_hostile_now():
            self._break("critical first", critical.of_request(segments))

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
                    self._break(_LOST, [f"receipted without {sorted(missing)[:5]} of {place[1:]}"])

    def looked(self):
        """The office has looked who is silent: what else must be so at any time is asked here."""
        self._break("silence", silence.now(self._world))
        for device in self._world.devices:
            if device.agent is not None:
                self._receipts_are_the_offices(device)
        held = self._what_is_held()
        if held != self._looked_at:
            self._looked_at = held
            self._break("gaps are found", gaps.now(self._world))

    def _what_is_held(self):
        """Return what differs whenever the office's database does: what is asked of nothing else has the same answer until then."""
        connection = self._world.office.store.connection
        return connection, connection.total_changes, connection.execute("PRAGMA data_version").fetchone()

    def _receipts_are_the_offices(self, device):
        epoch = device.agent._journal.epoch
        for lane, state in enumerate(device.agent._journal.lanes):
            said = self.receipts.get((device.identity.device, lane, epoch), -1)
            if state.receipt > said:
                self._break(_LOST, [f"{device.name} believes {state.receipt}, the office said {said}"])

    def _break(self, promise, texts):
        for text in texts:
            self._world.history.breaks(promise, text)
