"""Which release is wanted on which device, and how far it has come: `roll out` of the loop.

Wanted is the highest fully signed release whose rollout is running and which is meant for the device. It counts as running
there only if the newest *sealed heartbeat* names the digest of its rules part: what a device once said it would do is no
evidence of what it does.

Source: SPEC.md sections 7 and 12.
"""

from typing import Any, NamedTuple

from office_ingest.errors import OfficeError
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.storage.downward import HALTED, RUNNING, Adoption, Downward, Rollout, Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import (
    CONFIRMED,
    REASON_NAMES,
    REFUSED,
    ROLLED_BACK,
    STAGED,
    STEP_NAMES,
    TRIAL,
)
from protocol.errors import NAMES
from protocol.manifest import AGENT, COHORT, DEVICES, RULES, Manifest


class RolloutRefused(OfficeError):
    """What was asked for cannot be rolled out. Who must act: the person who asked; the message says what to do first."""


class Progress(NamedTuple):
    """How one device stands to a release. runs: its newest sealed heartbeat names the release's rules.

    is_wanted: this release, of all, is what the device should run. step: newest adoption event about it, or None.
    why: one sentence for people, "" where it runs.
    """

    device: bytes
    name: str
    site: str
    is_wanted: bool
    runs: bool
    version: int | None
    digest: bytes | None
    heard_ms: int | None
    step: Adoption | None
    why: str


def is_meant(manifest: Manifest, device: bytes, traits: Traits) -> bool:
    """Say whether a device would take a release as meant for it: target, hardware, schema as the office knows them."""
    kind, named = manifest.target
    if kind == DEVICES:
        meant = device in named
    else:
        meant = named == (traits.cohort if kind == COHORT else traits.kind)
    fits = not traits.schema or traits.schema[:8] == manifest.schema
    return meant and fits and traits.hardware in manifest.hardware


def brings_agent(manifest: Manifest) -> bool:
    """Say whether a release brings an agent."""
    return any(kind == AGENT for kind, _, _ in manifest.parts)


def rules_digest(manifest: Manifest) -> bytes | None:
    """Return the digest of the rules part, which heartbeats of devices that run the release name; None if it has none."""
    return next((digest for kind, digest, _ in manifest.parts if kind == RULES), None)


class Rollouts:
    """Answers which release is wanted where, as of the newest refresh()."""

    def __init__(self, store: SqliteStore):
        self._store = store
        self._down = Downward(store)
        self._shelf = Shelf(store)
        self._running: list[Shelved] = []
        self.refresh()

    def refresh(self) -> None:
        """Read the rollouts again: they are changed by other processes."""
        numbers = [rollout.number for rollout in self._down.rollouts() if rollout.state == RUNNING]
        found = [self._shelf.get(number) for number in numbers]
        self._running = [held for held in found if held is not None and held.state == "signed"]

    def wanted(self, device: bytes) -> Shelved | None:
        """Return the release that a device should run, or None."""
        traits = self._down.traits(device) if self._running else None
        return None if traits is None else self.wanted_by(device, traits)

    def wanted_by(self, device: bytes, traits: Traits) -> Shelved | None:
        """Return the release that a device of these traits should run, or None."""
        return next((held for held in self._running if is_meant(held.manifest, device, traits)), None)

    def is_for_site(self, number: int, gateway: str) -> bool:
        """Say whether release number was ever rolled out and is meant for a device of the gateway's site."""
        if number not in [rollout.number for rollout in self._down.rollouts()]:
            return False
        held = self._shelf.get(number)
        return (
            held is not None
            and held.state == "signed"
            and any(is_meant(held.manifest, device, traits) for device, traits in self._devices_of(gateway))
        )

    def _devices_of(self, gateway: str) -> list[tuple[bytes, Traits]]:
        rows = self._store.connection.execute(
            "SELECT t.device, t.kind, t.cohort, t.hardware, t.schema, t.bundle FROM device_traits t"
            " JOIN devices d ON d.id = t.device WHERE d.site = (SELECT site FROM gateways WHERE id = ?)",
            (gateway,),
        )
        return [(row[0], Traits(*row[1:])) for row in rows]

    def release_for(self, gateway: str, number: int) -> bytes | None:
        """Return the bytes of a release that a gateway may have, or None."""
        held = self._shelf.get(number) if self.is_for_site(number, gateway) else None
        return None if held is None else held.release()

    def part_for(self, gateway: str, digest: bytes) -> bytes | None:
        """Return the body of a part of a release that a gateway may have, or of a root's replacement, which is for all; or None."""
        replacement = self._shelf.replacement(digest)
        if replacement is not None:
            return replacement
        for rollout in self._down.rollouts():
            held = self._shelf.get(rollout.number)
            named = held is not None and digest in self._shelf.digests(held)
            if named and self.is_for_site(rollout.number, gateway):
                return self._shelf.part(digest)
        return None


def roll_out(store: SqliteStore, number: int, author: str, now_ms: int) -> Rollout:
    """Want a release on every device that it is meant for, and return its rollout. Raises RolloutRefused."""
    held = Shelf(store).get(number)
    if held is None:
        raise RolloutRefused(f"there is no release {number}")
    if held.state != "signed":
        missing = held.signers_needed - len(held.signatures)
        raise RolloutRefused(f"release {number} lacks {missing} of {held.signers_needed} signatures")
    if now_ms >= held.manifest.validity[1]:
        raise RolloutRefused(f"release {number} expired; no device would adopt it")
    down = Downward(store)
    before = [rollout for rollout in down.rollouts() if rollout.number == number]
    if before and before[0].state == RUNNING:
        raise RolloutRefused(f"release {number} is being rolled out already")
    rollout = Rollout(number, RUNNING, author, before[0].started_ms if before else now_ms, now_ms)
    with store.transaction():
        down.put_rollout(rollout)
    return rollout


def halt(store: SqliteStore, number: int, author: str, now_ms: int) -> Rollout:
    """Stop wanting a release: devices that have not adopted it no longer hear of it. Raises RolloutRefused."""
    down = Downward(store)
    before = [rollout for rollout in down.rollouts() if rollout.number == number]
    if not before or before[0].state != RUNNING:
        raise RolloutRefused(f"release {number} is not being rolled out")
    rollout = Rollout(number, HALTED, author, before[0].started_ms, now_ms)
    with store.transaction():
        down.put_rollout(rollout)
    return rollout


def progress(store: SqliteStore, number: int) -> list[Progress]:
    """Return how each device that a release is meant for stands to it, revoked ones left out, by site and name. Raises RolloutRefused."""
    held = Shelf(store).get(number)
    if held is None:
        raise RolloutRefused(f"there is no release {number}")
    rollouts = Rollouts(store)
    rows = store.connection.execute(
        "SELECT d.id, d.name, d.site, t.kind, t.cohort, t.hardware, t.schema, t.bundle, r.version, r.digest, r.received_ms"
        " FROM devices d JOIN device_traits t ON t.device = d.id LEFT JOIN reports r ON r.device = d.id"
        " WHERE d.id NOT IN (SELECT device FROM revoked) ORDER BY d.site, d.name, d.id"
    ).fetchall()
    # Rows come oldest first: the newest step of each device stays.
    steps = dict(Downward(store).adoptions_of(number))
    return [
        progress_of(rollouts, held, row[:3], Traits(*row[3:8]), row[8:], steps.get(row[0]))
        for row in rows
        if is_meant(held.manifest, row[0], Traits(*row[3:8]))
    ]


def progress_of(
    rollouts: Rollouts,
    held: Shelved,
    device: tuple[Any, ...],
    traits: Traits,
    report: tuple[Any, ...],
    step: Adoption | None,
) -> Progress:
    """Return how one device that is meant stands. device: (identity, name, site); report: (version, digest, heard_ms), each None where none came."""
    identity, name, site = device
    version, digest, heard_ms = report
    wanted = rollouts.wanted_by(identity, traits)
    is_wanted = wanted is not None and wanted.number == held.number
    runs = digest is not None and digest == rules_digest(held.manifest)
    # A heartbeat names the rules alone: where another agent comes with them, the device must have said that it kept it.
    runs = runs and (not brings_agent(held.manifest) or (step is not None and step.step == CONFIRMED))
    why = "" if runs else _why_not(step, is_wanted=is_wanted, is_heard=heard_ms is not None)
    return Progress(identity, name, site, is_wanted, runs, version, digest, heard_ms, step, why)


def _why_not(step: Adoption | None, *, is_wanted: bool, is_heard: bool) -> str:
    if not is_heard:
        return "no heartbeat has come yet"
    if step is not None:
        return why_not(step)
    return "it has not fetched it yet" if is_wanted else "another release, or none, is wanted there"


def why_not(step: Adoption) -> str:
    """Return why no heartbeat names a release, by the device's newest event about it."""
    return _WHY[step.step].format(detail_words(step))


_WHY = {
    REFUSED: "it refused it: {}",
    STAGED: "it has it and waits for the state in which its rules may be replaced",
    TRIAL: "it said that the trial began; no heartbeat names the release yet",
    CONFIRMED: "it confirmed it, but its heartbeats name another bundle",
    ROLLED_BACK: "it tried it and rolled back: {}",
}


def detail_words(adoption: Adoption) -> str:
    """Return the detail of an adoption event in words."""
    if adoption.step == REFUSED:
        return NAMES.get(adoption.detail, str(adoption.detail))
    if adoption.step == ROLLED_BACK and adoption.detail < len(REASON_NAMES):
        return REASON_NAMES[adoption.detail]
    return f"{adoption.detail} bytes fetched" if adoption.step == STAGED else ""


def step_words(adoption: Adoption) -> str:
    """Return an adoption event as a few words: "rolled back: a rule faulted"."""
    name = STEP_NAMES[adoption.step] if adoption.step < len(STEP_NAMES) else f"step {adoption.step}"
    detail = detail_words(adoption)
    return f"{name}: {detail}" if detail else name
