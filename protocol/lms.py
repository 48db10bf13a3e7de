"""HSS/LMS signatures over SHA-256: verification alone, which costs a device a few hundred hashes and no big numbers.

Signing exists only in the office (office_ingest/govern/lms_key.py): a private key here would be one too many.
Parameter sets: LMS_SHA256_M32_H5 and _H10, LMOTS_SHA256_N32_W4 and _W8; one or two levels.

Source: RFC 8554 sections 3 to 6.
"""

import hashlib

from protocol._const import const
from protocol.errors import MALFORMED, ProtocolError

_N = const(32)
_ID_BYTES = const(16)
_LMS_PUBLIC_BYTES = const(56)
_LEVELS_MAX = const(2)

PUBLIC_BYTES = 60

# Which of the four hashes is meant: RFC 8554 section 7.1.
D_PUBLIC = b"\x80\x80"
D_MESSAGE = b"\x81\x81"
D_LEAF = b"\x82\x82"
D_INNER = b"\x83\x83"

# Typecode -> height of the tree.
HEIGHTS = {5: 5, 6: 10}
# Typecode -> (bits of one digit, digits with those of the checksum, shift of the checksum): RFC 8554 table 1.
CHAINS = {3: (4, 67, 4), 4: (8, 34, 0)}


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether signature is one over message by the owner of public.

    public: 60 bytes, levels (1 or 2) and the root's LMS key. Whatever the signature's bytes, the answer is True or False.
    Raises ProtocolError(MALFORMED) for a public key of another form: it is ours, and was damaged or never one.
    Source: RFC 8554 section 6.3.
    """
    levels = check_public(public)
    view = memoryview(signature)
    if _number(view, 0) != levels - 1:
        return False
    key = public[4:]
    at = 4
    for _ in range(levels - 1):
        end = at + _signature_bytes(key)
        child = bytes(view[end : end + _LMS_PUBLIC_BYTES])
        if not _verify_tree(key, child, view[at:end]) or not _is_key(child):
            return False
        key = child
        at = end + _LMS_PUBLIC_BYTES
    return _verify_tree(key, message, view[at:])


def check_public(public: bytes) -> int:
    """Return how many levels (1 or 2) a public key has. Raises ProtocolError(MALFORMED) if it is not one."""
    levels = _number(public, 0)
    if len(public) != PUBLIC_BYTES or not 1 <= levels <= _LEVELS_MAX or not _is_key(public[4:]):
        raise ProtocolError(MALFORMED, "not an HSS/LMS public key of one or two levels that is supported")
    return levels


def leaf_of(signature: bytes) -> int:
    """Return which one-time key of the root tree a signature used: a key that was used twice signs for anybody."""
    if len(signature) < 8:
        raise ProtocolError(MALFORMED, "a signature of {} bytes has no leaf".format(len(signature)))
    return _number(signature, 4)


def digits(message_hash: bytes, width: int, count: int, shift: int) -> bytes:
    """Return the digits of a hash and of its checksum, width bits each, count together: RFC 8554 section 4.4."""
    top = (1 << width) - 1
    in_hash = 8 * _N // width
    out = bytearray(count)
    checksum = 0
    for i in range(in_hash):
        digit = (message_hash[i * width >> 3] >> (8 - width - (i * width & 7))) & top
        out[i] = digit
        checksum += top - digit
    checksum <<= shift
    for i in range(in_hash, count):
        out[i] = (checksum >> (16 - width * (i - in_hash + 1))) & top
    return bytes(out)


def chain(prefix: bytes, i: int, value: bytes, start: int, stop: int) -> bytes:
    """Return value hashed on from step start to step stop of chain i. prefix: identity and leaf, 20 bytes."""
    block = bytearray(23 + _N)
    block[:20] = prefix
    block[20] = i >> 8
    block[21] = i & 255
    block[23:] = value
    for step in range(start, stop):
        block[22] = step
        block[23:] = hashlib.sha256(block).digest()
    return bytes(block[23:])


def _number(data, at: int) -> int:
    return int.from_bytes(bytes(data[at : at + 4]), "big") if len(data) >= at + 4 else -1


def _is_key(key) -> bool:
    return len(key) == _LMS_PUBLIC_BYTES and _number(key, 0) in HEIGHTS and _number(key, 4) in CHAINS


def _signature_bytes(key) -> int:
    return 12 + _N * (1 + CHAINS[_number(key, 4)][1] + HEIGHTS[_number(key, 0)])


def _verify_tree(key: bytes, message: bytes, signature) -> bool:
    """Return whether one LMS signature holds: RFC 8554 section 5.4.2. key: 56 bytes, of a form that is known."""
    height = HEIGHTS[_number(key, 0)]
    width, count, shift = CHAINS[_number(key, 4)]
    path = 8 + _N * (1 + count)
    leaf = _number(signature, 0)
    if len(signature) != _signature_bytes(key) or leaf >> height:
        return False
    if signature[4:8] != key[4:8] or signature[path : path + 4] != key[:4]:
        return False
    prefix = key[8:24] + leaf.to_bytes(4, "big")
    node = _one_time_key(prefix, message, signature, (width, count, shift))
    return _root(key[8:24], leaf + (1 << height), node, signature[path + 4 :]) == key[24:]


def _one_time_key(prefix: bytes, message: bytes, signature, parameters: tuple) -> bytes:
    """Return the one-time public key that the signature leads to: RFC 8554 section 4.6."""
    width, count, shift = parameters
    state = hashlib.sha256(prefix + D_MESSAGE)
    state.update(signature[8 : 8 + _N])
    state.update(message)
    steps = digits(state.digest(), width, count, shift)
    top = (1 << width) - 1
    ends = hashlib.sha256(prefix + D_PUBLIC)
    for i in range(count):
        at = 8 + _N * (1 + i)
        ends.update(chain(prefix, i, signature[at : at + _N], steps[i], top))
    return ends.digest()


def _root(identity: bytes, node: int, one_time_key: bytes, path) -> bytes:
    value = hashlib.sha256(identity + node.to_bytes(4, "big") + D_LEAF + one_time_key).digest()
    at = 0
    while node > 1:
        sibling = bytes(path[at : at + _N])
        pair = sibling + value if node & 1 else value + sibling
        node >>= 1
        at += _N
        value = hashlib.sha256(identity + node.to_bytes(4, "big") + D_INNER + pair).digest()
    return value
