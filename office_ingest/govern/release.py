"""Builds releases and has them signed: `release` of the loop. A release is data; who may adopt it every device decides alone."""

import hashlib
from typing import NamedTuple

from office_ingest.errors import OfficeError
from office_ingest.govern.agent import AgentFiles, agent_of, agent_of_newest
from office_ingest.govern.shelf import Shelf, Shelved
from office_ingest.govern.signer import Signer
from protocol.envelope import RELEASE, check_succession
from protocol.errors import ProtocolError
from protocol.manifest import AGENT, DEVICES, RULES, Manifest, encode_manifest
from rules.bundle import Bundle, read_bundle
from rules.widening import NAMES, widening

# A device's clock may run behind the office's; a release is valid from a little before it was made.
_BEFORE_MS = 3_600_000
_DAY_MS = 86_400_000


class ReleaseRefused(OfficeError):
    """What was asked for cannot be released. Who must act: the person who asked; the message says what to change."""


class Request(NamedTuple):
    """What a person asks for. target: (DEVICES, [8 bytes ...]), (COHORT, name) or (KIND, name); rules: a bundle's bytes;
    source: what the person wrote, of which the digest is kept; reset: floors (low, high) or None; number: None for the next.
    agent: what the release brings; keeps_agent: without one, that of the newest release for the same devices, else the image's.
    """

    target: tuple[int, list[bytes] | str]
    hardware: list[str]
    rules: bytes
    source: bytes
    author: str
    days: int = 30
    reset: tuple[int, int] | None = None
    number: int | None = None
    agent: AgentFiles | None = None
    keeps_agent: bool = True


def build_release(shelf: Shelf, request: Request, now_ms: int) -> Shelved:
    """Put an unsigned release on the shelf and return it. now_ms: wall time of the office.

    Raises ReleaseRefused: a bundle that no device takes, an unknown device or schema, a number that is taken, a limit.
    """
    try:
        bundle = read_bundle(request.rules)
        number = shelf.next_number() if request.number is None else request.number
        before = agent_of_newest(shelf, request.target)
        agent = before if request.agent is None and request.keeps_agent else request.agent
        manifest = encode_manifest(_manifest(request, bundle, agent, number, now_ms))
    except ProtocolError as error:
        raise ReleaseRefused(f"no device would take it: {error}") from None
    if not shelf.has_schema(bundle.schema):
        raise ReleaseRefused(f"no schema here starts with {bundle.schema.hex()}, which the bundle is for")
    if shelf.get(number) is not None:
        raise ReleaseRefused(f"release {number} is there already")
    reasons = _widens(shelf, request, bundle)
    if agent != before:
        reasons.append("another agent than the newest release for these devices")
    shelf.keep_bundle(request.rules)
    bodies = [request.rules] if agent is None else [request.rules, agent.part]
    shelf.add(manifest, bodies, reasons, now_ms, [] if agent is None else agent.bodies)
    built = shelf.get(number)
    assert built is not None
    return built


def revert_release(shelf: Shelf, number: int, author: str, now_ms: int) -> Shelved:
    """Put an unsigned release with the rules and the agent of an earlier one on the shelf and return it. Raises ReleaseRefused.

    A device never goes below its floor, so a step back is a new number with the old body.
    """
    held = shelf.get(number)
    if held is None:
        raise ReleaseRefused(f"there is no release {number}")
    rules = [digest for kind, digest, _ in held.manifest.parts if kind == RULES]
    body = shelf.part(rules[0]) if rules else None
    if body is None:
        raise ReleaseRefused(f"release {number} carries no rules")
    m = held.manifest
    agent = agent_of(shelf, m)
    request = Request(m.target, m.hardware, body, body, author, agent=agent, keeps_agent=False)
    return build_release(shelf, request, now_ms)


def sign_release(shelf: Shelf, number: int, signer: Signer, now_ms: int) -> Shelved:
    """Add this signer's signature to a release and return it; the signature is on the shelf before anybody sees it.

    Raises ReleaseRefused, or what Signer.envelope raises.
    """
    held = shelf.get(number)
    if held is None:
        raise ReleaseRefused(f"there is no release {number}")
    if signer.key_id not in {root.key_id for root in shelf.roots()}:
        raise ReleaseRefused(f"this office does not know key {signer.key_id.hex()}")
    if signer.key_id in shelf.retired():
        raise ReleaseRefused(f"root {signer.key_id.hex()} is retired: no device holds it any more")
    if signer.key_id in {signature.root for signature in held.signatures}:
        raise ReleaseRefused(f"key {signer.key_id.hex()} signed release {number} already")
    if len(held.signatures) >= 2:
        raise ReleaseRefused(f"release {number} has two signatures already")
    envelope = signer.envelope(RELEASE, held.digest, published=shelf.published(signer.key_id))
    shelf.add_signature(number, envelope, now_ms)
    signed = shelf.get(number)
    assert signed is not None
    return signed


def check_follows(shelf: Shelf, public: bytes) -> None:
    """Return if a key that this office knows names public as its successor. Raises ReleaseRefused."""
    for root in shelf.roots():
        if check_succession(root.successor, root.public).public == public:
            return
    raise ReleaseRefused("no key that this office knows names this one as its successor")


def _manifest(
    request: Request, bundle: Bundle, agent: AgentFiles | None, number: int, now_ms: int
) -> Manifest:
    parts = [(RULES, hashlib.sha256(request.rules).digest(), len(request.rules))]
    if agent is not None:
        parts.append((AGENT, agent.digest(), len(agent.part)))
    return Manifest(
        number,
        request.target,
        request.hardware,
        bundle.schema,
        (max(0, now_ms - _BEFORE_MS), now_ms + request.days * _DAY_MS),
        (request.author, now_ms, hashlib.sha256(request.source).digest()),
        request.reset,
        parts,
    )


def _widens(shelf: Shelf, request: Request, bundle: Bundle) -> list[str]:
    """Return in words what the bundle allows more than any bundle that the devices meant say they run.

    Only devices named one by one are known to be meant; for a cohort or kind all of the same schema are asked.
    """
    kind, named = request.target
    known = shelf.device_ids()
    if kind == DEVICES:
        strangers = [device for device in named if device not in known]
        if strangers:
            raise ReleaseRefused(f"{len(strangers)} of the devices named are not registered here")
        known = [device for device in known if device in named]
    running: list[Bundle | None] = [
        held for body in shelf.running_bundles(known) if (held := read_bundle(body)).schema == bundle.schema
    ]
    found = [reason for old in running or [None] for reason in widening(old, bundle)]
    return [
        NAMES[reason] if action is None else f"action {action}: {NAMES[reason]}"
        for reason, action in sorted(set(found), key=lambda one: (one[1] is None, one[1] or 0, one[0]))
    ]
