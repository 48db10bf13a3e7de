"""Hosts only: reads a settings file (TOML) into a frozen msgspec.Struct, and names every mistake at once.

Limits are written on the Struct with msgspec.Meta (ge, le, pattern, min_length, description); this module turns each
mistake into a Diagnostic with file, line, column, the line itself and what to write instead.
A field of type pathlib.Path is taken relative to the folder of the settings file.
"""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from protocol.diagnostic import NOT_ALLOWED, USAGE, Diagnostic, DiagnosticError, suggest
from protocol.settings_check import TOML_TYPES, Mistake, find_mistakes, name_of, path_hook
from protocol.toml_positions import Place, Span, locate

SETTINGS_BYTES_MAX = 256 * 1024

_SYNTAX_PLACE = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


def read_settings(path: str | Path, struct: type[SettingsT], *, has_secrets: bool = False) -> SettingsT:
    """Return the settings of the file at path as one struct. has_secrets: no mistake shows a line of it, or a value.

    Raises DiagnosticError (exit 2) with every mistake in the file: unreadable, not TOML, unknown keys, missing keys,
    wrong types, values out of range.
    """
    try:
        return _read_settings(Path(path), struct, has_secrets)
    except DiagnosticError as error:
        if not has_secrets:
            raise
        hidden = [replace(one, excerpt=None) for one in error.diagnostics]
        raise DiagnosticError(hidden, error.exit_code) from None


def _read_settings(file: Path, struct: type[SettingsT], has_secrets: bool) -> SettingsT:
    text = _read_text(file)
    document = _parse(file, text)
    mistakes = find_mistakes(document, struct)
    if mistakes:
        shown = [_without_value(one) for one in mistakes] if has_secrets else mistakes
        raise DiagnosticError(_locate_mistakes(file, text, shown))
    try:
        return msgspec.convert(document, struct, builtin_types=TOML_TYPES, dec_hook=path_hook(file.parent))
    except msgspec.ValidationError as error:
        # Only what a Struct checks by itself (__post_init__) is left here.
        raise DiagnosticError(_locate_mistakes(file, text, [Mistake.refused(str(error))])) from None


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        exit_code = NOT_ALLOWED if isinstance(error, PermissionError) else USAGE
        raise DiagnosticError(_unreadable(file, error), exit_code) from None
    if len(content) > SETTINGS_BYTES_MAX:
        message = f"the settings file has more than {SETTINGS_BYTES_MAX} bytes"
        raise DiagnosticError(
            Diagnostic("settings-too-large", message, str(file), fix="is this the right file?")
        )
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DiagnosticError(_not_utf8(file, content, error)) from None


def _unreadable(file: Path, error: OSError) -> Diagnostic:
    if isinstance(error, FileNotFoundError):
        near = _nearest_file(file)
        fix = f"did you mean {near}?" if near else "check the path, or write the file"
    elif isinstance(error, IsADirectoryError):
        fix = "name a file in it, not the folder"
    elif isinstance(error, PermissionError):
        fix = f"make it readable for this user: chmod u+r {file}"
    else:
        fix = "check the path"
    reason = error.strerror or str(error)
    return Diagnostic(
        "settings-unreadable", f"the settings file cannot be read: {reason}", str(file), fix=fix
    )


def _nearest_file(file: Path) -> str | None:
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix == ".toml"]
    except OSError:
        return None
    near = suggest(file.name, names)
    return str(file.parent / near) if near else None


def _not_utf8(file: Path, content: bytes, error: UnicodeDecodeError) -> Diagnostic:
    # utf-8-sig counts from after the mark, and a mark may only be the first three bytes.
    before = content.removeprefix(b"\xef\xbb\xbf")[: error.start].decode("utf-8", "replace")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    excerpt = content.decode("utf-8", "replace").split("\n")[line - 1].removeprefix("\ufeff").rstrip("\r")
    return Diagnostic(
        "settings-not-utf8",
        f"byte 0x{content.removeprefix(bytes([0xEF, 0xBB, 0xBF]))[error.start]:02x} is not UTF-8 text",
        str(file),
        line,
        column,
        excerpt,
        fix="save the file as UTF-8",
    )


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "lists or tables are nested too deeply"
        raise DiagnosticError(Diagnostic("settings-syntax", message, str(file), fix="flatten them")) from None
    except ValueError as error:
        raise DiagnosticError(_syntax_error(file, text, str(error))) from None


def _syntax_error(file: Path, text: str, reason: str) -> Diagnostic:
    lines = text.split("\n")
    match = _SYNTAX_PLACE.search(reason)
    line = column = None
    if match:
        reason = reason[: match.start()]
        # At the end of the document, the last line that says something is the one to look at.
        last = len(text.rstrip().split("\n"))
        line = int(match[1]) if match[1] else last
        column = int(match[2]) if match[2] else len(lines[last - 1]) + 1
    excerpt = lines[line - 1] if line is not None and line <= len(lines) else None
    return Diagnostic(
        "settings-syntax",
        f"not valid TOML: {reason[:1].lower()}{reason[1:]}",
        str(file),
        line,
        column,
        excerpt,
        fix='write one key = value a line; text stands in quotes: name = "site-1"',
    )


def _locate_mistakes(file: Path, text: str, mistakes: list[Mistake]) -> list[Diagnostic]:
    places = locate(text)
    lines = text.split("\n")
    found = []
    for mistake in mistakes:
        span = _span(places, mistake)
        excerpt = lines[span.line - 1]
        found.append(
            Diagnostic(
                mistake.code,
                mistake.message,
                str(file),
                span.line,
                span.column,
                excerpt,
                span.length,
                mistake.fix,
            )
        )
    return sorted(found, key=lambda diagnostic: (diagnostic.line or 0, diagnostic.column or 0))


def _without_value(mistake: Mistake) -> Mistake:
    message = f"{name_of(mistake.path)} is not what it must be"
    return mistake if mistake.at_key else mistake._replace(message=message)


def _span(places: dict[tuple[str | int, ...], Place], mistake: Mistake) -> Span:
    """Return where to point: at the entry, or at the nearest table around it that the text names."""
    path = mistake.path
    while path and path not in places:
        path = path[:-1]
    if path in places:
        return places[path].key if mistake.at_key else places[path].value
    return Span(1, 1, 1)
