"""The command speaks plainly: help at once, one exit code for each end, and never a traceback."""

import json
import subprocess
import sys
import tomllib
import types

import click
import pytest

from protocol import diagnostic
from protocol.diagnostic import Diagnostic, DiagnosticError
from tools import VERSION, cli
from tools.device_types import ROOT

HEAVY = (
    "aiocoap",
    "asyncio",
    "cbor2",
    "cryptography",
    "fastapi",
    "httpx",
    "msgspec",
    "rich",
    "sqlite3",
    "tools.demo",
)


@pytest.fixture
def planted(monkeypatch):
    """Put a command named planted into the table; it does what the test says."""

    def plant(action):
        @click.command()
        @click.option("--count", type=int)
        @click.option("--json", "as_json", is_flag=True)
        def command(count, as_json):
            return action()

        module = types.ModuleType("planted_command")
        module.command = command
        monkeypatch.setitem(sys.modules, "planted_command", module)
        monkeypatch.setitem(cli.COMMANDS, "planted", cli.Lazy("planted_command:command", "Do it."))

    return plant


def raising(error):
    def action():
        raise error

    return action


def test_help_lists_every_command_and_imports_none():
    """The front page appears at once because no command's code is loaded for it."""
    script = (
        "import sys\nfrom tools.cli import run\ncode = run(['--help'])\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules], code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert all(name in result.stdout for name in cli.COMMANDS)
    assert "LOADED [] 0" in result.stdout


def test_version_is_that_of_the_distribution(capsys):
    """The command, the package and the wheel name one version."""
    assert cli.run(["--version"]) == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert capsys.readouterr().out == f"outstation {VERSION}\n"
    assert project["version"] == VERSION


@pytest.mark.parametrize(
    ("words", "code", "fix"),
    [
        (["gatway"], "usage-no-such-command", "did you mean gateway?"),
        (["explain", "--jsn"], "usage-no-such-option", "did you mean --json?"),
        (["zzzzz"], "usage-no-such-command", "see outstation --help"),
        (["explain", "a", "b"], "usage-wrong", "see outstation explain --help"),
        (["explain", "settings-sintax"], "explain-unknown-code", "did you mean settings-syntax?"),
    ],
)
def test_misspelt_word_is_answered_with_the_nearest(capsys, words, code, fix):
    """A wrong command line ends with exit code 2, its code and what to type."""
    assert cli.run(words) == diagnostic.USAGE
    said = capsys.readouterr().err

    assert f"error[{code}]" in said
    assert f"fix: {fix}" in said


def test_wrong_value_of_an_option_is_usage(planted, capsys):
    """A value of the wrong kind is refused before the command runs."""
    planted(raising(AssertionError("the command ran")))

    assert cli.run(["planted", "--count", "many"]) == diagnostic.USAGE
    assert "usage-wrong" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["explain", "--json", "--nope"], ["gatway", "--json"]])
def test_usage_errors_are_json_where_json_was_asked_for(capsys, words):
    """A program that reads JSON gets its errors as JSON on the same stream."""
    assert cli.run(words) == diagnostic.USAGE
    captured = capsys.readouterr()

    assert json.loads(captured.out)["schema"] == "outstation.diagnostics"
    assert captured.err == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["explain", "--json"], True),
        (["explain", "--", "--json"], False),
        (["demo", "--json", "out.json"], False),
        (["explain"], False),
    ],
)
def test_json_flag_is_told_from_a_file_name(words, expected):
    """The demo's --json names a file; its errors stay text."""
    assert cli.wants_json(words) is expected


@pytest.mark.parametrize("exit_code", [1, 2, 3, 4, 75])
def test_diagnostic_error_ends_with_its_own_exit_code(planted, capsys, exit_code):
    """Every diagnostic is shown, and the exit code is the one that was raised."""
    planted(raising(DiagnosticError([Diagnostic("a-b", "first"), Diagnostic("a-c", "second")], exit_code)))

    assert cli.run(["planted"]) == exit_code
    assert capsys.readouterr().err == "error[a-b] first\nerror[a-c] second\n"


@pytest.mark.parametrize(("result", "expected"), [(None, 0), (0, 0), (1, 1), (75, 75)])
def test_command_returns_its_exit_code(planted, result, expected):
    """None means that all is well."""
    planted(lambda: result)

    assert cli.run(["planted"]) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("tasks", [KeyboardInterrupt()])])
def test_interrupt_is_quiet(planted, capsys, error):
    """Ctrl-C ends a command without a word."""
    planted(raising(error))

    assert cli.run(["planted"]) == diagnostic.INTERRUPTED
    assert capsys.readouterr().err.strip() == ""


def test_unexpected_error_is_one_sentence_and_a_private_file(planted, capsys, monkeypatch, tmp_path):
    """The person reads what happened and where the traceback lies; only that user may read it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    planted(raising(ZeroDivisionError("a \x1b[2J surprise")))

    assert cli.run(["planted"]) == diagnostic.INTERNAL
    said = capsys.readouterr().err
    (file,) = (tmp_path / "outstation").iterdir()

    assert "Traceback" not in said
    assert "\x1b" not in said
    assert "error[command-failed] a fault of ours: ZeroDivisionError" in said
    assert str(file) in said
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_unwritable_crash_folder_is_said(planted, capsys, monkeypatch, tmp_path):
    """A full or missing disk does not turn one error into a traceback."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    planted(raising(ValueError("surprise")))

    assert cli.run(["planted"]) == diagnostic.INTERNAL
    assert "could not be written" in capsys.readouterr().err


def test_tasks_that_failed_together_are_listed_together(planted, capsys):
    """Mistakes from several tasks are all shown, however deep the groups nest."""
    inner = ExceptionGroup("inner", [DiagnosticError(Diagnostic("a-c", "second"))])
    planted(raising(ExceptionGroup("tasks", [DiagnosticError(Diagnostic("a-b", "first"), 3), inner])))

    assert cli.run(["planted"]) == 3
    assert capsys.readouterr().err == "error[a-b] first\nerror[a-c] second\n"


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_of_the_table_is_there(name, capsys):
    """Whatever --help promises can be asked for its own help."""
    assert cli.run([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: outstation {name}")


@pytest.mark.parametrize("target", ["no_such_module.cli:command", "tools:no_such_command"])
def test_command_that_is_not_installed_is_named(monkeypatch, capsys, target):
    """A missing module is answered with what to install."""
    monkeypatch.setitem(cli.COMMANDS, "planted", cli.Lazy(target, "Do it."))

    assert cli.run(["planted"]) == diagnostic.USAGE
    assert "error[command-missing]" in capsys.readouterr().err


def test_reader_that_goes_away_is_no_error():
    """`outstation explain | head -1` ends without a word of complaint."""
    script = "from tools.cli import main\nimport time\ntime.sleep(0.2)\nmain(['explain'])"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (141, b"")


def test_completion_offers_commands_without_importing_them():
    """The shell's TAB knows every command, installed or not."""
    words = [item.value for item in cli.outstation.shell_complete(click.Context(cli.outstation), "de")]

    assert words == ["decode", "demo", "device"]


def test_explanation_is_printed_and_machine_readable(capsys):
    """A code's page comes as text and as a document of its own schema."""
    assert cli.run(["explain", "settings-syntax"]) == 0
    assert capsys.readouterr().out.startswith("settings-syntax: A settings file is not valid TOML\n")
    assert cli.run(["explain", "settings-syntax", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert (document["schema"], document["version"]) == ("outstation.explanation", 1)
    assert [row["code"] for row in document["codes"]] == ["settings-syntax"]
