"""Watches what devices say they run against what they should run: drift, releases that do not arrive, trials that failed.

    drift        two heartbeats in a row name a bundle that nobody can account for: not the wanted one, and not one that should
                 decide by the device's own adoption events; an older one without a word is a silent downgrade
    behind       a release is wanted, heartbeats keep coming, and none names it: a gateway withholds it (the freeze attack,
                 seen from here), the device cannot fetch it, or it said that it runs it and does not
    refused, rolled-back   the device's own event says so

All of them end when a heartbeat names the wanted release; the last two also once nothing is wanted any more and what runs can be
accounted for. Deadlines are counted in heartbeats, not in anybody's clock.
"""

from office_ingest.govern.rollout import Rollouts, detail_words, rules_digest, why_not
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.storage.downward import Adoption, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, REFUSED, ROLLED_BACK, TRIAL
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
        adoptions = self._down.adoptions(device)
        is_explained = self._is_explained(device, digest, adoptions)
        if wanted is None and is_explained:
            self._clear(device, "refused", now_ms)
            self._clear(device, "rolled-back", now_ms)
        self._look_for_drift(device, digest, is_explained=is_explained, now_ms=now_ms)
        self._look_for_delay(device, wanted, adoptions, now_ms)

    def _look_for_drift(self, device: bytes, digest: bytes, *, is_explained: bool, now_ms: int) -> None:
        if is_explained:
            self._unexplained.pop(device, None)
            self._clear(device, "drift", now_ms)
            return
        known, times = self._unexplained.get(device, (digest, 0))
        times = times + 1 if known == digest else 1
        self._unexplained[device] = (digest, times)
        if times >= _DRIFT_HEARTBEATS and not self._store.open_places(device, "drift"):
            text = f"its heartbeats name bundle {digest.hex()[:16]}, which should not decide there by what it said of releases"
            self._store.add_finding(device, "drift", "", text, now_ms)

    def _is_explained(self, device: bytes, digest: bytes, adoptions: list[Adoption]) -> bool:
        traits = self._down.traits(device)
        if traits is None or not traits.bundle:
            return True
        active, trial = _deciding(adoptions)
        if active is None and digest == traits.bundle:
            return True
        held = [self._shelf.get(number) for number in (active, trial) if number is not None]
        return digest in [rules_digest(release.manifest) for release in held if release is not None]

    def _look_for_delay(
        self, device: bytes, wanted: Shelved | None, adoptions: list[Adoption], now_ms: int
    ) -> None:
        step = None if wanted is None else next((a for a in adoptions if a.number == wanted.number), None)
        # Of the two that the device ended itself a person is told by findings of their own.
        if wanted is None or (step is not None and step.step in (REFUSED, ROLLED_BACK)):
            self._waited.pop(device, None)
            self._clear(device, "behind", now_ms)
            return
        number, times = self._waited.get(device, (wanted.number, 0))
        times = times + 1 if number == wanted.number else 1
        self._waited[device] = (wanted.number, times)
        if times >= self._patience and not self._store.open_places(device, "behind"):
            why = "the device says nothing of it: a gateway withholds it, or the device cannot fetch it"
            if step is not None:
                why = why_not(step)
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


def _deciding(adoptions: list[Adoption]) -> tuple[int | None, int | None]:
    """Return (the release that is active, the one on trial) by a device's adoption events, newest first; None: none is."""
    active = trial = None
    for one in reversed(adoptions):
        if one.step == TRIAL:
            trial = one.number
        elif one.step == CONFIRMED:
            active, trial = one.number, None
        elif one.step == ROLLED_BACK and one.number == trial:
            trial = None
        elif one.step == ROLLED_BACK and one.number == active:
            # Its slot is damaged: what was provisioned decides.
            active = None
    return active, trial
