"""Checked pages: one CBOR item in one flash page, and how to tell a whole one from a torn one.

The check is SHA-256 over a label and the item, cut to 16 bytes. It finds what a power cut left half done; it is no seal,
for whoever can write this flash can read the keys beside it.
"""

import hashlib

from agent.flash import BLANK_PAGE, PAGE_BYTES, SECTOR_BYTES
from protocol._const import const
from protocol.cbor import dumps, load_prefix
from protocol.errors import ProtocolError

_CHECK_BYTES = const(16)
PAGES_PER_SECTOR = SECTOR_BYTES // PAGE_BYTES


class FlashFault(Exception):
    """Flash did not keep what was programmed, on several pages in turn. Who must act: a person; the part is worn out."""


def encode_page(label: bytes, item) -> bytes:
    """Return item as a page of 256 bytes. An item too large for it is our own mistake."""
    body = dumps(item)
    page = body + _check(label, body)
    assert len(page) <= PAGE_BYTES, "page of {} bytes".format(len(page))
    return page + BLANK_PAGE[len(page) :]


def decode_page(label: bytes, page: bytes):
    """Return the item of a page, or None: blank, zeroed or torn."""
    if page[0] == 0xFF or page[0] == 0:
        return None
    try:
        item, end = load_prefix(page)
    except ProtocolError:
        return None
    if page[end : end + _CHECK_BYTES] != _check(label, page[:end]):
        return None
    return item


def _check(label: bytes, body: bytes) -> bytes:
    return hashlib.sha256(label + body).digest()[:_CHECK_BYTES]


def page_offset(sector: int, page: int) -> int:
    """Return the offset of a page within the window."""
    return sector * SECTOR_BYTES + page * PAGE_BYTES


def tail_page(flash, sector: int) -> int:
    """Return the first page after the last that is not blank: 0 for an erased sector, 16 for a full one."""
    for page in range(PAGES_PER_SECTOR - 1, -1, -1):
        if flash.read(page_offset(sector, page), PAGE_BYTES) != BLANK_PAGE:
            return page + 1
    return 0
