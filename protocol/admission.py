"""How a board without keys becomes a device: it announces itself, and takes what an office admits it with. Both under its one-time secret.

The secret seals two things and no third: the announcement, always the same bytes, and one admission. So a fixed nonce does no harm, and
neither does playing either again: there is nothing else that it could be taken for.

Source: SPEC.md section 15; RFC 3610 (CCM), RFC 9052 section 6.3.
"""

from protocol.aead import NONCE_BYTES
from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, TOO_LARGE, VERSION, ProtocolError
from protocol.limits import (
    admission_bytes_max,
    admission_part_bytes_max,
    admission_roots_max,
    admission_settings_max,
    announcement_bytes_max,
    release_text_bytes_max,
)
from protocol.mac import hmac_sha256
from protocol.messages import Message, open_frame, seal_frame
from protocol.shape import is_bytes, is_int, is_natural

ANNOUNCEMENT = b"outstation announcement v1"
_ADMISSION = b"outstation admission v1"
SECRET_BYTES = 16
_BOARD_BYTES = 8
_KEY_BYTES = 32
_LINK_BYTES = 16
_ROOT_BYTES = 60
_ITEMS = 11
_NONCE = bytes(NONCE_BYTES)


class Announcement:
    """board: identity that its label shows, 8 bytes, the device's later; hardware: name of the board."""

    __slots__ = ("board", "hardware")

    def __init__(self, board, hardware):
        self.board = board
        self.hardware = hardware


class Admission:
    """All that a device is given.

    device: 8 bytes. seal_keys: k(0) of (critical, routine). ratchets: r(0) of (site, office). downlink: key of 32 bytes. kid, secret: of the
    link. roots: public keys of 60 bytes. schema, bundle: bytes. settings: [name, value] each, value an integer, text, or list of texts.
    """

    __slots__ = (
        "device",
        "seal_keys",
        "ratchets",
        "downlink",
        "kid",
        "secret",
        "roots",
        "schema",
        "bundle",
        "settings",
    )

    def __init__(self, device, seal_keys, ratchets, downlink, kid, secret, roots, schema, bundle, settings):
        self.device = device
        self.seal_keys = list(seal_keys)
        self.ratchets = list(ratchets)
        self.downlink = downlink
        self.kid = kid
        self.secret = secret
        self.roots = list(roots)
        self.schema = schema
        self.bundle = bundle
        self.settings = [list(pair) for pair in settings]

    def items(self) -> list:
        """Return the fields in the order of the grammar, the version first."""
        return [1] + [getattr(self, name) for name in self.__slots__]


def announcement_key(secret: bytes) -> bytes:
    """Return the key of a board's announcement."""
    return hmac_sha256(secret, b"announce")


def _admission_key(secret: bytes) -> bytes:
    return hmac_sha256(secret, b"admit")[:16]


def seal_announcement(board: bytes, hardware: str, secret: bytes) -> bytes:
    """Return what a board says of itself: at most announcement_bytes_max bytes, always the same."""
    return seal_frame(ANNOUNCEMENT, [1, board, hardware], announcement_key(secret))


def parse_announcement(raw: bytes) -> Message:
    """Return a Message whose fields are an Announcement; verify(announcement_key(secret)) checks its tag. Raises ProtocolError."""
    if len(raw) > announcement_bytes_max:
        raise ProtocolError(
            TOO_LARGE, "announcement of {} bytes exceeds {}".format(len(raw), announcement_bytes_max)
        )
    items, payload, tag = open_frame(raw, "announcement")
    if len(items) != 3 or not is_bytes(items[1], _BOARD_BYTES) or not _is_name(items[2]):
        raise ProtocolError(MALFORMED, "announcement is not [version, board, hardware]")
    return Message(raw, ANNOUNCEMENT, Announcement(items[1], items[2]), payload, tag)


def seal_admission(admission: Admission, secret: bytes, ccm) -> bytes:
    """Return an admission sealed for the board whose secret this is, its identity the device's.

    ccm: makes an AES-CCM from a key, as `AesCcm(Aes128(key))` or `aes_host.Ccm`. One secret seals one admission. Raises ProtocolError(TOO_LARGE).
    """
    text = dumps(admission.items())
    parse_admission(text)
    return ccm(_admission_key(secret)).seal(_NONCE, text, _ADMISSION + admission.device)


def open_admission(sealed: bytes, board: bytes, secret: bytes, ccm) -> Admission:
    """Return the admission of a board. Raises ProtocolError(SEAL): not of this secret, or changed; or as parse_admission."""
    if len(sealed) > admission_bytes_max:
        raise ProtocolError(
            TOO_LARGE, "admission of {} bytes exceeds {}".format(len(sealed), admission_bytes_max)
        )
    admission = parse_admission(ccm(_admission_key(secret)).open(_NONCE, sealed, _ADMISSION + board))
    if admission.device != board:
        raise ProtocolError(MALFORMED, "the admission is another device's")
    return admission


def parse_admission(text: bytes) -> Admission:
    """Return the Admission that an opened text is. Raises ProtocolError, never anything else; no message shows a key."""
    if len(text) > admission_bytes_max - 8:
        raise ProtocolError(
            TOO_LARGE, "admission of {} bytes exceeds {}".format(len(text), admission_bytes_max - 8)
        )
    items = loads(text)
    if not isinstance(items, list) or not items or not is_natural(items[0]):
        raise ProtocolError(MALFORMED, "admission has no version")
    if items[0] != 1:
        raise ProtocolError(VERSION, "admission version {} is not 1".format(items[0]))
    if len(items) != _ITEMS or not _are_keys(items) or not _are_parts(items):
        raise ProtocolError(MALFORMED, "admission is not the eleven items of version 1")
    return Admission(*items[1:])


def _are_keys(items: list) -> bool:
    shaped = is_bytes(items[1], _BOARD_BYTES) and is_bytes(items[4], _KEY_BYTES)
    shaped = shaped and _is_list(items[2], 2, 2, _is_key) and _is_list(items[3], 2, 2, _is_key)
    kid = items[5]
    shaped = shaped and isinstance(kid, bytes) and 1 <= len(kid) <= 7 and is_bytes(items[6], _LINK_BYTES)
    return shaped and _is_list(items[7], 0, admission_roots_max, _is_root)


def _are_parts(items: list) -> bool:
    for part in items[8:10]:
        if not isinstance(part, bytes) or not 0 < len(part) <= admission_part_bytes_max:
            return False
    return _is_list(items[10], 0, admission_settings_max, _is_setting)


def _is_list(value, least: int, most: int, is_item) -> bool:
    return isinstance(value, list) and least <= len(value) <= most and all([is_item(item) for item in value])


def _is_key(value) -> bool:
    return is_bytes(value, _KEY_BYTES)


def _is_root(value) -> bool:
    return is_bytes(value, _ROOT_BYTES)


def _is_name(value) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) <= release_text_bytes_max


def _is_text(value) -> bool:
    return isinstance(value, str) and len(value.encode()) <= release_text_bytes_max


def _is_setting(pair) -> bool:
    if not isinstance(pair, list) or len(pair) != 2 or not _is_name(pair[0]):
        return False
    value = pair[1]
    return is_int(value) or _is_text(value) or _is_list(value, 1, 4, _is_text)
