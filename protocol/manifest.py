"""The manifest of a release, and every reason to refuse one.

A release is what goes to devices together: a manifest and one or two signatures over its digest; the parts travel apart and
are named in it by digest and size. Nothing here trusts the office: a device checks each release as if anybody had sent it.

The order of the checks is fixed: form, signatures, then what the manifest says. What nobody signed is never acted on.

Source: SPEC.md section 12.
"""

import hashlib

from protocol.cbor import dumps, loads
from protocol.envelope import RELEASE, key_id, parse_envelope
from protocol.errors import (
    FORWARD,
    HARDWARE,
    MALFORMED,
    PART,
    ROLLBACK,
    SCHEMA,
    SEAL,
    SIGNER,
    TARGET,
    TOO_LARGE,
    UNSIGNED,
    VALIDITY,
    VERSION,
    ProtocolError,
)
from protocol.limits import (
    agent_part_bytes_max,
    configuration_part_bytes_max,
    manifest_bytes_max,
    model_part_bytes_max,
    release_ahead_max,
    release_bytes_max,
    release_devices_max,
    release_hardware_max,
    release_parts_max,
    release_signatures_max,
    release_text_bytes_max,
    rules_part_bytes_max,
    uint32_max,
)
from protocol.shape import is_bytes, is_natural, is_within

# What a target names.
DEVICES = 0
COHORT = 1
KIND = 2

# What a part is.
RULES = 0
MODEL = 1
CONFIGURATION = 2
AGENT = 4
PART_NAMES = {RULES: "rules", MODEL: "model", CONFIGURATION: "configuration", AGENT: "agent"}
PART_BYTES_MAX = {
    RULES: rules_part_bytes_max,
    MODEL: model_part_bytes_max,
    CONFIGURATION: configuration_part_bytes_max,
    AGENT: agent_part_bytes_max,
}
# Kinds of which a release has one at most.
_SINGLE = (RULES, CONFIGURATION, AGENT)

_ITEMS = 9


class Manifest:
    """Fields of a manifest, in their order on the wire.

    number: version of the release; target: (DEVICES, [8 bytes ...]), (COHORT, name) or (KIND, name); hardware: names;
    schema: first 8 bytes of its digest; validity: (from, until), wall milliseconds; provenance: (author, made_ms, digest
    of the source); reset: (low, high), the floors that it resets, or None; parts: [(kind, digest, size) ...].
    """

    __slots__ = ("number", "target", "hardware", "schema", "validity", "provenance", "reset", "parts")

    def __init__(self, number, target, hardware, schema, validity, provenance, reset, parts):
        self.number = number
        self.target = target
        self.hardware = hardware
        self.schema = schema
        self.validity = validity
        self.provenance = provenance
        self.reset = reset
        self.parts = parts


class Standing:
    """What a device is and holds, against which a release is checked.

    device: 8 bytes; cohort, kind, hardware: names; schema: at least the first 8 bytes of its digest; floor: lowest number
    it will ever accept again; roots: public keys, 60 bytes each; now: (earliest, latest) wall milliseconds that it
    may be now, or None if no time is known.
    """

    __slots__ = ("device", "cohort", "kind", "hardware", "schema", "floor", "roots", "now")

    def __init__(self, device, cohort, kind, hardware, schema, floor, roots, now):
        self.device = device
        self.cohort = cohort
        self.kind = kind
        self.hardware = hardware
        self.schema = schema
        self.floor = floor
        self.roots = roots
        self.now = now


class Release:
    """A parsed release. digest: of the manifest's bytes; envelopes: its signatures; signers: roots that signed, once checked."""

    __slots__ = ("raw", "manifest", "digest", "envelopes", "signers")

    def __init__(self, raw, manifest, digest, envelopes):
        self.raw = raw
        self.manifest = manifest
        self.digest = digest
        self.envelopes = envelopes
        self.signers = []


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes whose digest is signed. Raises ProtocolError if a reader would refuse them."""
    m = manifest
    items = [1, m.number, list(m.target), list(m.hardware), m.schema, list(m.validity), list(m.provenance)]
    raw = dumps(items + [list(m.reset) if m.reset else None, [list(part) for part in m.parts]])
    parse_manifest(raw)
    return raw


def encode_release(manifest: bytes, envelopes: list) -> bytes:
    """Return a release of a manifest's bytes and one or two envelopes over its digest."""
    return dumps([manifest, envelopes])


def parse_manifest(raw: bytes) -> Manifest:
    """Return the Manifest. Raises ProtocolError, never anything else."""
    if len(raw) > manifest_bytes_max:
        text = "manifest of {} bytes exceeds manifest_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(raw), manifest_bytes_max))
    items = loads(raw)
    if not isinstance(items, list) or not items or not is_natural(items[0], uint32_max):
        raise ProtocolError(MALFORMED, "manifest has no version")
    if items[0] != 1:
        raise ProtocolError(VERSION, "manifest version {} is not 1".format(items[0]))
    if len(items) != _ITEMS or not is_natural(items[1], uint32_max):
        raise ProtocolError(MALFORMED, "manifest is not the nine items of version 1")
    _check_target_form(items[2])
    _check_list(items[3], "hardware", release_hardware_max, _is_text)
    if not is_bytes(items[4], 8):
        raise ProtocolError(MALFORMED, "schema of a manifest is not the first 8 bytes of a digest")
    _check_validity_form(items[5])
    _check_provenance_form(items[6])
    _check_reset_form(items[7], items[1])
    _check_parts_form(items[8])
    target, reset = tuple(items[2]), tuple(items[7]) if items[7] else None
    parts = [tuple(part) for part in items[8]]
    return Manifest(items[1], target, items[3], items[4], tuple(items[5]), tuple(items[6]), reset, parts)


def parse_release(raw: bytes) -> Release:
    """Return the Release, its signatures not yet checked. Raises ProtocolError, never anything else."""
    if len(raw) > release_bytes_max:
        text = "release of {} bytes exceeds release_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(raw), release_bytes_max))
    items = loads(raw)
    shaped = isinstance(items, list) and len(items) == 2 and isinstance(items[0], bytes)
    if not shaped or not isinstance(items[1], list):
        raise ProtocolError(MALFORMED, "a release is not [manifest, signatures]")
    if not items[1]:
        raise ProtocolError(UNSIGNED, "the release carries no signature")
    if len(items[1]) > release_signatures_max:
        text = "{} signatures exceed release_signatures_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(items[1]), release_signatures_max))
    if not all([isinstance(one, bytes) for one in items[1]]):
        raise ProtocolError(MALFORMED, "a signature of a release is not a byte string")
    digest = hashlib.sha256(items[0]).digest()
    return Release(raw, parse_manifest(items[0]), digest, [parse_envelope(one) for one in items[1]])


def check_release(raw: bytes, standing: Standing) -> Release:
    """Return the release if this device may adopt it, its signers filled in.

    The parts are not here yet: check_parts. Whether one signer is enough: check_signers.
    Raises ProtocolError with the code of the first check that fails; never anything else, whatever the bytes.
    """
    release = parse_release(raw)
    release.signers = _signers(release, standing.roots)
    manifest = release.manifest
    _check_target(manifest, standing)
    if standing.hardware not in manifest.hardware:
        text = "release {} is for {}, this is {}"
        raise ProtocolError(HARDWARE, text.format(manifest.number, manifest.hardware, standing.hardware))
    if manifest.schema != standing.schema[:8]:
        raise ProtocolError(SCHEMA, "release {} is for another schema".format(manifest.number))
    _check_number(release, standing.floor)
    _check_time(manifest, standing.now)
    return release


def check_signers(release: Release, reasons: list) -> None:
    """Demand a second signer if the release widens what may be done. reasons: rules.widening's. Raises UNSIGNED."""
    if reasons and len(release.signers) < 2:
        text = "release {} widens what may be done in {} ways and has one signer"
        raise ProtocolError(UNSIGNED, text.format(release.manifest.number, len(reasons)))


def check_part(manifest: Manifest, index: int, body: bytes) -> None:
    """Check one part's body against the manifest's entry index. Raises ProtocolError(PART) or (TOO_LARGE)."""
    kind, digest, size = manifest.parts[index]
    if len(body) > size:
        text = "part {} of {} bytes exceeds the {} that the manifest says"
        raise ProtocolError(TOO_LARGE, text.format(index, len(body), size))
    if len(body) != size or hashlib.sha256(body).digest() != digest:
        raise ProtocolError(
            PART, "part {} ({}) is not the one of its manifest".format(index, PART_NAMES[kind])
        )


def check_parts(manifest: Manifest, bodies: list) -> None:
    """Check that bodies are all parts of the manifest, in its order, and no others. Raises as check_part."""
    if len(bodies) != len(manifest.parts):
        text = "{} parts are here, the manifest names {}"
        raise ProtocolError(PART, text.format(len(bodies), len(manifest.parts)))
    for index in range(len(bodies)):
        check_part(manifest, index, bodies[index])


def _signers(release: Release, roots: list) -> list:
    """Return the roots that signed. A signature of a key not known here is passed over: a root is replaced so."""
    known = {}
    for public in roots:
        known[key_id(public)] = public
    found = []
    for envelope in release.envelopes:
        if envelope.payload != release.digest:
            raise ProtocolError(SEAL, "a signature is over another manifest")
        public = known.pop(envelope.key_id, None)
        if public is not None:
            envelope.verify(public, RELEASE)
            found.append(public)
    if not found:
        raise ProtocolError(SIGNER, "no release root of this device signed the release")
    return found


def _check_target(manifest: Manifest, standing: Standing) -> None:
    kind, named = manifest.target
    if kind == DEVICES:
        meant = standing.device in named
    else:
        meant = named == (standing.cohort if kind == COHORT else standing.kind)
    if not meant:
        raise ProtocolError(TARGET, "release {} is for other devices".format(manifest.number))


def _check_number(release: Release, floor: int) -> None:
    """Check the number against the floor. A reset holds for the floors it names only, so that it cannot be used again."""
    number, reset = release.manifest.number, release.manifest.reset
    if reset and reset[0] <= floor <= reset[1]:
        if len(release.signers) < 2:
            raise ProtocolError(UNSIGNED, "release {} resets the floor and has one signer".format(number))
    elif number < floor:
        raise ProtocolError(ROLLBACK, "release {} is below the floor {}".format(number, floor))
    elif number > floor + release_ahead_max:
        text = "release {} is more than release_ahead_max ({}) above the floor {}"
        raise ProtocolError(FORWARD, text.format(number, release_ahead_max, floor))


def can_tell_validity(validity, now) -> bool:
    """Say whether all times that it may be now, (earliest, latest) or None, lie inside a validity, or all outside."""
    if now is None:
        return False
    start, end = validity
    return now[1] < start or now[0] >= end or (start <= now[0] and now[1] < end)


def _check_time(manifest: Manifest, now) -> None:
    if now is None:
        raise ProtocolError(VALIDITY, "no time is known: whether the release is still valid cannot be told")
    if now[0] < manifest.validity[0] or now[1] >= manifest.validity[1]:
        text = "release {} is valid from {} to {} ms, now is {} to {}"
        raise ProtocolError(VALIDITY, text.format(*((manifest.number,) + manifest.validity + tuple(now))))


def _is_text(value) -> bool:
    return isinstance(value, str) and 1 <= len(value.encode()) <= release_text_bytes_max


def _check_list(value, what: str, most: int, is_good) -> None:
    if not isinstance(value, list) or not value or not all([is_good(one) for one in value]):
        raise ProtocolError(MALFORMED, "{} of a manifest are not a list of the right form".format(what))
    if len(value) > most:
        raise ProtocolError(TOO_LARGE, "{} {} of a manifest exceed {}".format(len(value), what, most))


def _check_target_form(value) -> None:
    if not isinstance(value, list) or len(value) != 2 or not is_natural(value[0], KIND):
        raise ProtocolError(MALFORMED, "target of a manifest is not [kind, names]")
    if value[0] == DEVICES:
        _check_list(value[1], "devices", release_devices_max, _is_device)
    elif not _is_text(value[1]):
        raise ProtocolError(MALFORMED, "target of a manifest has no name")


def _is_device(value) -> bool:
    return is_bytes(value, 8)


def _check_validity_form(value) -> None:
    if not isinstance(value, list) or len(value) != 2 or not is_natural(value[0]) or not is_natural(value[1]):
        raise ProtocolError(MALFORMED, "validity of a manifest is not [from, until]")
    if value[0] >= value[1]:
        raise ProtocolError(MALFORMED, "validity of a manifest ends before it starts")


def _check_provenance_form(value) -> None:
    shaped = isinstance(value, list) and len(value) == 3 and _is_text(value[0])
    if not shaped or not is_natural(value[1]) or not is_bytes(value[2], 32):
        raise ProtocolError(MALFORMED, "provenance of a manifest is not [author, made_ms, source]")


def _check_reset_form(value, number: int) -> None:
    if value is None:
        return
    shaped = isinstance(value, list) and len(value) == 2
    if not shaped or not is_natural(value[0], uint32_max) or not is_natural(value[1], uint32_max):
        raise ProtocolError(MALFORMED, "reset of a manifest is not [low, high]")
    # A reset whose own number it covers could be played back to a device that has gone on since.
    if value[0] > value[1] or value[0] <= number <= value[1]:
        raise ProtocolError(MALFORMED, "reset of a manifest is empty or covers its own number")


def _check_parts_form(value) -> None:
    _check_list(value, "parts", release_parts_max, _is_part)
    kinds = [part[0] for part in value]
    if kinds != sorted(kinds) or any([kinds.count(kind) > 1 for kind in _SINGLE]):
        raise ProtocolError(
            MALFORMED, "parts of a manifest are not rules, models, configuration, agent, in this order"
        )
    for kind, _, size in value:
        if size > PART_BYTES_MAX[kind]:
            text = "{} of {} bytes exceed {}"
            raise ProtocolError(TOO_LARGE, text.format(PART_NAMES[kind], size, PART_BYTES_MAX[kind]))


def _is_part(value) -> bool:
    shaped = (
        isinstance(value, list) and len(value) == 3 and is_natural(value[0], AGENT) and value[0] in PART_NAMES
    )
    return shaped and is_bytes(value[1], 32) and is_within(value[2], 1, uint32_max)
