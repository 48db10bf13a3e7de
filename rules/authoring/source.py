"""YAML as nodes that know where they stand: file, line, column of every key and every scalar, and of each character in it.

Scalars stay text; whoever needs a number or a duration asks for one and reports at the node. Anchors are refused: they
make a small file large, and a reader loses where a value comes from.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from protocol.diagnostic import Diagnostic

FILE_BYTES_MAX = 256 * 1024
_DEPTH_MAX = 24
TICK_MS = 100
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d)\s*)+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read."""

    path: str
    text: str
    lines: list[str]

    def mistake(self, code: str, message: str, index: int, length: int = 1, **more: Any) -> Diagnostic:
        """Return a diagnostic at a character of the file."""
        before = self.text[:index]
        line = before.count("\n") + 1
        column = index - (before.rfind("\n") + 1) + 1
        excerpt = self.lines[line - 1] if line <= len(self.lines) else ""
        length = max(1, min(length, len(excerpt) - column + 1))
        return Diagnostic(code, message, self.path, line, column, excerpt, length, **more)


@dataclass(eq=False, slots=True)
class Node:
    """A scalar (text), a list (items) or a map (entries: key -> (key's node, value)); kind says which."""

    source: Source
    start: int
    stop: int
    kind: str
    text: str = ""
    items: list["Node"] = field(default_factory=list)
    entries: dict[str, tuple["Node", "Node"]] = field(default_factory=dict)

    def mistake(self, code: str, message: str, fix: str | None = None, **more: Any) -> Diagnostic:
        """Return a diagnostic that underlines this node."""
        length = self.stop - self.start if self.kind == "text" else 1
        return self.source.mistake(code, message, self.start, length, fix=fix, **more)

    def mistake_at(
        self, code: str, message: str, start: int, stop: int, fix: str | None = None, severity: str = "error"
    ) -> Diagnostic:
        """Return a diagnostic that underlines characters start..stop of a scalar's text."""
        first = self._index(start)
        last = self._index(max(start, stop - 1)) + 1
        return self.source.mistake(code, message, first, last - first, fix=fix, severity=severity)

    def _index(self, offset: int) -> int:
        """Return where a character of the text stands in the file: quotes, indents and folded lines are stepped over."""
        raw, position, found = self.source.text, self.start, self.start
        for character in self.text[: offset + 1]:
            if character.isspace():
                continue
            while position < self.stop and raw[position] != character:
                position += 1
            found = position
            position += 1
        return min(found + (offset >= len(self.text)), self.stop)


class Unreadable(Exception):
    """The text is no YAML of ours. Who must act: its author. diagnostic says where."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def read_source(text: str, path: str) -> tuple[Node, list[Diagnostic]]:
    """Return the root node of a YAML document and the mistakes found in it. Raises Unreadable if it cannot be read at all."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    source = Source(path, text, text.split("\n"))
    if len(text.encode()) > FILE_BYTES_MAX:
        message = f"a policy of {len(text.encode())} bytes exceeds {FILE_BYTES_MAX}"
        raise Unreadable(Diagnostic("rules-file", message, path, fix="split it, or check the path"))
    try:
        events = list(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context or "cannot be read").replace("\n", " ")
        index = min(mark.index, len(text)) if mark else 0
        raise Unreadable(
            source.mistake("rules-yaml", f"this is not YAML: {problem}", index, fix="mend the place shown")
        ) from None
    except YAMLError as error:
        raise Unreadable(
            Diagnostic("rules-yaml", f"this is not YAML: {error}".split("\n")[0], path)
        ) from None
    return _Builder(source, events).document()


class _Builder:
    def __init__(self, source: Source, events: list[Any]):
        self.source = source
        self.mistakes: list[Diagnostic] = []
        self._events = iter([e for e in events if not _is_frame(e)])

    def document(self) -> tuple[Node, list[Diagnostic]]:
        first = next(self._events, None)
        if first is None:
            return Node(self.source, 0, 0, "map"), self.mistakes
        root = self._node(first, 0)
        second = next(self._events, None)
        if second is not None:
            at = second.start_mark.index
            raise Unreadable(self.source.mistake("rules-yaml", "a policy is one document, not several", at))
        return root, self.mistakes

    def _node(self, event: Any, depth: int) -> Node:
        kind = type(event).__name__
        start, stop = event.start_mark.index, event.end_mark.index
        if depth > _DEPTH_MAX or kind == "AliasEvent" or getattr(event, "anchor", None):
            what = (
                "nested too deeply" if depth > _DEPTH_MAX else "anchors and aliases are not part of policies"
            )
            raise Unreadable(self.source.mistake("rules-yaml", what, start, stop - start, fix="write it out"))
        if kind == "ScalarEvent":
            return Node(self.source, start, stop, "text", text=event.value)
        if kind == "SequenceStartEvent":
            node = Node(self.source, start, stop, "list")
            while (inner := next(self._events)).__class__.__name__ != "SequenceEndEvent":
                node.items.append(self._node(inner, depth + 1))
            return node
        return self._map(Node(self.source, start, stop, "map"), depth)

    def _map(self, node: Node, depth: int) -> Node:
        while (event := next(self._events)).__class__.__name__ != "MappingEndEvent":
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key.kind != "text":
                self.mistakes.append(key.mistake("rules-wrong-value", "a key is a word"))
            elif key.text in node.entries:
                first = self.source.text[: node.entries[key.text][0].start].count("\n") + 1
                message = f"{key.text} stands here a second time; the first is in line {first}"
                self.mistakes.append(key.mistake("rules-duplicate", message, fix="remove one of them"))
            else:
                node.entries[key.text] = (key, value)
        return node


def _is_frame(event: Any) -> bool:
    return type(event).__name__ in (
        "StreamStartEvent",
        "StreamEndEvent",
        "DocumentStartEvent",
        "DocumentEndEvent",
    )


def number(text: str) -> Fraction | None:
    """Return the decimal number that text is, exactly, or None."""
    return Fraction(text) if len(text) <= 40 and _NUMBER.fullmatch(text) else None


def ticks(text: str) -> Fraction | None:
    """Return a duration such as 108s or 1h30m in ticks of 100 ms (not always whole), or None if text is none."""
    stripped = text.strip()
    if len(stripped) > 40 or not _DURATION.fullmatch(stripped):
        return None
    parts = [Fraction(amount) * _UNIT_MS[unit] for amount, unit in _PART.findall(stripped)]
    return sum(parts, Fraction(0)) / TICK_MS


def shown_ticks(count: int) -> str:
    """Return ticks as a person writes them: 1080 is 1m48s."""
    rest, parts = count * TICK_MS, []
    for unit in ("d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, _UNIT_MS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def decimals(value: Fraction) -> int:
    """Return how many decimal places value needs; it must be a decimal number."""
    places = 0
    while value.denominator != 1:
        value, places = value * 10, places + 1
    return places


def shown_number(raw: int, scale: int) -> str:
    """Return raw * 10**scale as decimal text, with as many places as the scale has."""
    if scale >= 0:
        return str(raw * 10**scale)
    digits = str(abs(raw)).rjust(1 - scale, "0")
    return ("-" if raw < 0 else "") + digits[:scale] + "." + digits[scale:]
