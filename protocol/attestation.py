"""What a device says that it runs: the claims of an attestation event.

Names and numbers are those of EAT where it has one; the digests of our own parts have numbers of the range for private use.

Source: SPEC.md section 4.8; RFC 9711 section 4.2; the registry of CBOR Web Token Claims.
"""

from protocol.limits import admission_roots_max
from protocol.shape import is_digest, is_natural, is_uint, is_within

HWMODEL = 259
DBGSTAT = 263
BOOTCOUNT = 267
# Of the range that the registry leaves for private use, below -65536.
IMAGE = -65537
AGENT = -65538
BUNDLE = -65539
SEMANTICS = -65540
# -65541 stands for a later claim in vectors of version 1.
ROOTS = -65542

# Of dbgstat: whether whoever reaches the console can run code of his own.
ENABLED = 0
DISABLED = 1
DBGSTAT_NAMES = (
    "enabled",
    "disabled",
    "disabled since boot",
    "disabled permanently",
    "disabled fully and permanently",
)
HWMODEL_BYTES_MAX = 32
_ROOT_BYTES = 8


def claims_of(
    hardware: str, debug: int, boot: int, image: bytes, agent, bundle: bytes, semantics: int, roots=None
) -> dict:
    """Return the claims of one boot. agent: digest of the index of a released agent, None: the image's own runs.

    hardware: as the device's settings and releases call it, its first 32 bytes count. bundle: digest of the rules that decide.
    roots: identifiers (8 bytes) of the release roots held, None or empty: nothing is said of them.
    """
    claims = {
        HWMODEL: hwmodel_of(hardware),
        DBGSTAT: debug,
        BOOTCOUNT: boot,
        IMAGE: image,
        BUNDLE: bundle,
        SEMANTICS: semantics,
    }
    if agent is not None:
        claims[AGENT] = agent
    if roots:
        claims[ROOTS] = b"".join(roots)
    return claims


def hwmodel_of(hardware: str) -> bytes:
    """Return the name of a hardware as the claim has it."""
    return hardware.encode()[:HWMODEL_BYTES_MAX]


def is_claims(value) -> bool:
    """Say whether value has every claim that must be there, each in its form. Claims that nobody knows yet may be there too."""
    if not isinstance(value, dict) or not all([key in value for key in _MUST]):
        return False
    model = value[HWMODEL]
    return (
        isinstance(model, bytes)
        and 1 <= len(model) <= HWMODEL_BYTES_MAX
        and is_within(value[DBGSTAT], ENABLED, len(DBGSTAT_NAMES) - 1)
        and is_natural(value[BOOTCOUNT])
        and is_digest(value[IMAGE])
        and is_digest(value[BUNDLE])
        and is_uint(value[SEMANTICS])
        and (AGENT not in value or is_digest(value[AGENT]))
        and (ROOTS not in value or _is_roots(value[ROOTS]))
    )


def roots_of(claims: dict):
    """Return the identifiers of the roots that claims name, or None where they say nothing of them."""
    if ROOTS not in claims:
        return None
    said = claims[ROOTS]
    return [said[at : at + _ROOT_BYTES] for at in range(0, len(said), _ROOT_BYTES)]


def _is_roots(value) -> bool:
    count = len(value) if isinstance(value, bytes) else 0
    return count % _ROOT_BYTES == 0 and _ROOT_BYTES <= count <= _ROOT_BYTES * admission_roots_max


_MUST = (HWMODEL, DBGSTAT, BOOTCOUNT, IMAGE, BUNDLE, SEMANTICS)
