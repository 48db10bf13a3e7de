"""The key schedule: seal chains, view ratchets, downlink labels. Pure arithmetic; who stores what is elsewhere.

Every derivation is HMAC-SHA256(key, label), so a step forward is cheap and a step back is impossible.
Keys are 32 bytes, but a body key has 16 (AES-128).

Source: SPEC.md section 10.
"""

from protocol.cbor import dumps
from protocol.limits import generation_segments
from protocol.mac import hmac_sha256

CRITICAL = 0
ROUTINE = 1
LANES = (CRITICAL, ROUTINE)
LANE_NAMES = ("critical", "routine")

CLEAR = 0
SITE = 1
OFFICE = 2
CLASS_NAMES = ("clear", "site", "office")


def seal_start(root: bytes, lane: int) -> bytes:
    """Return k(0) of a lane from the seal root, which only the office keeps."""
    return hmac_sha256(root, LANE_NAMES[lane].encode())


def seal_next(key: bytes) -> bytes:
    """Return k(g + 1) from k(g)."""
    return hmac_sha256(key, b"next")


def seal_ahead(key: bytes, steps: int) -> bytes:
    """Return k(g + steps) from k(g), steps >= 0."""
    for _ in range(steps):
        key = hmac_sha256(key, b"next")
    return key


def tag_key(key: bytes) -> bytes:
    """Return the key of segment tags for k(g)."""
    return hmac_sha256(key, b"seal")


def heartbeat_key(key: bytes) -> bytes:
    """Return the key of heartbeat tags for the critical lane's k(g)."""
    return hmac_sha256(key, b"heartbeat")


def view_start(root: bytes, view_class: int) -> bytes:
    """Return r(0) of a view class (SITE or OFFICE) from the view root, which only the office keeps."""
    return hmac_sha256(root, CLASS_NAMES[view_class].encode())


def view_next(ratchet: bytes) -> bytes:
    """Return r(p + 1) from r(p)."""
    return hmac_sha256(ratchet, b"next")


def view_key(ratchet: bytes) -> bytes:
    """Return vk(p) from r(p): it opens one period and says nothing of any other."""
    return hmac_sha256(ratchet, b"view")


def body_keys(view: bytes) -> tuple:
    """Return (body key of 16 bytes, iv key of 32) for vk(p)."""
    return hmac_sha256(view, b"encrypt")[:16], hmac_sha256(view, b"iv")


def downlink_key(downlink: bytes, label: str) -> bytes:
    """Return the key for one kind of message from office to device: label "receipt", "time" or "command"."""
    return hmac_sha256(downlink, label.encode())


def rekey_root(downlink: bytes, device: bytes, number: int, demand: list) -> bytes:
    """Return the root of the keys that the rekey command of this number and demand gives a device; downlink: of before. SPEC.md section 10.1."""
    return hmac_sha256(downlink_key(downlink, "rekey"), dumps([device, number, list(demand)]))


def rekeyed(root: bytes) -> tuple:
    """Return the keys of a rekey: seal keys of (critical, routine), ratchets of (site, office), downlink key."""
    return (
        seal_start(root, CRITICAL),
        seal_start(root, ROUTINE),
        view_start(root, SITE),
        view_start(root, OFFICE),
        hmac_sha256(root, b"downlink"),
    )


def relinked(downlink: bytes, device: bytes, number: int, demand: list) -> tuple:
    """Return (sender ID of 4 bytes, secret of 16) of the link that the relink command of this number and demand gives. SPEC.md section 10.2."""
    root = hmac_sha256(downlink_key(downlink, "link"), dumps([device, number, list(demand)]))
    return root[16:20], root[:16]


def generation_of(base: int, number: int) -> int:
    """Return the seal generation of a segment number in an epoch whose base is known."""
    return base + number // generation_segments
