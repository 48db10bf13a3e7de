"""Hosts only: boards without keys that a gateway heard of, to the office; and what the office says of those that it knows.

Source: SPEC.md section 15.
"""

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import admission_bytes_max, announcement_bytes_max, announcements_max
from protocol.shape import is_bytes

PATH = "/v1/announcements"
_BOARD_BYTES = 8
_SEALED_BYTES_MIN = 9
# Head of the array, and of each string.
REQUEST_BYTES_MAX = 3 + announcements_max * (announcement_bytes_max + 3)
ANSWER_BYTES_MAX = 3 + announcements_max * (admission_bytes_max + 16)


def encode_announcements(announcements: list) -> bytes:
    """Return the request's bytes. Raises ProtocolError for what parse_announcements would refuse."""
    _check_announcements(announcements)
    return dumps(list(announcements))


def parse_announcements(raw: bytes) -> list:
    """Return announcements that nobody verified, as the boards sealed them. Raises ProtocolError, never anything else."""
    items = loads(raw)
    _check_announcements(items)
    return items


def encode_admissions(known: list) -> bytes:
    """Return the answer's bytes. known: (board, sealed admission), or (board,): a person has to say yes yet. Raises ProtocolError."""
    items = [list(entry) for entry in known]
    _check_admissions(items)
    return dumps(items)


def parse_admissions(raw: bytes) -> list:
    """Return (board, sealed admission) or (board,) of each board that the office knows. Raises ProtocolError, never anything else."""
    items = loads(raw)
    _check_admissions(items)
    return [tuple(entry) for entry in items]


def _check_announcements(items) -> None:
    _check_list(items, "announcements")
    for item in items:
        if not isinstance(item, bytes) or not 0 < len(item) <= announcement_bytes_max:
            raise ProtocolError(
                MALFORMED,
                "an announcement is not a byte string of 1..{} bytes".format(announcement_bytes_max),
            )


def _check_admissions(items) -> None:
    _check_list(items, "admissions")
    if not all([_is_entry(entry) for entry in items]):
        raise ProtocolError(MALFORMED, "an admission is not [board] or [board, sealed]")


def _check_list(items, what: str) -> None:
    if not isinstance(items, list):
        raise ProtocolError(MALFORMED, "{} are not an array".format(what))
    if len(items) > announcements_max:
        raise ProtocolError(TOO_LARGE, "{} {} exceed {}".format(len(items), what, announcements_max))


def _is_entry(entry) -> bool:
    if not isinstance(entry, list) or len(entry) not in (1, 2) or not is_bytes(entry[0], _BOARD_BYTES):
        return False
    sealed = entry[-1]
    return len(entry) == 1 or (
        isinstance(sealed, bytes) and _SEALED_BYTES_MIN <= len(sealed) <= admission_bytes_max
    )
