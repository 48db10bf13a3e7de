"""Hosts only: what a gateway saw of the one-time leaves that sign releases, to the office, and what the office tells it of them.

Source: SPEC.md section 7 (Witness).
"""

import hashlib

from protocol.cbor import dumps, loads
from protocol.envelope import KEY_ID_BYTES
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import envelope_bytes_max, uint32_max, witness_roots_max
from protocol.shape import is_bytes, is_natural

PATH = "/v1/witness"
MARK_BYTES = 8
_ITEMS = 3
# Heads of arrays and strings, and the longest there may be in them.
_ENVELOPES = 1 + witness_roots_max * (3 + envelope_bytes_max)
REQUEST_BYTES_MAX = 2 + witness_roots_max * (1 + 1 + KEY_ID_BYTES + 5 + 1 + MARK_BYTES) + _ENVELOPES
ANSWER_BYTES_MAX = 2 + witness_roots_max * (1 + KEY_ID_BYTES) + _ENVELOPES


def mark_of(envelope: bytes) -> bytes:
    """Return the 8 bytes that name an envelope: equal bytes are signed by equal leaves over equal words."""
    return hashlib.sha256(envelope).digest()[:MARK_BYTES]


def encode_witness(seen: list, shown: list) -> bytes:
    """Return the request's bytes.

    seen: (root, leaf, mark) each, root of 8 bytes, leaf below 2^32, mark as mark_of gives it; shown: envelopes. At most 16 of each.
    Raises ProtocolError for what parse_witness would refuse.
    """
    items = [[list(one) for one in seen], list(shown)]
    _check_witness(items)
    return dumps(items)


def parse_witness(raw: bytes) -> tuple:
    """Return (seen, shown) as encode_witness takes them. Raises ProtocolError, never anything else."""
    items = loads(raw)
    _check_witness(items)
    return [tuple(one) for one in items[0]], items[1]


def encode_witness_answer(told: list, asked: list) -> bytes:
    """Return the answer's bytes. told: envelopes; asked: roots of 8 bytes. At most 16 of each. Raises ProtocolError as above."""
    items = [list(told), list(asked)]
    _check_answer(items)
    return dumps(items)


def parse_witness_answer(raw: bytes) -> tuple:
    """Return (told, asked). Raises ProtocolError, never anything else."""
    items = loads(raw)
    _check_answer(items)
    return items[0], items[1]


def _check_witness(items) -> None:
    _check_pair(items, "witness")
    if not all([_is_seen(one) for one in items[0]]):
        raise ProtocolError(MALFORMED, "what a witness saw is not [root, leaf, mark]")
    if len({one[0] for one in items[0]}) < len(items[0]):
        raise ProtocolError(MALFORMED, "a witness names a root twice")
    _check_envelopes(items[1])


def _check_answer(items) -> None:
    _check_pair(items, "answer to a witness")
    _check_envelopes(items[0])
    if not all([is_bytes(root, KEY_ID_BYTES) for root in items[1]]):
        raise ProtocolError(MALFORMED, "what is asked of a witness is no root")
    if len(set(items[1])) < len(items[1]):
        raise ProtocolError(MALFORMED, "a witness is asked of a root twice")


def _check_pair(items, what: str) -> None:
    if not isinstance(items, list) or len(items) != 2 or not all([isinstance(one, list) for one in items]):
        raise ProtocolError(MALFORMED, "{} is not two arrays".format(what))
    most = max([len(one) for one in items])
    if most > witness_roots_max:
        raise ProtocolError(
            TOO_LARGE, "{} of {} roots exceeds witness_roots_max ({})".format(what, most, witness_roots_max)
        )


def _check_envelopes(envelopes: list) -> None:
    if not all([isinstance(one, bytes) and 0 < len(one) <= envelope_bytes_max for one in envelopes]):
        raise ProtocolError(MALFORMED, "an envelope is not 1 to {} bytes".format(envelope_bytes_max))


def _is_seen(item) -> bool:
    if not isinstance(item, list) or len(item) != _ITEMS:
        return False
    return (
        is_bytes(item[0], KEY_ID_BYTES) and is_natural(item[1], uint32_max) and is_bytes(item[2], MARK_BYTES)
    )
