"""A reader of CDDL, as far as wire.cddl and rules/bundle.cddl use it: rules as a tree of types and groups.

What matches bytes against it is tools/cddl_match.py. The judge of both in the tests is cddl-verifier.

Source: RFC 8610 appendix B.
"""

import re
from dataclasses import dataclass
from typing import Any

UNBOUNDED = 1 << 32

_TOKEN = re.compile(
    r"""(?P<space>\s+|;[^\n]*)
    |(?P<bytes>h'[0-9a-fA-F\s]*'|'[^']*')
    |(?P<text>"[^"]*")
    |(?P<occurrence>\d*\*\d*(?!\w)|\d+\*\d*|\*\d+)
    |(?P<number>-?(0x[0-9a-fA-F]+|\d+))
    |(?P<control>\.[a-z]+)
    |(?P<name>[A-Za-z_@$][\w@$-]*)
    |(?P<symbol>=>|//|/=|\.\.\.|\.\.|[=/()\[\]{}<>,:&?+^#~.])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Name:
    """A type or group by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """One value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Span:
    """Integers low..high, both included."""

    low: Any
    high: Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several types, the first that fits."""

    options: tuple


@dataclass(frozen=True, slots=True)
class Group:
    """One of several sequences of entries."""

    alternatives: tuple


@dataclass(frozen=True, slots=True)
class Entry:
    """low..high times a value. label: its name for people; key: of a map, the type of its key."""

    low: int
    high: int
    label: str | None
    key: Any
    type: Any


@dataclass(frozen=True, slots=True)
class Box:
    """An array ("[") or a map ("{") of a group, or the enumeration ("&") that a group gives."""

    kind: str
    group: Any


@dataclass(frozen=True, slots=True)
class Control:
    """A type narrowed by a control operator."""

    type: Any
    operator: str
    argument: Any


@dataclass(frozen=True, slots=True)
class Major:
    """Any item of a major type; of major 7 the simple value whose number argument gives."""

    major: int
    argument: Any


def read_rules(text: str) -> dict[str, Any]:
    """Return name -> type or Group of every rule, in the order of the text. Raises ValueError with the line."""
    return _Parser(text).rules()


class _Parser:
    def __init__(self, text: str):
        self.tokens = _tokens(text)
        self.at = 0

    def rules(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.kind() != "end":
            name = self.take("name")
            self.expect("=")
            found[name] = self.group_in("(", ")") if self.sees("(") else self.type()
        return found

    def kind(self) -> str:
        return self.tokens[self.at][0]

    def word(self) -> str:
        return self.tokens[self.at][1]

    def sees(self, *symbols: str) -> bool:
        return self.kind() == "symbol" and self.word() in symbols

    def take(self, kind: str) -> str:
        if self.kind() != kind:
            raise self.error(kind)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def expect(self, symbol: str) -> None:
        if not self.sees(symbol):
            raise self.error(symbol)
        self.at += 1

    def accept(self, *symbols: str) -> bool:
        if self.sees(*symbols):
            self.at += 1
            return True
        return False

    def error(self, expected: str) -> ValueError:
        kind, word, line = self.tokens[self.at]
        return ValueError(f"line {line}: {expected} expected, not {word or kind}")

    def type(self) -> Any:
        options = [self.controlled()]
        while self.accept("/"):
            options.append(self.controlled())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def controlled(self) -> Any:
        left = self.simple()
        if self.sees("..", "..."):
            short = 1 if self.word() == "..." else 0
            self.at += 1
            right = self.simple()
            left = Span(left.value, right.value - short)
        while self.kind() == "control":
            operator = self.take("control")
            left = Control(left, operator, self.simple())
        return left

    def simple(self) -> Any:
        kind, word, _ = self.tokens[self.at]
        if kind in ("number", "bytes", "text"):
            self.at += 1
            return Literal(_literal(kind, word))
        if kind == "name":
            self.at += 1
            return Name(word)
        if self.accept("#"):
            return self.major()
        if self.accept("&"):
            return Box("&", self.group_in("(", ")")) if self.sees("(") else Box("&", self.simple())
        if self.sees("("):
            self.at += 1
            inner = self.type()
            self.expect(")")
            return inner
        for opening, closing in (("[", "]"), ("{", "}")):
            if self.sees(opening):
                return Box(opening, self.group_in(opening, closing))
        raise self.error("a type")

    def major(self) -> Major:
        words = self.take("number") if self.kind() == "number" else ""
        argument = None
        if self.kind() == "control":
            raise self.error("a number")
        if self.accept("."):
            argument = self.simple()
        return Major(int(words or 0), argument)

    def group_in(self, opening: str, closing: str) -> Group:
        self.expect(opening)
        alternatives: list[tuple] = []
        entries: list[Any] = []
        while not self.accept(closing):
            if self.accept("//"):
                alternatives.append(tuple(entries))
                entries = []
            else:
                entries.append(self.entry())
                self.accept(",")
        return Group((*alternatives, tuple(entries)))

    def entry(self) -> Any:
        low, high = self.occurrence()
        if self.sees("(") and not self._is_key_after():
            return Entry(low, high, None, None, self.group_in("(", ")"))
        first = self.type()
        self.accept("^")
        if self.accept("=>"):
            return Entry(low, high, _label(first), first, self.type())
        if self.accept(":"):
            label = first.name if isinstance(first, Name) else str(first.value)
            key = first if isinstance(first, Literal) else Literal(label)
            return Entry(low, high, label, key, self.type())
        return Entry(low, high, None, None, first)

    def _is_key_after(self) -> bool:
        """Whether the parenthesis at this place is a type before => and not a group."""
        depth = 0
        for i in range(self.at, len(self.tokens)):
            word = self.tokens[i][1] if self.tokens[i][0] == "symbol" else ""
            depth += (word == "(") - (word == ")")
            if depth == 0:
                return self.tokens[i + 1][1] == "=>"
        return False

    def occurrence(self) -> tuple[int, int]:
        if self.accept("?"):
            return 0, 1
        if self.accept("+"):
            return 1, UNBOUNDED
        if self.kind() == "occurrence":
            low, _, high = self.take("occurrence").partition("*")
            return int(low or 0), int(high or UNBOUNDED)
        return 1, 1


def _label(key: Any) -> str | None:
    if isinstance(key, Box) and key.kind == "&" and len(key.group.alternatives[0]) == 1:
        return key.group.alternatives[0][0].label
    return None


def _literal(kind: str, word: str) -> Any:
    if kind == "number":
        return int(word, 0)
    if kind == "text":
        return word[1:-1]
    return bytes.fromhex(word[2:-1]) if word.startswith("h") else word[1:-1].encode()


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found = []
    at = 0
    line = 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"line {line}: {text[at]!r} is not CDDL")
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match.group(), line))
        line += match.group().count("\n")
        at = match.end()
    return [*found, ("end", "", line)]
