"""Hosts only: where each key and value of a TOML text stands, which no library tells.

The text must already have been accepted by tomllib: this scanner follows the grammar's shape and checks nothing.
A path is a tuple of keys and list indices, as tomllib nests them: ("devices", 0, "name").
Source: TOML 1.0.0, sections Keys, Table, Array of Tables, Inline Table.
"""

import tomllib
from typing import NamedTuple

_BLANK = " \t"
_SPACE = " \t\n"
_BARE_KEY_END = " \t=.]"
_SCALAR_END = ",]}#\n"

Path = tuple[str | int, ...]


class Span(NamedTuple):
    """A run of characters on one line: line and column count from 1, length from the column on."""

    line: int
    column: int
    length: int


class Place(NamedTuple):
    """Where one entry stands: its key, and its value (the key again for a [table])."""

    key: Span
    value: Span


def locate(text: str) -> dict[Path, Place]:
    """Return the place of each key, table and list item of text, by path."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.places


class _Scanner:
    """Walks the text once. table is the path of the [table] that bare keys belong to."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.table: Path = ()
        self.places: dict[Path, Place] = {}
        self.counts: dict[Path, int] = {}

    def document(self) -> None:
        while self._skip(_SPACE):
            if self.text.startswith("[[", self.at):
                self._header(2)
            elif self.text[self.at] == "[":
                self._header(1)
            else:
                self._pair(self.table)

    def _header(self, brackets: int) -> None:
        self._advance(brackets)
        keys = self._keys()
        self._skip(_BLANK)
        self._advance(brackets)
        names = [name for name, _ in keys]
        parent = self._resolve(names[:-1])
        path: Path = (*parent, names[-1])
        span = keys[-1][1]
        if brackets == 2:
            index = self.counts.get(path, 0)
            self.counts[path] = index + 1
            self.places.setdefault(path, Place(span, span))
            path = (*path, index)
        else:
            path = self._resolve(names)
        self._name_parents((), keys[:-1])
        self.places[path] = Place(span, span)
        self.table = path

    def _resolve(self, names: list[str]) -> Path:
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def _name_parents(self, base: Path, keys: list[tuple[str, Span]]) -> None:
        path = base
        for name, span in keys:
            path = (*path, name)
            self.places.setdefault(path, Place(span, span))
            if path in self.counts:
                path = (*path, self.counts[path] - 1)

    def _pair(self, base: Path) -> None:
        keys = self._keys()
        self._name_parents(base, keys[:-1])
        self._skip(_BLANK)
        self._advance(1)
        self._skip(_BLANK)
        path = (*base, *(name for name, _ in keys))
        self._value(path, keys[-1][1])

    def _keys(self) -> list[tuple[str, Span]]:
        keys = []
        while True:
            self._skip(_BLANK)
            start = self.at
            if self.text[self.at] in "\"'":
                self._string()
                name = tomllib.loads("k = " + self.text[start : self.at])["k"]
            else:
                while self.text[self.at] not in _BARE_KEY_END:
                    self._advance(1)
                name = self.text[start : self.at]
            keys.append((name, self._span(start)))
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return keys
            self._advance(1)

    def _value(self, path: Path, key: Span | None) -> None:
        start, line, line_start = self.at, self.line, self.line_start
        first = self.text[self.at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._scalar()
        # A value of many lines is marked on its first line only.
        line_end = self.text.find("\n", start)
        stop = self.at if line_end < 0 else min(self.at, line_end)
        span = Span(line, start - line_start + 1, len(self.text[start:stop].rstrip()))
        self.places[path] = Place(key or span, span)

    def _scalar(self) -> None:
        while self.at < len(self.text) and self.text[self.at] not in _SCALAR_END:
            self._advance(1)

    def _array(self, path: Path) -> None:
        self._advance(1)
        index = 0
        while self._skip(_SPACE + ",") and self.text[self.at] != "]":
            self._value((*path, index), None)
            index += 1
        self._advance(1)

    def _inline_table(self, path: Path) -> None:
        self._advance(1)
        while self._skip(_SPACE + ",") and self.text[self.at] != "}":
            self._pair(path)
        self._advance(1)

    def _string(self) -> None:
        quote = self.text[self.at]
        if not self.text.startswith(quote * 3, self.at):
            self._advance(1)
            self._until(quote)
            return
        self._advance(3)
        self._until(quote * 3)
        # Up to two quotes may stand before the closing three.
        while self.text[self.at : self.at + 1] == quote:
            self._advance(1)

    def _until(self, end: str) -> None:
        while not self.text.startswith(end, self.at):
            self._advance(2 if end[0] == '"' and self.text[self.at] == "\\" else 1)
        self._advance(len(end))

    def _skip(self, characters: str) -> bool:
        """Skip characters, and comments where newlines may be skipped; say whether text is left."""
        while self.at < len(self.text):
            ch = self.text[self.at]
            if ch == "#" and "\n" in characters:
                while self.at < len(self.text) and self.text[self.at] != "\n":
                    self._advance(1)
            elif ch in characters:
                self._advance(1)
            else:
                return True
        return False

    def _advance(self, count: int) -> None:
        for ch in self.text[self.at : self.at + count]:
            self.at += 1
            if ch == "\n":
                self.line += 1
                self.line_start = self.at

    def _span(self, start: int) -> Span:
        return Span(self.line, start - self.line_start + 1, self.at - start)
