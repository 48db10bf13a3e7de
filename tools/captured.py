"""What captured bytes are: the items in them, each under the names of the CDDL rule that it fits.

A capture is a run of CBOR items, the same as hex text, or a flash image of a device, in which every record is looked for.
"""

import hashlib
from binascii import Error as HexError
from binascii import unhexlify
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import protocol
import rules as rules_package
from tools.cbor_tree import BadBytes, Item, read_tree
from tools.cddl import read_rules
from tools.cddl_match import Matcher, Named

# In this order: what an empty map or list fits first is what it is.
TOP_RULES = (
    *(
        "segment",
        "heartbeat",
        "receipt",
        "time_token",
        "command",
        "answer",
        "uplink_request",
        "uplink_answer",
    ),
    *("checkpoint", "schema", "events", "bundle", "release", "manifest", "signature", "successor"),
)
SECTOR_BYTES = 4096
PAGE_BYTES = 256
_RECORD_HEAD = b"\x84\x43\xa1\x01\x05\xa0"
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF \t\r\n")


class NotKnown(Exception):
    """Bytes that fit no rule. rule: the nearest; error: the first bad byte under it."""

    def __init__(self, rule: str, error: BadBytes):
        super().__init__(f"{rule}: {error}")
        self.rule = rule
        self.error = error


class Ambiguous(Exception):
    """Bytes that fit several rules."""

    def __init__(self, offset: int, names: list[str]):
        super().__init__(f"byte {offset} may start {' or '.join(names)}")
        self.offset = offset
        self.names = names


@dataclass(frozen=True, slots=True)
class Found:
    """One item of a capture. raw: its bytes; named: the item under names; problem: why a record is not whole."""

    rule: str
    offset: int
    raw: bytes
    named: Named | None
    problem: str | None = None

    def digest(self) -> str:
        """Return SHA-256 of the item, which for a segment, schema or bundle is the name others call it by."""
        return hashlib.sha256(self.raw).hexdigest()


def grammars() -> dict[str, dict[str, Any]]:
    """Return rule name -> the rules it lives among: wire.cddl's names come before those of bundle.cddl."""
    wire = _read(Path(protocol.__file__).parent / "wire.cddl")
    bundle = _read(Path(rules_package.__file__).parent / "bundle.cddl")
    return {**dict.fromkeys(bundle, bundle), **dict.fromkeys(wire, wire)}


def _read(path: Path) -> dict[str, Any]:
    return read_rules(path.read_text(encoding="utf-8"))


def bytes_of_text(data: bytes) -> bytes:
    """Return what hex text stands for; anything else comes back as it is."""
    if not data.strip() or not _HEX_DIGITS.issuperset(data):
        return data
    try:
        return unhexlify(b"".join(data.split()))
    except HexError:
        return data


def may_be_flash(data: bytes) -> bool:
    """Return whether data has the size of a flash image: some whole sectors."""
    return len(data) >= 2 * SECTOR_BYTES and len(data) % SECTOR_BYTES == 0


def read_sequence(data: bytes, rule: str | None, known: dict[str, dict[str, Any]]) -> list[Found]:
    """Return the items of data, one after the other. rule: what each must be. Raises NotKnown or Ambiguous."""
    found: list[Found] = []
    at = 0
    while at < len(data) or not found:
        one = read_one(data, at, rule, known)
        found.append(one)
        at += len(one.raw)
    return found


def read_one(data: bytes, at: int, rule: str | None, known: dict[str, dict[str, Any]]) -> Found:
    """Return the item that starts at at."""
    try:
        item = read_tree(data, at, len(data))
    except BadBytes as error:
        raise NotKnown(rule or "CBOR item", error) from None
    fitting, misses = _fit(data, item, (rule,) if rule else TOP_RULES, known)
    if len(fitting) > 1:
        raise Ambiguous(at, list(fitting))
    if not fitting:
        nearest = max(misses, key=lambda name: misses[name].offset)
        raise NotKnown(nearest, misses[nearest])
    ((name, named),) = fitting.items()
    return Found(name, at, data[at : item.end], named)


def _fit(
    data: bytes, item: Item, names: tuple[str, ...], known: dict[str, dict[str, Any]]
) -> tuple[dict[str, Named], dict[str, BadBytes]]:
    fitting: dict[str, Named] = {}
    misses: dict[str, BadBytes] = {}
    for name in names:
        try:
            fitting[name] = Matcher(known[name], data).match(name, item)
        except BadBytes as error:
            misses[name] = error
    return fitting, misses


def read_flash(data: bytes, known: dict[str, dict[str, Any]]) -> list[Found]:
    """Return the segments in a flash image, whole and torn, by offset. Keys and cells are not shown."""
    found: list[Found] = []
    for at in range(0, len(data), PAGE_BYTES):
        if not data.startswith(_RECORD_HEAD, at):
            continue
        try:
            found.append(read_one(data, at, "segment", known))
        except NotKnown as miss:
            problem = f"torn or overwritten: {miss.error.expected} expected at byte {miss.error.offset}"
            found.append(Found("segment", at, data[at : at + PAGE_BYTES], None, problem))
    return found
