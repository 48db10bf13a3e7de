"""One shape for every mistake: readable for people, exact for machines, harmless for terminals."""

import io
import json

import pytest

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError, has_color, show, suggest

WRONG_PORT = Diagnostic(
    "settings-out-of-range", "port is 70000", "site.toml", 12, 8, "port = 70000", 5, "write 1 to 65535"
)


def test_text_shows_place_line_caret_and_fix():
    """A person sees what, where, the line itself and the way out."""
    expected = (
        "error[settings-out-of-range] site.toml:12:8: port is 70000\n"
        "  12 | port = 70000\n"
        "     |        ^^^^^\n"
        "  fix: write 1 to 65535"
    )

    assert WRONG_PORT.text() == expected


def test_text_without_a_place_is_one_line_and_its_fix():
    """A mistake on the command line has no file to show."""
    text = Diagnostic("usage-wrong", "too many arguments", fix="see --help").text()

    assert text == "error[usage-wrong] too many arguments\n  fix: see --help"


@pytest.mark.parametrize(
    ("excerpt", "column", "length", "caret"),
    [
        ("\tport = 1", 9, 1, "        ^"),
        ("名前 = 1", 6, 1, "       ^"),
        ("e\u0301 = 1", 6, 1, "    ^"),
        ("x", 1, 0, "^"),
        ("x", 9, 3, " ^"),
        ("abc", 2, 99, " ^^"),
    ],
)
def test_caret_stands_under_the_marked_characters(excerpt, column, length, caret):
    """Tabs, wide and combining characters do not move the caret; it never leaves the line."""
    lines = Diagnostic("usage-wrong", "m", "f", 1, column, excerpt, length).text().split("\n")

    assert lines[2] == "    | " + caret


def test_long_line_is_cut_around_the_caret():
    """A line of a megabyte is shown by its part around the mistake."""
    text = Diagnostic("usage-wrong", "m", "f", 1, 5001, "a" * 5000 + "BAD" + "b" * 5000, 3).text()
    shown, caret = (line[6:] for line in text.split("\n")[1:3])

    assert len(text) < 300
    assert shown[caret.index("^") :].startswith("BAD")


def test_control_characters_never_reach_the_terminal():
    """A file's name, text or line cannot steer the terminal of who reads about it."""
    text = Diagnostic("usage-wrong", "a\x1b[2Jb\nc", "f\x07", 1, 1, "\x1b]0;x\x07", 1, "\x9b1m").text(
        color=True
    )
    plain = text.replace("\x1b[1;31m", "").replace("\x1b[0m", "")

    assert all(ch.isprintable() for ch in plain.replace("\n", ""))
    assert "\\x1b[2J" in plain


def test_json_holds_what_is_known_and_nothing_else():
    """Absent parts are left out, and the document names its schema."""
    stream = io.StringIO()
    show([WRONG_PORT, Diagnostic("usage-wrong", "m")], as_json=True, stream=stream)
    document = json.loads(stream.getvalue())

    assert (document["schema"], document["version"]) == ("outstation.diagnostics", 1)
    assert document["diagnostics"][0]["column"] == 8
    assert set(document["diagnostics"][1]) == {"code", "message", "length", "severity"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("no_color", "term", "stream", "expected"),
    [
        (None, "xterm", Terminal, True),
        ("", "xterm", Terminal, True),
        ("1", "xterm", Terminal, False),
        (None, "dumb", Terminal, False),
        (None, "xterm", io.StringIO, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, no_color, term, stream, expected):
    """NO_COLOR, a dumb terminal and a pipe all turn colours off."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    target = stream()
    show([WRONG_PORT], stream=target)

    assert has_color(stream()) is expected
    assert ("\x1b" in target.getvalue()) is expected


def test_error_carries_every_diagnostic_and_its_exit_code():
    """What is raised holds all that was found."""
    assert DiagnosticError([WRONG_PORT, WRONG_PORT], 3).exit_code == 3
    assert len(DiagnosticError([WRONG_PORT, WRONG_PORT]).diagnostics) == 2
    assert DiagnosticError(WRONG_PORT).diagnostics == [WRONG_PORT]
    assert DiagnosticError(WRONG_PORT).exit_code == USAGE


@pytest.mark.parametrize(
    ("word", "expected"), [("gatway", "gateway"), ("GATEWAY", "gateway"), ("zzz", None), ("", None)]
)
def test_suggestion_is_near_or_absent(word, expected):
    """A misspelt word finds its neighbour; a foreign word finds nothing."""
    assert suggest(word, ["gateway", "office"]) == expected
