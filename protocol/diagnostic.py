"""Hosts only, never frozen: one shape for every error in something that a person wrote or typed.

A Diagnostic says what is wrong (a stable code and a plain sentence), where (file, line, column, the line itself) and
what to do next. The code never changes its meaning; protocol/codes.py explains each, and `outstation explain CODE` prints it.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TextIO

OK = 0
FINDING = 1
USAGE = 2
UNREACHABLE = 3
NOT_ALLOWED = 4
INTERNAL = 70
TRY_AGAIN = 75
INTERRUPTED = 130

DIAGNOSTICS_SCHEMA = "outstation.diagnostics"
DIAGNOSTICS_VERSION = 1

# Wider lines are cut around the caret: a person looks at one place, and a terminal wraps.
_EXCERPT_COLUMNS_MAX = 100
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m"}
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: what, where and what to do next.

    code: one of protocol.codes.CODES. message: one plain sentence without a full stop at its end.
    line, column: 1-based; column counts characters. excerpt: that line as it stands in the file.
    length: how many characters the caret underlines. severity: "error", "warning" or "note".
    """

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None
    length: int = 1
    fix: str | None = None
    severity: str = "error"

    def text(self, color: bool = False) -> str:
        """Return the diagnostic as lines for a terminal, without a newline at the end."""
        head = f"{self.severity}[{self.code}]"
        if color:
            head = f"{_COLOURS.get(self.severity, _BOLD)}{head}{_RESET}"
        lines = [" ".join(part for part in (head, self._place(), printable(self.message)) if part)]
        if self.excerpt is not None and self.line is not None:
            lines += self._excerpt_lines(color)
        if self.fix:
            lines.append(f"  fix: {printable(self.fix)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return the diagnostic as a JSON object; absent parts are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def _place(self) -> str:
        if self.file is None:
            return ""
        numbers = [str(n) for n in (self.line, self.column) if n is not None]
        return ":".join([printable(self.file), *numbers]) + ":"

    def _excerpt_lines(self, color: bool) -> list[str]:
        gutter = str(self.line)
        before, marked, after = _cut(self.excerpt or "", (self.column or 1) - 1, self.length)
        lines = [f"  {gutter} | {before}{marked}{after}"]
        if self.column is not None:
            caret = "^" * max(1, _width(marked))
            if color:
                caret = f"{_COLOURS.get(self.severity, _BOLD)}{caret}{_RESET}"
            lines.append(f"  {' ' * len(gutter)} | {' ' * _width(before)}{caret}")
        return lines


class DiagnosticError(Exception):
    """Something a person wrote or asked for cannot be used; carries every mistake that was found.

    Who must act: the person at the command. The command's top level shows the diagnostics and ends with exit_code.
    """

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic], exit_code: int = USAGE):
        self.diagnostics = [diagnostics] if isinstance(diagnostics, Diagnostic) else list(diagnostics)
        self.exit_code = exit_code
        super().__init__("\n".join(diagnostic.text() for diagnostic in self.diagnostics))


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that word most likely was meant to be, or None."""
    import difflib

    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def show(diagnostics: Iterable[Diagnostic], *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Print diagnostics: for people on standard error, as one JSON document on standard output."""
    if as_json:
        body = [diagnostic.as_json() for diagnostic in diagnostics]
        document = {"schema": DIAGNOSTICS_SCHEMA, "version": DIAGNOSTICS_VERSION, "diagnostics": body}
        print(json.dumps(document), file=stream or sys.stdout)
        return
    target = stream or sys.stderr
    for diagnostic in diagnostics:
        print(diagnostic.text(color=has_color(target)), file=target)


def has_color(stream: TextIO) -> bool:
    """Return whether to colour what goes to stream: a terminal, and NO_COLOR is not set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return text on one line in which control characters are spelled out: a file must not steer a terminal."""
    return "".join(ch if ch.isprintable() else _spelled(ch) for ch in text)


def _spelled(ch: str) -> str:
    if ch == "\t":
        return " "
    return f"\\x{ord(ch):02x}" if ord(ch) < 0x100 else f"\\u{ord(ch):04x}"


def _cut(excerpt: str, start: int, length: int) -> tuple[str, str, str]:
    start = min(max(start, 0), len(excerpt))
    stop = min(start + max(length, 1), len(excerpt))
    before, marked, after = excerpt[:start], excerpt[start:stop], excerpt[stop:]
    if len(excerpt) > _EXCERPT_COLUMNS_MAX:
        half = _EXCERPT_COLUMNS_MAX // 2
        before = before if len(before) <= half else "..." + before[-half:]
        marked = marked[:half]
        after = after if len(after) <= half else after[:half] + "..."
    return printable(before), printable(marked), printable(after)


def _width(text: str) -> int:
    return sum(_cells(ch) for ch in text)


def _cells(ch: str) -> int:
    if unicodedata.combining(ch):
        return 0
    return 2 if unicodedata.east_asian_width(ch) in "WF" else 1
