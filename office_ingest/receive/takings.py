"""What ingest makes of the way down: adoption and command events in, wanted releases and waiting commands out.

Everything but answer() is called inside the transaction of a batch; the order in which segments arrive changes nothing.

Source: SPEC.md sections 5.4, 7 and 12.6.
"""

from typing import Any

from office_ingest.govern.attestation import Attestations, is_withheld
from office_ingest.govern.rollout import Rollouts
from office_ingest.storage.attested import Attested
from office_ingest.storage.downward import OTHER, TWICE, UNKNOWN, Adoption, Downward
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.watch.budget import keep_budget
from office_ingest.watch.releases import ReleaseWatch
from office_ingest.watch.roots import RootWatch
from protocol.command import REKEY, RELINK, parse_command
from protocol.event import ADOPTION, ATTESTATION, COMMAND
from protocol.limits import uplink_commands_max, uplink_releases_max
from protocol.messages import Heartbeat
from protocol.uplink import UplinkAnswer

# Commands handed down at once to one device: it takes them one by one.
_COMMANDS_PER_DEVICE = 16
_SOMEBODY = ": was its database restored, or does somebody else hold the device's downlink key?"
_WRONG_ANSWER = {
    UNKNOWN: f", which this office does not know{_SOMEBODY}",
    OTHER: f", which this office gave with another demand{_SOMEBODY}",
    TWICE: " twice, and a device carries out each number once: its answer of the lower order is kept",
}
# (number, demand, verdict) of a command event
Answered = tuple[int, list[int], int]


class Takings:
    """Keeps what devices say of releases and commands, and says what waits for them. patience: heartbeats until `behind`."""

    def __init__(self, store: SqliteStore, *, patience: int):
        self._store = store
        self._down = Downward(store)
        self._rollouts = Rollouts(store)
        self._attestations = Attestations(store)
        self._watch = ReleaseWatch(store, self._rollouts, patience=patience)
        self._roots = RootWatch(store, patience=patience)

    def begin(self) -> None:
        """A batch begins: see what was rolled out or halted since the one before."""
        self._rollouts.refresh()

    def events(
        self, device: bytes, epoch: int, boot: int, events: list[tuple[Any, ...]], received_ms: int
    ) -> list[Answered]:
        """Keep the adoption and command events of one verified body; return what it answers of commands."""
        answered: list[Answered] = []
        for order, tick_ms, kind, fields in events:
            if kind == ADOPTION:
                step, number, digest, detail = fields
                adoption = Adoption(epoch, order, boot, tick_ms, number, step, digest, detail, received_ms)
                self._down.add_adoption(device, adoption)
                self._watch.adoption(device, adoption, received_ms)
            elif kind == COMMAND:
                self._take_command(device, order, fields, received_ms)
                self._roots.answered(device, fields, received_ms)
                answered.append((fields[0], list(fields[1]), fields[2]))
            elif kind == ATTESTATION:
                said = Attested(epoch, order, boot, tick_ms, fields[0], received_ms)
                self._attestations.take(device, said)
                self._attestations.look(device, received_ms)
        return answered

    def _take_command(self, device: bytes, order: int, fields: tuple[Any, ...], received_ms: int) -> None:
        number, demand, verdict, outcome = fields
        wrong = self._down.answer_command(device, number, demand, verdict, outcome, order, received_ms)
        if wrong is None:
            return
        text = f"it answered command {number}{_WRONG_ANSWER[wrong]}"
        self._store.add_finding(device, "command", f"command {number}", text, received_ms)

    def reseal(self, device: bytes, key: bytes, now_ms: int) -> None:
        """Seal the commands that wait for a device under another command key."""
        self._down.reseal_commands(device, key, now_ms)

    def heartbeat(self, heartbeat: Heartbeat, received_ms: int) -> None:
        """Keep what a verified newest heartbeat names as the bundle that decides, and its allowance; compare the bundle with what should."""
        self._down.put_report(heartbeat, received_ms)
        self._watch.heartbeat(heartbeat, received_ms)
        self._roots.heartbeat(heartbeat.device, received_ms)
        self._attestations.heard(heartbeat.device, received_ms)
        keep_budget(self._store, heartbeat.device, heartbeat.health, received_ms)

    def answer(self, answer: UplinkAnswer, gateway: str, devices: list[bytes], now_ms: int) -> None:
        """Add to an answer what waits for those of the devices that are of the gateway's own site."""
        for device in devices:
            if not self._store.is_of_site(device, gateway):
                continue
            waiting = self._down.waiting_commands(device, now_ms, _COMMANDS_PER_DEVICE)
            is_full = len(answer.commands) + len(waiting) > uplink_commands_max
            if is_full or len(answer.releases) == uplink_releases_max:
                # Not named at all: of a device that is named, the gateway forgets what is not said again.
                continue
            is_unknown = is_withheld(self._store, device)
            wanted = None if is_unknown else self._rollouts.wanted(device)
            answer.releases.append((device, 0 if wanted is None else wanted.number))
            answer.commands += [raw for raw in waiting if not (is_unknown and _gives_keys(raw))]


def _gives_keys(raw: bytes) -> bool:
    return parse_command(raw).fields.demand[0] in (REKEY, RELINK)
