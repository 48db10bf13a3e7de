"""CBOR as a tree whose every item knows where it stands: for people who must find the byte that is wrong."""

from dataclasses import dataclass, field
from typing import Any

from protocol.cbor import load_prefix, read_head
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.limits import cbor_depth_max

BYTES = 2
TEXT = 3
ARRAY = 4
MAP = 5

# Bundles nest deeper than what travels; a nested byte string starts to count again.
DEPTH_MAX = 4 * cbor_depth_max


class BadBytes(Exception):
    """Bytes that are not what they should be. offset: of the first bad byte. expected: what should stand there."""

    def __init__(self, offset: int, expected: str, code: int = MALFORMED):
        super().__init__(f"{expected} at byte {offset}")
        self.offset = offset
        self.expected = expected
        self.code = code


@dataclass(slots=True)
class Item:
    """One CBOR item. value: Python value of a leaf; children: of an array its items, of a map key, value, key, value ...

    start, end: offsets in the whole input. content: where the content of a string starts.
    """

    major: int
    value: Any
    start: int
    end: int
    content: int
    children: list["Item"] = field(default_factory=list)


def read_tree(data: bytes, start: int, stop: int, depth: int = DEPTH_MAX) -> Item:
    """Return the deterministic CBOR item that starts at start and ends at or before stop. Raises BadBytes."""
    window = data[:stop]
    try:
        major, length, at = read_head(window, start)
    except ProtocolError as error:
        raise BadBytes(min(start, stop), f"a whole CBOR item ({error.text})", error.code) from None
    if major not in (ARRAY, MAP):
        return _leaf(window, major, start, at)
    if depth == 0:
        raise BadBytes(start, f"at most {DEPTH_MAX} levels", TOO_LARGE)
    item = Item(major, None, start, at, at)
    for _ in range(length * (2 if major == MAP else 1)):
        child = read_tree(data, item.end, stop, depth - 1)
        item.children.append(child)
        item.end = child.end
    if major == MAP:
        _check_keys(data, item)
    return item


def _leaf(window: bytes, major: int, start: int, content: int) -> Item:
    try:
        value, end = load_prefix(window, start)
    except ProtocolError as error:
        raise BadBytes(start, f"a whole CBOR item ({error.text})", error.code) from None
    return Item(major, value, start, end, content)


def _check_keys(data: bytes, item: Item) -> None:
    before = b""
    for key in item.children[::2]:
        encoded = data[key.start : key.end]
        if key.major > 1 or encoded <= before:
            raise BadBytes(key.start, "an integer key above the one before")
        before = encoded


def plain(item: Item) -> Any:
    """Return the Python value of a tree."""
    if item.major == ARRAY:
        return [plain(child) for child in item.children]
    if item.major == MAP:
        pairs = zip(item.children[::2], item.children[1::2], strict=True)
        return {key.value: plain(value) for key, value in pairs}
    return item.value
