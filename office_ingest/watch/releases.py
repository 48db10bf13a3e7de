"""Watches what devices say they run against what they should run: drift, releases that do not arrive, trials that failed.

    drift        two heartbeats in a row name a bundle that nobody can account for: not the wanted one, not the provisioned
                 one, none that the device's own adoption events named as tried or confirmed
    behind       a release is wanted, heartbeats keep coming, and the device says nothing of it: a gateway withholds it
                 (the freeze attack, seen from here), or the device cannot fetch it
    refused, rolled-back   the device's own event says so

All of them end when a heartbeat names the wanted release; the last two also once nothing is wanted any more and what runs can be
accounted for. Deadlines are counted in heartbeats, not in anybody's clock.
"""

from office_ingest.govern.rollout import Rollouts, detail_words, rules_digest
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.storage.downward import Adoption, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, REFUSED, ROLLED_BACK, STAGED, TRIAL
from protocol.messages import Heartbeat

KINDS = ("drift", "behind", "refused", "rolled-back")
# A heartbeat may overtake the segment with the adoption event that explains it; the next one comes after.
_DRIFT_HEARTBEATS = 2


class ReleaseWatch:
    """Told of each heartbeat and adoption event inside the transaction that keeps it. patience: heartbeats until `behind`."""

    def __init__(self, store: SqliteStore, rollouts: Rollouts, *, patience: int):
        self._store = store
        self._down = Downward(store)
        self._shelf = Shelf(store)
        self._rollouts = rollouts
        self._patience = patience
        self._unexplained: dict[bytes, tuple[bytes, int]] = {}
        self._waited: dict[bytes, tuple[int, int]] = {}

    def heartbeat(self, heartbeat: Heartbeat, now_ms: int) -> None:
        """Compare what a newest heartbeat names with what should be."""
        device, digest = heartbeat.device, heartbeat.bundle[1]
        wanted = self._rollouts.wanted(device)
        if wanted is not None and digest == rules_digest(wanted.manifest):
            self._unexplained.pop(device, None)
            self._waited.pop(device, None)
            for kind in KINDS:
                self._clear(device, kind, now_ms)
            return
        newest = self._newest_steps(device)
        is_explained = self._is_explained(device, digest, newest)
        if wanted is None and is_explained:
            self._clear(device, "refused", now_ms)
            self._clear(device, "rolled-back", now_ms)
        self._look_for_drift(device, digest, is_explained=is_explained, now_ms=now_ms)
        self._look_for_delay(device, wanted, newest, now_ms)

    def _newest_steps(self, device: bytes) -> dict[int, int]:
        newest: dict[int, int] = {}
        for one in self._down.adoptions(device):
            newest.setdefault(one.number, one.step)
        return newest

    def _look_for_drift(self, device: bytes, digest: bytes, *, is_explained: bool, now_ms: int) -> None:
        if is_explained:
            self._unexplained.pop(device, None)
            self._clear(device, "drift", now_ms)
            return
        known, times = self._unexplained.get(device, (digest, 0))
        times = times + 1 if known == digest else 1
        self._unexplained[device] = (digest, times)
        if times >= _DRIFT_HEARTBEATS and not self._store.open_places(device, "drift"):
            text = f"its heartbeats name bundle {digest.hex()[:16]}, which no release and no provisioning put there"
            self._store.add_finding(device, "drift", "", text, now_ms)

    def _is_explained(self, device: bytes, digest: bytes, newest: dict[int, int]) -> bool:
        traits = self._down.traits(device)
        if traits is None or digest == traits.bundle or not traits.bundle:
            return True
        tried = [number for number, step in newest.items() if step in (TRIAL, CONFIRMED)]
        held = [self._shelf.get(number) for number in tried]
        return digest in [rules_digest(release.manifest) for release in held if release is not None]

    def _look_for_delay(
        self, device: bytes, wanted: Shelved | None, newest: dict[int, int], now_ms: int
    ) -> None:
        step = None if wanted is None else newest.get(wanted.number)
        if wanted is None or step not in (None, STAGED):
            self._waited.pop(device, None)
            self._clear(device, "behind", now_ms)
            return
        number, times = self._waited.get(device, (wanted.number, 0))
        times = times + 1 if number == wanted.number else 1
        self._waited[device] = (wanted.number, times)
        if times >= self._patience and not self._store.open_places(device, "behind"):
            why = (
                "the device says nothing of it: a gateway withholds it, or the device cannot fetch it"
                if step is None
                else "the device has it and its rules have not been in the state in which they may be replaced"
            )
            text = f"release {wanted.number} is wanted since {times} heartbeats, and {why}"
            self._store.add_finding(device, "behind", "", text, now_ms)

    def adoption(self, device: bytes, adoption: Adoption, now_ms: int) -> None:
        """Tell a person of a release that a device refused or rolled back."""
        if adoption.step not in (REFUSED, ROLLED_BACK):
            return
        kind = "refused" if adoption.step == REFUSED else "rolled-back"
        text = f"release {adoption.number}: {detail_words(adoption)}"
        self._store.add_finding(device, kind, f"release {adoption.number}", text, now_ms)

    def _clear(self, device: bytes, kind: str, now_ms: int) -> None:
        for place in self._store.open_places(device, kind):
            self._store.clear_finding(device, kind, place, now_ms)
