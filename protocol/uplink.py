"""What a gateway posts to the office, and what the office answers.

The gateway only carries: segments and heartbeats stay the bytes that the devices sealed, and the office judges them.
Keys of the two maps that are not known are ignored, so that either side may be newer.

Source: SPEC.md section 7.
"""

from hashlib import sha256

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.keys import LANES
from protocol.limits import (
    device_links_max,
    message_bytes_max,
    segment_bytes_max,
    uint32_max,
    uplink_commands_max,
    uplink_heartbeats_max,
    uplink_links_max,
    uplink_receipts_max,
    uplink_releases_max,
    uplink_revoked_max,
    uplink_segments_max,
    uplink_views_max,
    uplink_wants_max,
    view_keys_max,
)
from protocol.shape import is_bytes, is_natural

STORED = 0
DUPLICATE = 1
FORK = 2
HEARTBEAT_TAKEN = 8
HEARTBEAT_SEEN = 9
# In quarantine: QUARANTINED + a reject code of protocol.errors.
QUARANTINED = 16

# The header of a request in which a gateway says which set of links it holds: its mark in hex.
LINKS_HEADER = "Outstation-Links"
LINKS_MARK_BYTES = 8
_KID_BYTES_MAX = 7
_LINK_SECRET_BYTES = 16

_OUTCOME_MAX = 255


class UplinkAnswer:
    """What the office answers, after its commit.

    outcomes: one for each segment of the request, in its order: STORED, DUPLICATE, FORK or QUARANTINED + reject code.
    heartbeat_outcomes: one for each heartbeat: HEARTBEAT_TAKEN, HEARTBEAT_SEEN or QUARANTINED + reject code.
    receipts, time_tokens: as sealed; each names its device. wants: (device, lane, epoch, start, stop), half-open.
    releases: (device, number) wanted, 0 for none; commands: as sealed, waiting; both of the devices of the heartbeats.
    revoked: devices of the gateway's site that nobody serves any more; who was named once stays so.
    views: (device, first period, keys) of class site; a key of 32 bytes or None for each period from the first on.
    links: (mark, base or None, [entry ...], [device ...]) or None: what turns the set of links with the mark base into that of mark,
    entries to put and devices that go. An entry is (device, kid, secret), or (device,) where only the gateway's file knows the secret.
    """

    __slots__ = (
        "outcomes",
        "heartbeat_outcomes",
        "receipts",
        "time_tokens",
        "wants",
        "releases",
        "commands",
        "revoked",
        "views",
        "links",
    )

    def __init__(
        self,
        outcomes=(),
        heartbeat_outcomes=(),
        receipts=(),
        time_tokens=(),
        wants=(),
        releases=(),
        commands=(),
        revoked=(),
        views=(),
        links=None,
    ):
        self.outcomes = list(outcomes)
        self.heartbeat_outcomes = list(heartbeat_outcomes)
        self.receipts = list(receipts)
        self.time_tokens = list(time_tokens)
        self.wants = list(wants)
        self.releases = list(releases)
        self.commands = list(commands)
        self.revoked = list(revoked)
        self.views = list(views)
        self.links = links


def links_mark(entries) -> bytes:
    """Return the mark (8 bytes) of a set of links. entries: as UplinkAnswer.links has them, in any order."""
    listed = dumps([list(entry) for entry in sorted(entries)])
    return sha256(b"outstation links v1\0" + listed).digest()[:LINKS_MARK_BYTES]


def encode_request(segments: list, heartbeats: list) -> bytes:
    """Return one uplink request. segments: at most 512 of 1..512 bytes; heartbeats: at most 256 of 1..400 bytes.

    Raises ProtocolError(TOO_LARGE) or (MALFORMED) for what parse_request would refuse.
    """
    items = {0: list(segments), 1: list(heartbeats)}
    _check_request(items)
    return dumps(items)


def parse_request(raw: bytes) -> tuple:
    """Return (segments, heartbeats), two lists of bytes that nobody verified. Raises ProtocolError, never anything else."""
    items = _load_map(raw, 2, "request")
    _check_request(items)
    return items[0], items[1]


def _check_request(items: dict) -> None:
    _check_strings(items[0], uplink_segments_max, segment_bytes_max, "segments")
    _check_strings(items[1], uplink_heartbeats_max, message_bytes_max, "heartbeats")


def encode_uplink_answer(answer: UplinkAnswer) -> bytes:
    """Return the answer's bytes. Raises ProtocolError for what parse_uplink_answer would refuse."""
    items = {
        0: answer.outcomes,
        1: answer.heartbeat_outcomes,
        2: answer.receipts,
        3: answer.time_tokens,
        4: [list(want) for want in answer.wants],
    }
    if answer.releases:
        items[5] = [list(entry) for entry in answer.releases]
    if answer.commands:
        items[6] = answer.commands
    if answer.revoked:
        items[8] = answer.revoked
    if answer.views:
        items[9] = [[device, first, list(keys)] for device, first, keys in answer.views]
    if answer.links is not None:
        mark, base, entries, gone = answer.links
        items[11] = [mark, base, [list(entry) for entry in entries], list(gone)]
    _check_answer(items)
    return dumps(items)


def parse_uplink_answer(raw: bytes) -> UplinkAnswer:
    """Return the UplinkAnswer. Raises ProtocolError, never anything else."""
    items = _load_map(raw, 5, "answer")
    _check_answer(items)
    wants = [tuple(want) for want in items[4]]
    releases = [tuple(entry) for entry in items.get(5, ())]
    views = [tuple(grant) for grant in items.get(9, ())]
    links = None
    if 11 in items:
        mark, base, entries, gone = items[11]
        links = (mark, base, [tuple(entry) for entry in entries], gone)
    more = (items.get(6, ()), items.get(8, ()), views, links)
    return UplinkAnswer(items[0], items[1], items[2], items[3], wants, releases, *more)


def _check_answer(items: dict) -> None:
    _check_outcomes(items[0], uplink_segments_max, "segments")
    _check_outcomes(items[1], uplink_heartbeats_max, "heartbeats")
    _check_strings(items[2], uplink_receipts_max, message_bytes_max, "receipts")
    _check_strings(items[3], uplink_heartbeats_max, message_bytes_max, "time tokens")
    _check_list(items[4], uplink_wants_max, "wants")
    for want in items[4]:
        if not _is_want(want):
            raise ProtocolError(
                MALFORMED, "a want of an uplink answer is not [device, lane, epoch, start, stop]"
            )
    if 5 in items:
        _check_list(items[5], uplink_releases_max, "releases")
        if not items[5] or not all([_is_wanted_release(entry) for entry in items[5]]):
            raise ProtocolError(MALFORMED, "the releases of an uplink answer are not [device, number] each")
    if 6 in items:
        _check_strings(items[6], uplink_commands_max, message_bytes_max, "commands")
        if not items[6]:
            raise ProtocolError(MALFORMED, "the commands of an uplink answer are an empty array")
    if 8 in items:
        _check_list(items[8], uplink_revoked_max, "revoked devices")
        if not items[8] or not all([isinstance(device, bytes) and len(device) == 8 for device in items[8]]):
            raise ProtocolError(MALFORMED, "the revoked of an uplink answer are not devices of 8 bytes")
    if 9 in items:
        _check_list(items[9], uplink_views_max, "views")
        if not items[9] or not all([_is_view(grant) for grant in items[9]]):
            raise ProtocolError(MALFORMED, "the views of an uplink answer are not [device, first, keys] each")
    if 11 in items:
        _check_links(items[11])


def _check_links(said) -> None:
    """Refuse what is no set of links. No message shows an entry: it holds a secret."""
    if not isinstance(said, list) or len(said) != 4 or not is_bytes(said[0], LINKS_MARK_BYTES):
        raise ProtocolError(MALFORMED, "the links of an uplink answer are not [mark, base, links, gone]")
    if said[1] is not None and not is_bytes(said[1], LINKS_MARK_BYTES):
        raise ProtocolError(MALFORMED, "the base of an uplink answer's links is not 8 bytes or null")
    _check_list(said[2], device_links_max * uplink_links_max, "links")
    _check_list(said[3], uplink_links_max, "devices without links")
    if not all([_is_link(entry) for entry in said[2]]) or not all([is_bytes(one, 8) for one in said[3]]):
        raise ProtocolError(MALFORMED, "one of the links of an uplink answer is not [device, kid, secret]")
    held = {}
    for entry in said[2]:
        held.setdefault(entry[0], []).append(entry[1] if len(entry) == 3 else None)
    for kids in held.values():
        if len(kids) > device_links_max or len(set(kids)) < len(kids) or (None in kids and len(kids) > 1):
            raise ProtocolError(
                MALFORMED, "a device of an uplink answer has the same link twice, or too many"
            )
    if len(held) > uplink_links_max:
        raise ProtocolError(TOO_LARGE, "links of {} devices exceed {}".format(len(held), uplink_links_max))
    if not all([device not in held for device in said[3]]):
        raise ProtocolError(MALFORMED, "a device of an uplink answer has links and has none")


def _load_map(raw: bytes, keys: int, what: str) -> dict:
    items = loads(raw)
    if not isinstance(items, dict):
        raise ProtocolError(MALFORMED, "uplink {} is not a map".format(what))
    for key in range(keys):
        if key not in items:
            raise ProtocolError(MALFORMED, "uplink {} lacks key {}".format(what, key))
    return items


def _check_list(value, most: int, what: str) -> None:
    if not isinstance(value, list):
        raise ProtocolError(MALFORMED, "the {} of an uplink message are not an array".format(what))
    if len(value) > most:
        raise ProtocolError(TOO_LARGE, "{} {} in one uplink message exceed {}".format(len(value), what, most))


def _check_strings(value, most: int, bytes_max: int, what: str) -> None:
    _check_list(value, most, what)
    for item in value:
        if not isinstance(item, bytes) or not item:
            raise ProtocolError(
                MALFORMED, "one of the {} is not a byte string of 1 byte or more".format(what)
            )
        if len(item) > bytes_max:
            raise ProtocolError(
                TOO_LARGE, "{} bytes in one of the {} exceed {}".format(len(item), what, bytes_max)
            )


def _check_outcomes(value, most: int, what: str) -> None:
    _check_list(value, most, "outcomes of " + what)
    for outcome in value:
        if not is_natural(outcome, _OUTCOME_MAX):
            raise ProtocolError(MALFORMED, "an outcome of {} is not 0..{}".format(what, _OUTCOME_MAX))


def _is_want(want) -> bool:
    return (
        isinstance(want, list)
        and len(want) == 5
        and isinstance(want[0], bytes)
        and len(want[0]) == 8
        and is_natural(want[1], LANES[-1])
        and is_natural(want[2], uint32_max)
        and is_natural(want[3], uint32_max)
        and is_natural(want[4])
    )


def _is_wanted_release(entry) -> bool:
    shaped = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes)
    return shaped and len(entry[0]) == 8 and is_natural(entry[1], uint32_max)


def _is_link(entry) -> bool:
    if not isinstance(entry, list) or len(entry) not in (1, 3) or not is_bytes(entry[0], 8):
        return False
    if len(entry) == 1:
        return True
    kid = isinstance(entry[1], bytes) and 1 <= len(entry[1]) <= _KID_BYTES_MAX
    return kid and is_bytes(entry[2], _LINK_SECRET_BYTES)


def _is_view(grant) -> bool:
    shaped = isinstance(grant, list) and len(grant) == 3 and is_bytes(grant[0], 8)
    if not shaped or not is_natural(grant[1], uint32_max) or not isinstance(grant[2], list):
        return False
    if len(grant[2]) > view_keys_max or grant[1] + len(grant[2]) > uint32_max + 1:
        return False
    return all([key is None or is_bytes(key, 32) for key in grant[2]])
