"""Named items as text for people and as JSON for machines: the same tree, the same words."""

from typing import Any

from protocol.cbor import Simple
from protocol.columns import get_uvarint
from protocol.diagnostic import printable
from protocol.errors import NAMES, ProtocolError
from protocol.event import KIND_NAMES, QUALITY_NAMES, decode_samples
from protocol.uplink import QUARANTINED
from tools.cbor_tree import ARRAY, BYTES, MAP, plain
from tools.cddl_match import Named

# A digest is shown whole; longer strings by their beginning and length.
_BYTES_SHOWN = 48
_INDENT = "  "


def lines_of(named: Named, depth: int = 0) -> list[str]:
    """Return a tree as indented lines, one field a line."""
    head = _INDENT * depth + _head(named)
    inner = _parts(named)
    if not inner:
        return [f"{head}: {value_text(named)}"]
    lines = [head]
    for number, child in enumerate(inner):
        if child.label is None and named.item.major == ARRAY and not named.is_nested:
            child.label = f"[{number}]"
        lines += lines_of(child, depth + 1)
    return lines


def _head(named: Named) -> str:
    words = [word for word in (named.label, named.rule) if word]
    if len(words) == 2 and words[0] != words[1]:
        return f"{words[0]} ({words[1]})" if named.children else words[0]
    return words[0] if words else "item"


def _parts(named: Named) -> list[Named]:
    """Return the named parts of an item; those of a nested item stand in its place."""
    if named.is_nested:
        return _parts(named.children[0]) or named.children
    return named.children


def value_text(named: Named) -> str:
    """Return a leaf as a person reads it: an enumeration by its word, with the number."""
    item = named.item
    if named.rule == "quarantined":
        code = item.value - QUARANTINED
        return f"quarantined, {NAMES.get(code, f'reject code {code}')} ({item.value})"
    if named.label == "kind":
        return f"{KIND_NAMES[item.value]} ({item.value})"
    if named.word:
        return f"{named.word} ({item.value})"
    if item.major == BYTES:
        return bytes_text(item.value)
    if item.major == ARRAY:
        return "[]"
    if item.major == MAP:
        return "{}"
    if isinstance(item.value, str):
        return f'"{printable(item.value)}"'
    if isinstance(item.value, Simple):
        return f"simple({item.value.value})"
    return (
        {None: "null", True: "true", False: "false"}.get(item.value, str(item.value))
        if item.major == 7
        else str(item.value)
    )


def bytes_text(value: bytes) -> str:
    """Return bytes as CBOR's diagnostic notation writes them, long ones cut."""
    if len(value) <= _BYTES_SHOWN:
        return f"h'{value.hex()}'"
    return f"h'{value[:_BYTES_SHOWN].hex()}...' ({len(value)} bytes)"


def sample_lines(events: list[Any]) -> list[str]:
    """Return the columns of a plaintext as one line a sample. events: its five items, as they were matched."""
    _, tick_base, order_base, columns, _ = events
    if not columns:
        return []
    try:
        samples = decode_samples(columns, order_base, tick_base)
    except ProtocolError as error:
        return [f"columns cannot be read: {error}"]
    count, _ = get_uvarint(columns, 0)
    lines = [f"columns: {count} samples of {len(samples[0][3][0])} channels, {len(columns)} bytes"]
    for order, tick, _, (values, qualities) in samples:
        said = [
            str(value) if value is not None else QUALITY_NAMES[quality]
            for value, quality in zip(values, qualities, strict=True)
        ]
        lines.append(f"{_INDENT}order {order}, tick {tick} ms: {', '.join(said)}")
    return lines


def json_of(named: Named) -> dict[str, Any]:
    """Return a tree as JSON objects: name, rule, offset, and value or items; bytes as hex text."""
    entry: dict[str, Any] = {"name": named.label, "rule": named.rule, "offset": named.item.start}
    inner = _parts(named)
    if inner:
        entry["items"] = [json_of(child) for child in inner]
        return entry
    value = plain(named.item)
    entry["value"] = {"simple": value.value} if isinstance(value, Simple) else value
    if isinstance(value, bytes):
        entry["value"] = value.hex()
    if named.word:
        entry["meaning"] = named.word
    return entry
