"""Compares what a device says that it runs with what this office knows, and says from whom something is withheld.

    known      every claim is something that a person registered, released or provisioned
    unknown    at least one is not: a finding `attestation`, no release, no new keys, no view keys, until it is
    unjudged   the device said nothing, or no image of its hardware is registered here: nothing is withheld

Software says what software runs (SPEC.md section 4.8): this finds what is other than meant, not who lies well.
"""

from typing import Any, NamedTuple

from office_ingest.govern.shelf import Shelf
from office_ingest.storage.attested import Attested, AttestedStore, Image
from office_ingest.storage.downward import Downward, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.attestation import (
    AGENT,
    BUNDLE,
    DBGSTAT,
    DBGSTAT_NAMES,
    ENABLED,
    HWMODEL,
    IMAGE,
    SEMANTICS,
    hwmodel_of,
)
from protocol.manifest import AGENT as AGENT_PART
from protocol.manifest import RULES
from rules import VERSION

KNOWN, UNKNOWN, UNJUDGED = "known", "unknown", "unjudged"
FINDING = "attestation"
_PLACE = "claims"


class Verdict(NamedTuple):
    """state: KNOWN, UNKNOWN or UNJUDGED; reasons: a sentence for each claim that is not known, or why nothing is judged."""

    state: str
    reasons: list[str]


class Known(NamedTuple):
    """What this office knows of a device's hardware and of all releases."""

    images: dict[bytes, Image]
    agents: set[bytes]
    rules: set[bytes]


class Attestations:
    """Judges, keeps the finding, and answers from whom to withhold. store: the office's."""

    def __init__(self, store: SqliteStore):
        self._store = store
        self._attested = AttestedStore(store)
        self._down = Downward(store)
        self._shelf = Shelf(store)
        self._released: tuple[int, set[bytes], set[bytes]] = -1, set(), set()

    def take(self, device: bytes, attested: Attested) -> None:
        """Keep the claims of one verified event. Inside a transaction."""
        self._attested.put(device, attested)

    def look(self, device: bytes, now_ms: int) -> None:
        """Open or close the finding of a device, from which all else follows. Inside a transaction."""
        verdict = self.verdict(device)
        is_open = bool(self._store.open_places(device, FINDING))
        if verdict.state == UNKNOWN and not is_open:
            text = f"it runs what this office does not know: {'; '.join(verdict.reasons)}"
            self._store.add_finding(device, FINDING, _PLACE, text, now_ms)
        elif verdict.state != UNKNOWN and is_open:
            self._store.clear_finding(device, FINDING, _PLACE, now_ms)

    def heard(self, device: bytes, now_ms: int) -> None:
        """See whether what was unknown is known by now. Inside a transaction."""
        if is_withheld(self._store, device):
            self.look(device, now_ms)

    def verdict(self, device: bytes) -> Verdict:
        """Return what is to be made of a device's newest claims, as of now."""
        attested, traits = self._attested.newest(device), self._down.traits(device)
        if attested is None or traits is None:
            return Verdict(UNJUDGED, ["it has said nothing of what it runs"])
        images = {
            image.digest: image for image in self._attested.images() if image.hardware == traits.hardware
        }
        if not images:
            return Verdict(UNJUDGED, [f"no image for {traits.hardware} is registered"])
        reasons = _unknown(attested.claims, traits, self._known(traits, images))
        return Verdict(UNKNOWN if reasons else KNOWN, reasons)

    def _known(self, traits: Traits, images: dict[bytes, Image]) -> Known:
        # Of thousands of devices each asks, and every release would be read for each.
        signatures = self._shelf.signature_count()
        if self._released[0] != signatures:
            self._released = signatures, *self._parts()
        _, agents, rules = self._released
        return Known(images, agents, rules | {traits.bundle})

    def _parts(self) -> tuple[set[bytes], set[bytes]]:
        """Return the agents and rules of signed releases: what nobody signed no device should run."""
        parts = [part for held in self._shelf.all() if held.state == "signed" for part in held.manifest.parts]
        agents = {digest for kind, digest, _ in parts if kind == AGENT_PART}
        return agents, {digest for kind, digest, _ in parts if kind == RULES}

    def shown(self, device: bytes) -> dict[str, Any]:
        """Return a device's attestation for a table, for --json and for pages."""
        verdict, attested = self.verdict(device), self._attested.newest(device)
        document: dict[str, Any] = {"state": verdict.state, "reasons": verdict.reasons, "claims": None}
        if attested is not None:
            claims = attested.claims
            document["claims"] = {
                "hardware": claims[HWMODEL].decode("utf-8", "replace"),
                "debug": DBGSTAT_NAMES[claims[DBGSTAT]],
                "boot": attested.boot,
                "image": claims[IMAGE].hex(),
                "agent": claims[AGENT].hex() if AGENT in claims else None,
                "bundle": claims[BUNDLE].hex(),
                "semantics": claims[SEMANTICS],
                "received_ms": attested.received_ms,
            }
        return document


def is_withheld(store: SqliteStore, device: bytes) -> bool:
    """Say whether releases and keys are withheld from a device."""
    return bool(store.open_places(device, FINDING))


def register_image(store: SqliteStore, image: Image) -> list[bytes]:
    """Register an image and look at every device of its hardware again; return those whose claims are not known."""
    attestations = Attestations(store)
    devices = [device for device, traits in Downward(store).all_traits() if traits.hardware == image.hardware]
    with store.transaction():
        AttestedStore(store).put_image(image)
        for device in devices:
            attestations.look(device, image.added_ms)
    return [device for device in devices if is_withheld(store, device)]


def _unknown(claims: dict[int, Any], traits: Traits, known: Known) -> list[str]:
    found = []
    if claims[HWMODEL] != hwmodel_of(traits.hardware):
        shown = claims[HWMODEL].decode("utf-8", "replace")
        found.append(f"its hardware is {shown!r}, and it was provisioned as {traits.hardware}")
    image = known.images.get(claims[IMAGE])
    if image is None:
        found.append(f"image {claims[IMAGE].hex()[:16]} is not registered for {traits.hardware}")
    elif claims[DBGSTAT] == ENABLED and not image.is_development:
        found.append(f"debugging is {DBGSTAT_NAMES[ENABLED]}, and its image is for production")
    if AGENT in claims and claims[AGENT] not in known.agents:
        found.append(f"agent {claims[AGENT].hex()[:16]} is of no signed release")
    if claims[BUNDLE] not in known.rules:
        found.append(
            f"rules {claims[BUNDLE].hex()[:16]} are of no signed release, and not those it was provisioned with"
        )
    if claims[SEMANTICS] > VERSION:
        found.append(
            f"its engine has version {claims[SEMANTICS]} of the rules' meaning, this office {VERSION}"
        )
    return found
