"""A settings file is read whole or refused with every mistake named at its place."""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from protocol.diagnostic import USAGE, DiagnosticError
from protocol.settings import SETTINGS_BYTES_MAX, read_settings

Port = Annotated[int, Meta(ge=1, le=65535, description="UDP port to listen on")]


class Link(msgspec.Struct, frozen=True):
    kind: Literal["udp", "ble", "serial"]
    port: Port = 5683


class Settings(msgspec.Struct, frozen=True):
    site: Annotated[str, Meta(pattern="^[a-z0-9-]+$")]
    store: Path = Path("gateway.db")
    retry_delay_s: Annotated[float, Meta(gt=0, le=60)] = 1.0
    verbose: bool = False
    office: Link | None = None
    link: list[Link] = []
    limits: dict[str, Annotated[int, Meta(ge=0)]] = {}
    ports: Annotated[list[Port], Meta(min_length=1)] = []

    def __post_init__(self):
        if self.verbose and self.retry_delay_s < 0.5:
            raise ValueError("verbose needs retry_delay_s of 0.5 or more")


def mistakes(tmp_path, text, struct=Settings):
    path = tmp_path / "site.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DiagnosticError) as caught:
        read_settings(path, struct)
    assert caught.value.exit_code == USAGE
    assert all(d.file == str(path) for d in caught.value.diagnostics)
    return caught.value.diagnostics


def test_right_file_becomes_one_frozen_struct(tmp_path):
    """Values, defaults and nested tables arrive as declared; paths start at the file's folder."""
    path = tmp_path / "site.toml"
    path.write_text(
        'site = "a-1"\nstore = "x.db"\nretry_delay_s = 2\n[[link]]\nkind = "ble"\n[limits]\nrows = 5\n'
    )

    settings = read_settings(path, Settings)

    assert settings == Settings("a-1", tmp_path / "x.db", 2.0, link=[Link("ble")], limits={"rows": 5})


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_windows_files_are_read_too(tmp_path, prefix):
    """A byte order mark and carriage returns change nothing."""
    path = tmp_path / "site.toml"
    path.write_bytes(prefix + b'site = "a"\r\nverbose = false\r\n')

    assert read_settings(str(path), Settings) == Settings("a")


ONE_MISTAKE = [
    ("", "settings-missing-key", 1, 1, "the key site is missing"),
    ('sit = "a"', "settings-unknown-key", 1, 1, "unknown key sit"),
    ('site = "a"\nzzz = 1', "settings-unknown-key", 2, 1, "unknown key zzz"),
    ("site = 3", "settings-wrong-type", 1, 8, "site is 3: expected text in quotes"),
    ('site = "A b"', "settings-out-of-range", 1, 8, "matching regex"),
    ('site = "a"\nretry_delay_s = 0', "settings-out-of-range", 2, 17, "a number above 0"),
    ('site = "a"\nretry_delay_s = 61.5', "settings-out-of-range", 2, 17, "a number at most 60"),
    ('site = "a"\nretry_delay_s = nan', "settings-out-of-range", 2, 17, "nan"),
    ('site = "a"\nverbose = 1', "settings-wrong-type", 2, 11, "expected true or false"),
    ('site = "a"\nstore = 3', "settings-wrong-type", 2, 9, "store is 3"),
    ('site = "a"\noffice = 3', "settings-wrong-type", 2, 10, "office is 3: expected a table"),
    (
        'site = "a"\n[office]\nkind = "udp"\nport = 70000',
        "settings-out-of-range",
        4,
        8,
        "office.port is 70000",
    ),
    ('site = "a"\n[office]\nport = 7', "settings-missing-key", 2, 2, "the key kind is missing in office"),
    ('site = "a"\noffice = { kind = "upd" }', "settings-out-of-range", 2, 19, 'office.kind is "upd"'),
    ('site = "a"\nlink = 3', "settings-wrong-type", 2, 8, "expected a list"),
    ('site = "a"\n[link]\nkind = "udp"', "settings-wrong-type", 2, 2, "link is a table: expected a list"),
    (
        'site = "a"\n[[link]]\nkind = "udp"\n[[link]]\nknd = "udp"',
        "settings-unknown-key",
        5,
        1,
        "knd in link[2]",
    ),
    ('site = "a"\n[[link]]\nkind = "udp"\nport = "x"', "settings-wrong-type", 4, 8, 'link[1].port is "x"'),
    ('site = "a"\nlink = [{ kind = "udp", port = 0 }]', "settings-out-of-range", 2, 32, "link[1].port is 0"),
    ('site = "a"\n[limits]\nrows = -1', "settings-out-of-range", 3, 8, "limits.rows is -1"),
    ('site = "a"\nports = []', "settings-out-of-range", 2, 9, "a list of 0"),
    ('site = "a"\nports = [\n  80,\n  0,\n]', "settings-out-of-range", 4, 3, "ports[2] is 0"),
    (
        'site = "a"\nverbose = true\nretry_delay_s = 0.1',
        "settings-refused",
        1,
        1,
        "verbose needs retry_delay_s",
    ),
    ('site = "a', "settings-syntax", 1, 10, "not valid TOML"),
    ('site = "a"\nsite = "b"\n', "settings-syntax", 2, 11, "not valid TOML"),
    ("site = [1,\n", "settings-syntax", 1, 11, "not valid TOML"),
    ("site = 2024-13-45\n", "settings-syntax", 1, 12, "not valid TOML"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "message"), ONE_MISTAKE)
def test_one_mistake_is_named_at_its_place(tmp_path, text, code, line, column, message):
    """A wrong file gives exactly its mistake: code, line, column, the line itself and a way out."""
    (found,) = mistakes(tmp_path, text)

    assert (found.code, found.line, found.column) == (code, line, column)
    assert message in found.message
    assert found.fix
    assert found.excerpt == (text.split("\n")[line - 1])


def test_all_mistakes_are_named_in_one_run_in_the_order_of_the_file(tmp_path):
    """A person mends a file once, not once for each mistake in it."""
    text = 'sit = "a"\nretry_delay_s = 0\nverbose = 2\n[[link]]\nkind = "upd"\nport = 0\n[office]\nprt = 1\n'

    found = mistakes(tmp_path, text)

    assert [d.line for d in found] == [1, 2, 3, 5, 6, 7, 8]
    assert found[0].fix == "did you mean site?"
    assert found[3].fix == 'did you mean "udp"?'
    assert found[-1].fix == "did you mean port?"


def test_range_is_said_in_the_fix(tmp_path):
    """The way out of a wrong number is both of its limits."""
    (found,) = mistakes(tmp_path, 'site = "a"\nports = [70000]')

    assert found.fix == "write a whole number from 1 to 65535"


def test_missing_file_suggests_the_one_that_is_there(tmp_path):
    """A misspelt name is answered with the file beside it."""
    (tmp_path / "gateway.toml").write_text("")

    with pytest.raises(DiagnosticError) as caught:
        read_settings(tmp_path / "gatway.toml", Settings)

    assert caught.value.diagnostics[0].code == "settings-unreadable"
    assert caught.value.diagnostics[0].fix == f"did you mean {tmp_path / 'gateway.toml'}?"


def test_folder_in_place_of_a_file_is_named(tmp_path):
    """A folder is no settings file, and the message says so."""
    with pytest.raises(DiagnosticError) as caught:
        read_settings(tmp_path, Settings)

    assert caught.value.diagnostics[0].code == "settings-unreadable"
    assert "folder" in caught.value.diagnostics[0].fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_rights_is_named(tmp_path):
    """A file that this user may not read is answered with the command that mends it."""
    path = tmp_path / "site.toml"
    path.write_text("")
    path.chmod(0)

    with pytest.raises(DiagnosticError) as caught:
        read_settings(path, Settings)

    assert "chmod" in caught.value.diagnostics[0].fix


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b'site = "a"\nx = "\xff"', 2, 6),
        (b"\xff", 1, 1),
        (b'\xef\xbb\xbfx = "\xc3"', 1, 6),
        (b"\xff\xfes\0i\0", 1, 1),
    ],
)
def test_file_that_is_not_utf8_is_named_at_the_byte(tmp_path, content, line, column):
    """The first byte that is no UTF-8 is shown with its line and column."""
    (found,) = mistakes(tmp_path, content)

    assert (found.code, found.line, found.column) == ("settings-not-utf8", line, column)


def test_huge_file_is_refused_without_reading_it_all(tmp_path):
    """A file that is no settings file does not fill memory."""
    (found,) = mistakes(tmp_path, b"#" * (SETTINGS_BYTES_MAX + 1))

    assert found.code == "settings-too-large"


@pytest.mark.parametrize("text", ["x = " + "[" * 5000 + "]" * 5000, "x = " + "9" * 5000])
def test_hostile_values_end_in_a_diagnostic(tmp_path, text):
    """Deep nesting and endless numbers are refused like any other mistake."""
    assert mistakes(tmp_path, text)[0].code.startswith("settings-")


@pytest.mark.parametrize(
    "entry",
    [
        b'site = "NOT-TO-BE-SEEN"',
        b'site = "NOT-TO-BE-SEEN',
        b"site = NOT-TO-BE-SEEN",
        b'site = "NOT-TO-BE-SEEN\xff"',
    ],
    ids=["value", "quote", "bare", "bytes"],
)
def test_mistake_in_a_file_with_secrets_shows_none_of_it(tmp_path, entry):
    """Its place and what to write, and neither the line nor the value."""
    path = tmp_path / "links.toml"
    path.write_bytes(entry + b"\n")
    with pytest.raises(DiagnosticError) as caught:
        read_settings(path, Settings, has_secrets=True)
    (said,) = caught.value.diagnostics

    assert "SEEN" not in str(caught.value) + str(said.as_json())
    assert (1, True) == (said.line, said.fix is not None)
