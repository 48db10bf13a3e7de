"""Every command, one table: it helps, it is documented, it speaks JSON, and it takes no mistake for a fault of its own."""

import json
import re
import subprocess
import sys

import click
import pytest

from protocol import diagnostic
from tools import cli
from tools.demo_rules import demo_bundle
from tools.device_types import ROOT

# Commands whose --json takes a file, because a person watches their standard output.
JSON_TO_A_FILE = {"bench", "demo"}
SETTINGS = {
    "gateway run": "gateway",
    "gateway status": "gateway",
    "gateway devices": "gateway",
    "gateway check": "gateway",
    "gateway gaps": "gateway",
    "gateway metrics": "gateway",
    "gateway store encrypt": "gateway",
    "gateway store decrypt": "gateway",
    "gateway store rekey": "gateway",
    "office store encrypt": "office",
    "office store decrypt": "office",
    "office store rekey": "office",
    "office store backup": "office",
    "office serve": "office",
    "office devices": "office",
    "office findings": "office",
    "office explain": "office",
    "office repair": "office",
    "office gateway invite": "office",
    "office gateway list": "office",
    "office gateway revoke": "office",
    "office ca status": "office",
    "office ca rotate": "office",
    "site create": "office",
    "site list": "office",
    "office gaps list": "office",
    "office gaps accept": "office",
    "office device revoke": "office",
    "office token create": "office",
    "office token list": "office",
    "office token revoke": "office",
    "office acts": "office",
    "office view grant": "office",
    "office view withdraw": "office",
    "office view erase": "office",
    "gateway readings": "gateway",
    "device run": "link",
    "device provision": "link",
    "provision gateway": "office",
    "provision device": "office",
    "provision roots": "office",
    "provision devices": "office",
    "provision labels": "office",
    "provision read-label": "office",
    "provision claims": "office",
    "office device budget": "office",
    "office device move": "office",
    "office device links": "office",
    "office device rekey": "office",
    "office device relink": "office",
    "office device pending": "office",
    "office device admit": "office",
    "office device refuse": "office",
    "office image add": "office",
    "office image list": "office",
    "release init-key": "office",
    "release succeed": "office",
    "release skip": "office",
    "release build": "office",
    "release sign": "office",
    "release list": "office",
    "release show": "office",
    "release publish": "office",
    "release revert": "office",
    "release roll-out": "office",
    "release halt": "office",
    "release status": "office",
    "release root list": "office",
    "release root replace": "office",
    "release root retire": "office",
    "command set": "office",
    "command setting": "office",
    "command bulk": "office",
    "command class": "office",
    "command report": "office",
    "command list": "office",
}
# Its --office is an address.
WITHOUT_SETTINGS = {"gateway enrol"}
# What they print is a format for machines already, and not ours.
OTHER_FORMAT = {"gateway metrics"}
# What stands before --config where a command needs more.
WORDS = {
    "office explain": ["pump"],
    "office token create": ["--label", "a", "--role", "viewer"],
    "office token revoke": ["12345678"],
    "office gateway invite": ["gate", "--site", "north"],
    "office gateway revoke": ["gate"],
    "site create": ["north"],
    "office view grant": ["g"],
    "office view withdraw": ["g"],
    "office view erase": ["pump", "--class", "site", "--period", "0", "--yes"],
    "office gaps accept": ["pump", "--author", "a", "--yes"],
    "office device revoke": ["pump", "--author", "a", "--reason", "r", "--yes"],
    "device provision": ["rpi_pico_w", "--dry-run"],
    "provision gateway": ["--name", "g", "--site", "s", "--uplink", "https://h:1", "new"],
    "provision device": ["--name", "d", "--site", "s", "--gateway", "gw", "new"],
    "provision devices": ["--csv", "list.csv", "--gateway", "gw", "new"],
    "provision labels": ["labels"],
    "provision read-label": ["OUTSTATION:1:0000000000000000:0000"],
    "provision roots": [str(ROOT)],
    "provision claims": ["new"],
    "office device budget": ["pump"],
    "office device move": ["pump", "--site", "north"],
    "office device links": ["links.toml"],
    "office device rekey": ["pump"],
    "office device relink": ["pump"],
    "office device admit": ["00" * 8, "--name", "d", "--like", "pump", "--yes"],
    "office device refuse": ["00" * 8],
    "office image add": ["image.json"],
    "release init-key": ["new"],
    "release succeed": ["."],
    "release skip": ["."],
    "office store backup": ["copies"],
    "release build": ["--rules", __file__, "--author", "a", "--kind", "pump"],
    "release sign": ["1", "--key", "."],
    "release show": ["1"],
    "release publish": [__file__, "--key", ".", "--author", "a", "--kind", "pump"],
    "release revert": ["1", "--author", "a"],
    "release roll-out": ["1"],
    "release halt": ["1"],
    "release status": ["1"],
    "release root replace": ["site"],
    "release root retire": ["site"],
    "command set": ["pump", "1", "1"],
    "command setting": ["pump", "heartbeat_ms", "5000"],
    "command bulk": ["pump", "4h"],
    "command class": ["pump", "office"],
    "command report": ["pump"],
    "command list": ["pump"],
}


def _walk(command, path):
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _walk(inner, [*path, name])


def _commands():
    found = {}
    for name in cli.COMMANDS:
        found.update(_walk(cli.load(name), [name]))
    return found


COMMANDS = _commands()
LEAVES = sorted(name for name, command in COMMANDS.items() if not isinstance(command, click.Group))
GROUPS = sorted(set(COMMANDS) - set(LEAVES))


def _run(capsys, words):
    code = cli.run(words)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def _config_words(name, path):
    option = "--office" if name.startswith("provision") else "--config"
    return [*name.split(), *WORDS.get(name, []), option, str(path)]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_helps_and_is_documented(capsys, name):
    """--help works, every option says what it is for, and docs/commands.md has the command."""
    code, said, _ = _run(capsys, [*name.split(), "--help"])
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option)]

    assert code == diagnostic.OK
    assert said.startswith(f"Usage: outstation {name}")
    assert all(option.help for option in options)
    assert COMMANDS[name].help
    assert f"## outstation {name}\n" in (ROOT / "docs/commands.md").read_text()


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in OTHER_FORMAT])
def test_command_speaks_json(name):
    """Every command that does something has --json; it is a flag except where a file is written."""
    options = {word: option for option in COMMANDS[name].params for word in option.opts}

    assert "--json" in options
    assert options["--json"].is_flag is (name not in JSON_TO_A_FILE)


@pytest.mark.parametrize("name", GROUPS)
def test_group_alone_shows_what_it_has(capsys, name):
    """The name of a group alone lists its commands, without a word of complaint."""
    code, said, errors = _run(capsys, name.split())

    assert code == diagnostic.USAGE
    assert errors == ""
    assert all(inner in said for inner in COMMANDS[name].commands)


@pytest.mark.parametrize("name", LEAVES)
def test_unknown_option_is_answered_with_the_nearest(capsys, name):
    """A misspelt option ends with 2 and names the one that was meant."""
    meant = "--config" if name in OTHER_FORMAT else "--json"
    code, _, said = _run(capsys, [*name.split(), meant[:4] + meant[5:]])

    assert code == diagnostic.USAGE
    assert "error[usage-no-such-option]" in said
    assert f"did you mean {meant}?" in said


@pytest.mark.parametrize("name", GROUPS)
def test_unknown_subcommand_is_answered_with_the_nearest(capsys, name):
    """A misspelt command of a group ends with 2 and names the one that was meant."""
    meant = sorted(COMMANDS[name].commands)[0]
    code, _, said = _run(capsys, [*name.split(), f"{meant}x"])

    assert code == diagnostic.USAGE
    assert f"did you mean {meant}?" in said


def test_every_command_with_settings_is_in_the_table():
    """A new command with --config or --office is tested for wrong settings too."""
    with_settings = {
        name
        for name in LEAVES
        if any({"--config", "--office"} & set(option.opts) for option in COMMANDS[name].params)
    }

    assert with_settings - WITHOUT_SETTINGS == set(SETTINGS)


@pytest.mark.parametrize(
    ("as_json", "name"),
    [(False, name) for name in sorted(SETTINGS)]
    + [(True, name) for name in sorted(set(SETTINGS) - OTHER_FORMAT)],
)
def test_wrong_settings_are_all_named_with_their_lines(capsys, tmp_path, name, as_json):
    """An unknown key, a wrong kind and a value out of range are said at once, each with line, column and a way out."""
    wrong = {
        "gateway": '[gateway]\nsite = 7\nnmae = "x"\n[uplink]\nurl = "http://x"\n',
        "office": '[office]\nname = 7\n[listen]\nhots = "x"\nport = 99999\n',
        "link": 'device = 7\nflash_sectors = 2\n[link]\nhots = "x"\n',
    }[SETTINGS[name]]
    path = tmp_path / "wrong.toml"
    path.write_text(wrong)
    (tmp_path / "link.toml").write_text(f'kid = "01"\nsecret = "{"00" * 16}"\n')
    code, out, err = _run(capsys, [*_config_words(name, path), *(["--json"] if as_json else [])])

    assert code == diagnostic.USAGE
    if as_json:
        document = json.loads(out)
        assert (document["schema"], err) == ("outstation.diagnostics", "")
        assert len(document["diagnostics"]) >= 3
        assert all(found["line"] and found["column"] and found["fix"] for found in document["diagnostics"])
    else:
        assert len(re.findall(r"^error\[settings-", err, re.MULTILINE)) >= 3
        assert err.count("  fix: ") == err.count("error[") == err.count("wrong.toml:")
        assert "did you mean" in err


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_missing_settings_are_one_mistake(capsys, tmp_path, name):
    """A settings file that is not there ends with 2, and says what to do."""
    code, _, said = _run(capsys, _config_words(name, tmp_path / "nope.toml"))

    assert code == diagnostic.USAGE
    assert said.count("error[") == 1
    assert "error[settings-unreadable]" in said
    assert "  fix: " in said


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_of_another_part_are_told_apart(capsys, tmp_path, name):
    """The settings file of another part is refused by name of what it lacks."""
    path = tmp_path / "other.toml"
    path.write_text(
        "[clock]\nerror_ms = 3\n" if SETTINGS[name] != "office" else "[uplink]\nurl = 'https://x'\n"
    )
    code, _, said = _run(capsys, _config_words(name, path))

    assert code == diagnostic.USAGE
    assert f"the table [{SETTINGS[name]}] is missing" in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["decode", "{}/nope"], "file-unusable"),
        (["decode", "{}"], "file-unusable"),
        (["decode", "{}/text"], "decode-not-known"),
        (["decode", "{}/cbor", "--keystore", "{}/nope"], "decode-keystore"),
        (["device", "journal", "{}/nope"], "file-unusable"),
        (["device", "journal", "{}/text"], "flash-image"),
        (["device", "journal", "{}/database"], "flash-image"),
        (["verify", "{}/nope"], "office-not-a-database"),
        (["verify", "{}/text"], "office-not-a-database"),
        (["verify", "{}/database"], "office-not-a-database"),
        (["verify", "{}"], "office-not-a-database"),
        (["office", "init", "{}/text/below"], "file-unusable"),
        (["demo", "--dir", "{}"], "demo-folder"),
        (["explain", "no-such-code"], "explain-unknown-code"),
    ],
)
def test_wrong_file_is_named_with_a_way_out(capsys, tmp_path, words, code):
    """What is no file, or a file of another kind, ends with 2, a code, the path and what to do."""
    (tmp_path / "text").write_text("hello, this is a plain text\n")
    (tmp_path / "cbor").write_bytes(demo_bundle(schema=bytes(8)))
    (tmp_path / "database").write_bytes(b"SQLite format 3\0" + bytes(65536 - 16))
    exit_code, _, said = _run(capsys, [word.format(tmp_path) for word in words])

    assert exit_code == diagnostic.USAGE
    assert f"error[{code}]" in said
    assert "  fix: " in said


def test_gateway_that_never_ran_is_not_reachable(capsys, tmp_path):
    """Looking into a gateway that has no store yet ends with 3."""
    path = tmp_path / "gateway.toml"
    path.write_text('[gateway]\nsite = "s"\nname = "g"\n[uplink]\nurl = "https://h:1"\n')

    for name in ("status", "devices", "gaps"):
        code, _, said = _run(capsys, ["gateway", name, "--config", str(path)])
        assert (code, "error[file-unusable]" in said) == (diagnostic.UNREACHABLE, True)


def test_recording_that_cannot_be_fetched_is_not_reachable(capsys, tmp_path, monkeypatch):
    """Without a network and without a cache the demo ends with 3 and the command that helps; nothing is left."""
    monkeypatch.setenv("OUTSTATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    code, _, said = _run(capsys, ["demo", "--dir", str(tmp_path / "kept")])

    assert code == diagnostic.UNREACHABLE
    assert "error[recording-unreachable]" in said
    assert "pip download" in said


def test_process_that_is_asked_for_help_starts_at_once():
    """The front page comes without loading what only one command needs (the promise of 150 ms, without a clock)."""
    script = (
        "import sys; from tools.cli import run; run(['--help']); print(len(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert int(ended.stderr) < 400
